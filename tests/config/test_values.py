"""The syntaxes of numbers, durations, words and back ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.config import values
from ocserv_core.config.declare import Syntax
from ocserv_core.config.values import (
    AlgorithmPriority,
    BackendSpec,
    Group,
    KdcProxy,
    parse_algorithm_priority,
    parse_backend,
    parse_boolean,
    parse_group,
    parse_header,
    parse_kdc_proxy,
    parse_net_priority,
    parse_oid,
    parse_seconds,
    parse_user_oid,
)

from .texts import refusal

SYNTAXES = [value for value in vars(values).values() if isinstance(value, Syntax)]


@pytest.mark.parametrize("text", ["true", "yes", "on", "1", "TRUE", "Yes"])
def test_yes(text: str) -> None:
    assert parse_boolean(text) is True


@pytest.mark.parametrize("text", ["false", "no", "off", "0", "False"])
def test_no(text: str) -> None:
    assert parse_boolean(text) is False


@pytest.mark.parametrize("text", ["", "2", "ja", "truetrue"])
def test_neither_yes_nor_no(text: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        parse_boolean(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("10", 10), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400), ("5 m", 300)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-5", "10w", "1.5", "99999999d", "5mm"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds"):
        parse_seconds(text)


def test_numbers_include_their_bounds() -> None:
    syntax = values.number(11, 128)
    assert [syntax.parse("11"), syntax.parse("128")] == [11, 128]


@pytest.mark.parametrize("text", ["10", "129", "-11", "abc", "", "12x", "٣٤"])
def test_numbers_outside_their_bounds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number from 11 to 128"):
        values.number(11, 128).parse(text)


def test_words_are_matched_as_a_whole() -> None:
    with pytest.raises(ValueError, match="'SSL' is not one of ssl, new-tunnel"):
        values.REKEY_METHOD.parse("SSL")


def test_words_may_be_folded() -> None:
    assert values.FACILITY.parse("LOCAL3") == "local3"


def test_texts_are_bounded_in_bytes() -> None:
    with pytest.raises(ValueError, match="is 4 bytes long; at most 3"):
        values.text_of("text", 3).parse("éé")


@pytest.mark.parametrize("text", ["vpns", "a", "eleven-byte"])
def test_devices(text: str) -> None:
    assert values.DEVICE.parse(text) == text


@pytest.mark.parametrize("text", ["a/b", "vpn%d", "eth0:1", "v pn", "twelve-bytes", "\x07"])
def test_no_devices(text: str) -> None:
    with pytest.raises(ValueError, match="cannot begin a device's name; write one like vpns"):
        values.DEVICE.parse(text)


def test_object_identifiers() -> None:
    assert parse_oid("0.9.2342.19200300.100.1.1") == "0.9.2342.19200300.100.1.1"


@pytest.mark.parametrize("text", ["", "CN", "2", "2.5.x", "2..5", "SAN(rfc822name)", "2." + "1" * 70])
def test_no_object_identifiers(text: str) -> None:
    with pytest.raises(ValueError, match="is not an object identifier like"):
        parse_oid(text)


def test_a_user_may_be_named_by_mail_address() -> None:
    assert parse_user_oid("SAN(rfc822name)") == "SAN(rfc822name)"


def test_headers() -> None:
    assert parse_header("X-My: a b") == "X-My: a b"


@pytest.mark.parametrize("text", ["", "no colon", "X My: a", ": a", "X: a\r\nY: b"])
def test_no_headers(text: str) -> None:
    with pytest.raises(ValueError, match="is not a header; write 'Name: value'"):
        parse_header(text)


def test_a_group_is_its_own_label() -> None:
    assert parse_group("staff") == Group("staff", "staff")


def test_a_group_may_have_a_label() -> None:
    assert parse_group("staff[All of us]") == Group("staff", "All of us")


def test_a_label_ends_at_its_first_comma() -> None:
    assert parse_group("staff[us, and them]") == Group("staff", "us")


def test_a_group_needs_a_name() -> None:
    with pytest.raises(ValueError, match="a group needs a name"):
        parse_group("[us]")


@pytest.mark.parametrize("text", ["0", "6", "0x10", "0XFF"])
def test_net_priorities(text: str) -> None:
    assert parse_net_priority(text) == text.lower()


def test_no_net_priority() -> None:
    with pytest.raises(ValueError, match="neither a priority"):
        parse_net_priority("7")


def test_algorithm_priorities() -> None:
    assert parse_algorithm_priority("lzs:80") == AlgorithmPriority("lzs", 80)


def test_no_algorithm_priority() -> None:
    with pytest.raises(ValueError, match="is not an algorithm and its rank"):
        parse_algorithm_priority("lz4:lzs")


def test_kdc_proxies() -> None:
    parsed = parse_kdc_proxy("/KdcProxy KERBEROS.EXAMPLE udp@[2001:db8::1]:88")
    assert parsed == KdcProxy("/KdcProxy", "KERBEROS.EXAMPLE", "udp", "2001:db8::1", 88)


@pytest.mark.parametrize("text", ["", "KdcProxy R udp@h:88", "/K R sctp@h:88", "/K R udp@h", "/K R udp@h:0"])
def test_no_kdc_proxies(text: str) -> None:
    with pytest.raises(ValueError, match="is not a proxy; write"):
        parse_kdc_proxy(text)


def test_a_back_end_may_have_no_options() -> None:
    assert parse_backend("Certificate") == BackendSpec("certificate")


def test_a_back_end_has_its_options_in_brackets() -> None:
    parsed = parse_backend("radius[ Config = /etc/radius.conf , groupconfig=true ]")
    assert parsed == BackendSpec("radius", {"config": "/etc/radius.conf", "groupconfig": "true"})


def test_an_option_may_contain_an_equals_sign() -> None:
    assert parse_backend("ldap[base=dc=example]").options == {"base": "dc=example"}


def test_names_are_whole_words() -> None:
    assert parse_backend("plainfoo[passwd=x]").name == "plainfoo"


def test_the_old_form_of_plain() -> None:
    assert parse_backend("plain[./ocpasswd]") == BackendSpec("plain", {"passwd": "./ocpasswd"})


def test_the_old_form_of_radius() -> None:
    parsed = parse_backend("radius[/etc/r.conf,groupconfig]")
    assert parsed == BackendSpec("radius", {"config": "/etc/r.conf", "groupconfig": "true"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a back end"),
        ("plain[passwd=x", "has no closing ]"),
        ("plain[passwd]", "is not option=value"),
        ("plain[=x]", "is not option=value"),
        ("plain[/a,otp=b]", "has no name"),
        ("radius[/a,b]", "has no name"),
        ("two words", "is not a back end"),
    ],
)
def test_no_back_ends(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_backend(text)


@given(st.sampled_from(SYNTAXES), st.text(max_size=40))
def test_a_syntax_refuses_with_a_sentence_or_not_at_all(syntax: Syntax, text: str) -> None:
    assert "invalid literal" not in (refusal(syntax.parse, text) or "")


@given(st.text(alphabet=st.sampled_from("ab[]=,/. "), max_size=30))
def test_a_back_end_is_read_or_refused(text: str) -> None:
    assert refusal(parse_backend, text) != ""
