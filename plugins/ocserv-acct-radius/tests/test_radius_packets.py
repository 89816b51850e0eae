"""Requests to bytes, and replies that are not what they seem. The oracle is by hand (radius_world.answer)."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocserv_acct_radius.replies import Dropped, Reply, check
from ocserv_acct_radius.requests import Request, Sent, build
from radius_world import ACCEPT, ACCT_RESPONSE, CHALLENGE, KEY, answer, attribute

ACCESS = Request((("User-Name", "bob"),), password="bobs-password")
RECORD = Request((("Acct-Status-Type", "Start"),), happened=100.0)


def built(request: Request = ACCESS, now: float = 100.0) -> Sent:
    return build(request, 7, KEY, now, "192.0.2.1")


def attributes_of(octets: bytes) -> list[tuple[int, bytes]]:
    found, rest = [], octets[20:]
    while rest:
        found.append((rest[0], rest[2 : rest[1]]))
        rest = rest[rest[1] :]
    return found


def dropped(octets: bytes, sent: Sent, *, signed: bool = True) -> str:
    with pytest.raises(Dropped) as why:
        check(sent, octets, signed=signed)
    return str(why.value)


# ---- requests -----------------------------------------------------------------------------------------------------


def test_the_message_authenticator_comes_first_and_is_right() -> None:
    octets = built().octets
    assert attributes_of(octets)[0] == (80, hmac.digest(KEY, octets[:22] + bytes(16) + octets[38:], "md5"))


def test_a_password_is_hidden_as_rfc_2865_says() -> None:
    sent = built()
    hidden = dict(attributes_of(sent.octets))[2]
    mask = hashlib.md5(KEY + sent.octets[4:20]).digest()
    assert bytes(a ^ b for a, b in zip(hidden, mask, strict=True)) == b"bobs-password\0\0\0"


@given(st.text(st.characters(codec="utf-8"), max_size=32))
def test_any_password_is_hidden_in_blocks_and_found_again(password: str) -> None:
    sent = built(Request((), password=password))
    hidden, last, found = dict(attributes_of(sent.octets))[2], sent.octets[4:20], b""
    for start in range(0, len(hidden), 16):
        block = hidden[start : start + 16]
        found += bytes(a ^ b for a, b in zip(block, hashlib.md5(KEY + last).digest(), strict=True))
        last = block
    assert found.rstrip(b"\0") == password.encode().rstrip(b"\0")
    assert len(hidden) % 16 == 0


def test_no_two_requests_have_the_same_authenticator() -> None:
    assert len({built().octets[4:20] for _ in range(50)}) == 50


def test_octets_are_sent_as_they_came() -> None:
    sent = build(Request((), ((25, b"0x41"), (25, b"\x00\xff"), (25, b"12"))), 7, KEY, 0.0, "")
    assert [value for code, value in attributes_of(sent.octets) if code == 25] == [b"0x41", b"\x00\xff", b"12"]


def test_the_address_that_names_the_server_is_that_of_the_request_if_it_has_one() -> None:
    assert dict(attributes_of(built().octets))[4] == bytes((192, 0, 2, 1))
    other = Request((("NAS-IPv6-Address", "2001:db8::1"),), password="x")
    assert {4, 95} & set(dict(attributes_of(built(other).octets))) == {95}


def test_an_accounting_request_says_how_long_ago_it_was() -> None:
    octets = built(RECORD, now=161.9).octets
    assert dict(attributes_of(octets))[41] == (61).to_bytes(4, "big")
    assert octets[4:20] == hashlib.md5(octets[:4] + bytes(16) + octets[20:] + KEY).digest()


def test_a_clock_that_went_back_makes_no_negative_delay() -> None:
    assert dict(attributes_of(built(RECORD, now=50.0).octets))[41] == bytes(4)


@pytest.mark.parametrize("text", ["ä" * 127, "x" * 254])
def test_a_name_that_fits_no_attribute_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="253"):
        built(Request((("User-Name", text),), password="x"))


def test_a_password_that_is_too_long_is_an_error_without_it() -> None:
    with pytest.raises(ValueError, match="128") as refused:
        built(Request((), password="secret" * 30))
    assert "secret" not in str(refused.value)


def test_a_password_that_is_no_text_is_an_error_without_it() -> None:
    with pytest.raises(ValueError, match="the password is no text"):
        built(Request((), password="half a \ud800 character"))


def test_a_password_of_other_octets_is_sent_as_it_came() -> None:
    sent = built(Request((), password="\udcff"))
    mask = hashlib.md5(KEY + sent.octets[4:20]).digest()
    assert dict(attributes_of(sent.octets))[2][0] ^ mask[0] == 0xFF


def test_no_repr_shows_password_or_secret() -> None:
    assert "bobs-password" not in repr(ACCESS)
    assert "hostile" not in repr(built())


# ---- replies ------------------------------------------------------------------------------------------------------


def test_a_signed_reply_is_taken() -> None:
    sent = built()
    assert check(sent, answer(sent.octets, ACCEPT), signed=True).accepted
    assert check(sent, answer(sent.octets, CHALLENGE), signed=True).challenges


def test_an_unsigned_one_only_where_that_is_allowed() -> None:
    sent = built()
    unsigned = answer(sent.octets, ACCEPT, signed=False)
    assert "no Message-Authenticator (CVE-2024-3596)" in dropped(unsigned, sent)
    assert check(sent, unsigned, signed=False).accepted


def test_of_accounting_no_signature_is_asked() -> None:
    sent = built(RECORD)
    check(sent, answer(sent.octets, ACCT_RESPONSE, signed=False), signed=True)


def test_a_reply_by_another_secret() -> None:
    sent = built()
    assert "its authenticator is wrong" in dropped(answer(sent.octets, ACCEPT, secret=b"other"), sent)


def test_a_reply_to_another_request() -> None:
    assert "its authenticator is wrong" in dropped(answer(built().octets, ACCEPT), built())


def test_a_message_authenticator_that_is_wrong() -> None:
    sent = built()
    forged = answer(sent.octets, ACCEPT, attribute(80, bytes(16)), signed=False)
    assert "its Message-Authenticator is wrong" in dropped(forged, sent)
    assert "its Message-Authenticator is wrong" in dropped(forged, sent, signed=False)


def test_a_proxy_state_that_was_not_sent() -> None:
    sent = built()
    assert "Proxy-State" in dropped(answer(sent.octets, ACCEPT, attribute(33, b"x")), sent)


def test_an_answer_to_another_question() -> None:
    sent = built()
    assert "code 5" in dropped(answer(sent.octets, ACCT_RESPONSE), sent)


def test_attributes_that_overlap_the_end() -> None:
    sent = built()
    assert "malformed" in dropped(answer(sent.octets, ACCEPT, b"\x19\x01", signed=False), sent, signed=False)


@given(st.binary(max_size=80))
def test_any_bytes_are_dropped(octets: bytes) -> None:
    dropped(octets, built())


def read(name: str, code: int, *values: bytes) -> list[str] | list[int]:
    sent = built()
    reply = check(sent, answer(sent.octets, ACCEPT, b"".join(attribute(code, value) for value in values)), signed=True)
    return reply.numbers(name) if name.endswith("Timeout") else reply.texts(name)


@pytest.mark.parametrize(
    ("name", "code", "good", "bad", "found"),
    [
        ("Framed-IP-Address", 8, bytes((192, 0, 2, 9)), b"\x01\x02", "192.0.2.9"),
        ("Framed-IPv6-Address", 168, bytes.fromhex("20010db8") + bytes(12), bytes(17), "2001:db8::"),
        ("Delegated-IPv6-Prefix", 123, bytes.fromhex("003820010db8aa"), b"\x00\xff\x01", "2001:db8:aa00::/56"),
        ("Framed-Route", 22, b"192.0.2.0/24", b"\xff\xfe", "192.0.2.0/24"),
        ("Session-Timeout", 27, (60).to_bytes(4, "big"), b"\x01", 60),
    ],
)
def test_a_value_that_is_malformed_is_left_out_and_told(
    name: str, code: int, good: bytes, bad: bytes, found: str | int, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(name, code, bad, good) == [found]
    assert f"radius: {name} of the server is malformed and left out: 0x{bad.hex()}" in caplog.text


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=40)), max_size=12))
def test_whatever_a_server_with_the_secret_says_can_be_read(found: list[tuple[int, bytes]]) -> None:
    sent = built()
    octets = b"".join(attribute(code, value) for code, value in found if code not in (33, 80))
    reply = check(sent, answer(sent.octets, ACCEPT, octets), signed=True)
    everything(reply)


def everything(reply: Reply) -> None:
    for name in ("Framed-Route", "Framed-IP-Address", "Framed-IPv6-Prefix", "MS-Primary-DNS-Server", "Reply-Message"):
        reply.texts(name)
    for name in ("Session-Timeout", "WISPr-Bandwidth-Max-Up", "Prompt"):
        reply.numbers(name)
    reply.octets(25)
