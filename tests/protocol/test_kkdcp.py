"""Kerberos messages in HTTPS: the structure, and the dialogues of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.errors import HttpViolation
from ocserv_core.protocol.kkdcp import (
    MAX_KDC_MESSAGE,
    KdcMessage,
    build_kdc_message,
    build_kdc_reply,
    parse_kdc_message,
)
from ocserv_core.protocol.login_table import State
from ocserv_core.protocol.login_words import AskKdc, Command, LoginSettings, Send

from .dialogue import Dialogue, answer, http, init, reply

SETTINGS = LoginSettings("default", kdc_paths=("/KdcProxy",), methods=(("gssapi",), ("plain",)))
KERBEROS = b"\0\0\0\x05hello"
BODY = build_kdc_message(KERBEROS, "EXAMPLE.TEST")


def posts(d: Dialogue, body: bytes = BODY, path: str = "/KdcProxy") -> Command:
    head = http("POST", path).replace(b"Content-Length: 0", f"Content-Length: {len(body)}".encode())
    return d.client(head + body)


# ---- dialogues ----------------------------------------------------------------------------------------------------


def test_a_message_is_forwarded_and_its_answer_comes_back() -> None:
    d = Dialogue(SETTINGS)
    assert posts(d) == AskKdc("default", "/KdcProxy", "EXAMPLE.TEST", KERBEROS)
    said = d.secmod_has_asked_the_key_server(b"\0\0\0\x02ok")
    assert isinstance(said, Send)
    assert said.data.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/kerberos\r\n")
    assert said.data.endswith(b"\r\n\r\n" + build_kdc_reply(b"\0\0\0\x02ok"))
    assert d.state() is State.START


def test_no_answer_is_a_bad_gateway() -> None:
    d = Dialogue(SETTINGS)
    posts(d)
    said = answer(d.secmod_has_asked_the_key_server(failure="the key server does not answer"))
    assert (said.status, said.all("X-Reason")) == (502, ["the key server does not answer"])
    assert d.closed


def test_secmod_is_lost_meanwhile() -> None:
    d = Dialogue(SETTINGS)
    posts(d)
    assert answer(d.secmod_is_lost()[0]).status == 503


def test_a_login_goes_on_afterwards() -> None:
    asked, granted, negotiating = (Dialogue(SETTINGS) for _ in range(3))
    asked.posts(reply(username="alice"))
    asked.secmod_asks()
    granted.posts(reply(username="alice"))
    granted.secmod_grants()
    negotiating.posts(init(), "/", Authorization="Negotiate YQ==")
    negotiating.secmod_asks_the_mechanism()
    negotiating.secmod_asks_the_mechanism()
    for d, state in ((asked, State.PROMPTED), (granted, State.GRANTED), (negotiating, State.NEGOTIATING)):
        posts(d)
        d.secmod_has_asked_the_key_server(b"\0\0\0\x02ok")
        assert d.state() is state


def test_other_paths_are_what_they_were() -> None:
    assert answer(posts(Dialogue(SETTINGS), b"", "/KdcProxy/x")).inputs == ["username", "password"]
    assert answer(posts(Dialogue(), b"", "/KdcProxy")).inputs == ["username", "password"]
    assert answer(Dialogue(SETTINGS).gets("/KdcProxy")).status == 404


def test_what_is_no_message_is_a_bad_request() -> None:
    d = Dialogue(SETTINGS)
    assert answer(posts(d, b"no DER")).status == 400
    assert d.closed


# ---- the structure ------------------------------------------------------------------------------------------------


def test_the_octets_of_a_message() -> None:
    assert BODY.hex(" ", 1).startswith("30 1d a0 0b 04 09 00 00 00 05")
    assert BODY.endswith(b"hello\xa1\x0e\x1b\x0cEXAMPLE.TEST")


def test_a_message_without_a_realm_and_one_with_a_hint() -> None:
    assert parse_kdc_message(build_kdc_message(KERBEROS)) == KdcMessage(KERBEROS)
    inside = BODY[2:] + b"\xa2\x03\x02\x01\x00"
    assert parse_kdc_message(bytes((0x30, len(inside))) + inside) == KdcMessage(KERBEROS, "EXAMPLE.TEST")


@given(st.binary(min_size=1, max_size=70000), st.sampled_from(("", "R", "EXAMPLE.TEST", "R" * 255)))
def test_what_is_built_is_parsed(message: bytes, realm: str) -> None:
    framed = len(message).to_bytes(4) + message
    body = build_kdc_message(framed, realm)
    if len(framed) <= MAX_KDC_MESSAGE:
        assert parse_kdc_message(body) == KdcMessage(framed, realm)
        return
    with pytest.raises(HttpViolation) as violation:
        parse_kdc_message(body)
    assert violation.value.status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\x30\x84\x00\x00\x00\x02\xa0\x00",
        b"\x30\x82\x00",
        BODY[:-1],
        BODY + b"\0",
        b"\x31" + BODY[1:],
        build_kdc_message(b"\0\0\0\x06hello"),
        build_kdc_message(b"\0\0\0\0"),
        build_kdc_message(b"\0\0"),
        build_kdc_message(KERBEROS, "R" * 256),
        build_kdc_message(KERBEROS, "R\n"),
        build_kdc_message(KERBEROS, "É"),
        b"\x30\x0d" + BODY[2:15] + b"\xa3\x00",
        b"\x30\x0f" + BODY[2:15] + b"\xa3\x00",
        b"\x30\x0d\xa0\x0b\x04\x08\x00\x00\x00\x04hell\x05",
    ],
)
def test_what_is_something_else_is_refused(body: bytes) -> None:
    with pytest.raises(HttpViolation) as violation:
        parse_kdc_message(body)
    assert violation.value.status == 400


@given(st.binary(max_size=60))
def test_whatever_comes_it_is_a_message_or_a_violation(body: bytes) -> None:
    try:
        parse_kdc_message(b"\x30" + body)
    except HttpViolation:
        return
