"""The bodies that were captured from clients, and those that no client sends."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.errors import ClientError, HttpViolation
from ocserv_core.protocol.authxml import AuthBody, BodyKind, parse_auth_body

from .dialogue import COOKIE, config_auth

TWO_CREDENTIALS = b"""<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="auth-reply" aggregate-auth-version="2"><version who="vpn">v9.01-3</version>\
<device-id>linux-64</device-id><capabilities><auth-method>single-sign-on-v2</auth-method>\
<auth-method>single-sign-on-external-browser</auth-method></capabilities><opaque is-for="sg">\
<tunnel-group>TG</tunnel-group><aggauth-handle>168179266</aggauth-handle><config-hash>1595829378234</config-hash>\
</opaque><auth><username>u1</username><password>p1</password><secondary_username/>\
<secondary_password>u2</secondary_password><csrf>abc&amp;1</csrf></auth><group-select>TG</group-select></config-auth>"""


CAPTURED = """<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="{}" aggregate-auth-version="2"><version who="vpn">v9.01-3</version>\
<device-id>linux-64</device-id><capabilities><auth-method>single-sign-on-v2</auth-method>\
<auth-method>single-sign-on-external-browser</auth-method></capabilities>{}</config-auth>"""
OPAQUE = """<opaque is-for="sg"><tunnel-group>TG</tunnel-group><aggauth-handle>168179266</aggauth-handle>\
<config-hash>1595829378234</config-hash></opaque>"""


def parse(body: str | bytes) -> AuthBody:
    return parse_auth_body(body.encode() if isinstance(body, str) else body)


def refused(body: str | bytes) -> int:
    with pytest.raises(HttpViolation) as caught:
        parse(body)
    return caught.value.status


# ---- XML --------------------------------------------------------------------------------------------------------


def test_an_init_without_a_group() -> None:
    body = parse(config_auth("init", "<group-access>https://192.0.2.1/</group-access>"))
    assert (body.kind, body.group, body.username) == (BodyKind.INIT, None, None)


def test_an_init_with_a_group() -> None:
    assert parse(config_auth("init", "<group-select>TG</group-select>")).group == "TG"


def test_a_reply_with_two_credentials() -> None:
    body = parse(TWO_CREDENTIALS)
    assert (body.kind, body.username, body.password, body.group) == (BodyKind.REPLY, "u1", "p1", "TG")


@pytest.mark.parametrize(
    ("kind", "inner", "group", "username", "password"),
    [
        (
            BodyKind.INIT,
            "<group-access>https://192.0.2.1:9454/auth</group-access><group-select>TG</group-select>",
            "TG",
            None,
            None,
        ),
        (BodyKind.REPLY, OPAQUE + "<auth><password>p2</password></auth>", None, None, "p2"),
        (
            BodyKind.REPLY,
            OPAQUE + "<auth><username>newpw</username><password>newpw</password></auth>",
            None,
            "newpw",
            "newpw",
        ),
    ],
)
def test_what_openconnect_9_01_was_seen_to_send(
    kind: BodyKind, inner: str, group: str | None, username: str | None, password: str | None
) -> None:
    body = parse(CAPTURED.format("init" if kind is BodyKind.INIT else "auth-reply", inner))
    assert (body.kind, body.group, body.username, body.password) == (kind, group, username, password)


def test_every_field_is_kept_and_unescaped() -> None:
    assert parse(TWO_CREDENTIALS).fields["csrf"] == "abc&1"


def test_the_opaque_copy_gives_the_handle() -> None:
    assert parse(TWO_CREDENTIALS).handle == "168179266"


def test_a_logout() -> None:
    body = parse(config_auth("logout", f"<session-token>{COOKIE}</session-token>"))
    assert (body.kind, body.token) == (BodyKind.LOGOUT, COOKIE)


@pytest.mark.parametrize("token", ["", "x", "a" * 44, "a" * 42 + "!"])
def test_a_logout_of_what_cannot_be_a_cookie(token: str) -> None:
    assert parse(config_auth("logout", f"<session-token>{token}</session-token>")).token == ""


@pytest.mark.parametrize("name", ["password", "password2", "secondary_password", "answer", "passcode"])
def test_the_names_of_an_answer(name: str) -> None:
    assert parse(config_auth("auth-reply", f"<auth><{name}>x</{name}></auth>")).password == "x"


def test_blanks_around_a_password_belong_to_it() -> None:
    assert parse(config_auth("auth-reply", "<auth><password> a b </password></auth>")).password == " a b "


def test_an_empty_password_is_one() -> None:
    assert parse(config_auth("auth-reply", "<auth><password/></auth>")).password == ""


def test_a_password_may_be_escaped_in_every_way() -> None:
    body = config_auth("auth-reply", "<auth><password>&lt;&#38;&#x3e;<![CDATA[<]]></password></auth>")
    assert parse(body).password == "<&><"


def test_fields_that_are_not_under_auth_are_none() -> None:
    assert parse(config_auth("auth-reply", "<opaque><auth><username>x</username></auth></opaque>")).username is None


def test_a_group_inside_auth_is_no_choice() -> None:
    assert parse(config_auth("auth-reply", "<auth><group-select>x</group-select></auth>")).group is None


def test_unknown_elements_are_passed_over() -> None:
    assert parse(config_auth("init", "<x><y>1</y></x><mac-address-list/>")).kind is BodyKind.INIT


def test_a_byte_order_mark_is_no_matter() -> None:
    assert parse(b"\xef\xbb\xbf" + config_auth("init", "").encode()).kind is BodyKind.INIT


def test_the_first_of_two_equal_fields_counts() -> None:
    fields = "<auth><username>a</username><username>b</username></auth>"
    assert parse(config_auth("auth-reply", fields)).username == "a"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<config-auth", id="cut short"),
        pytest.param("<config-auth type='init'></config-auth><x/>", id="two roots"),
        pytest.param("<config-auth type='init'>&unknown;</config-auth>", id="unknown entity"),
        pytest.param("<!DOCTYPE a><config-auth type='init'/>", id="DOCTYPE"),
        pytest.param("<!DOCTYPE a [<!ENTITY b 'c'>]><config-auth type='init'>&b;</config-auth>", id="entity"),
        pytest.param("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><config-auth type='init'/>", id="external DTD"),
        pytest.param("<auth><username>a</username></auth>", id="another root"),
        pytest.param("<config-auth type='auth-request'/>", id="a server's type"),
        pytest.param("<config-auth/>", id="no type"),
        pytest.param("<config-auth type='init'>" + "<a>" * 64, id="too deep"),
        pytest.param(
            "<config-auth type='auth-reply'><auth>" + "".join(f"<f{n}/>" for n in range(65)) + "</auth></config-auth>",
            id="too many fields",
        ),
        pytest.param(b"<config-auth type='init'>\xff</config-auth>", id="not UTF-8"),
        pytest.param(b"<\x00>", id="NUL"),
    ],
)
def test_xml_that_is_refused(body: str | bytes) -> None:
    assert refused(body) == 400


def test_a_document_cannot_choose_a_codec() -> None:
    assert parse('<?xml version="1.0" encoding="utf-7"?><config-auth type="init"/>').kind is BodyKind.INIT


def test_deep_but_not_too_deep() -> None:
    inner = "<a>" * 63 + "</a>" * 63
    assert parse(f"<config-auth type='init'>{inner}</config-auth>").kind is BodyKind.INIT


# ---- url-encoded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "username", "password", "group"),
    [
        ("group_list=guests&username=alice", "alice", None, "guests"),
        ("username=u1&password=p1", "u1", "p1", None),
        ("password=alice-pw-1", None, "alice-pw-1", None),
        ("group%5flist=a+b&username=%C3%A9", "é", None, "a b"),
        ("password=%20x+&username=u", "u", " x ", None),
        ("secondary_password=2", None, "2", None),
        ("", None, None, None),
        ("username=&password=", None, "", None),
        ("nonsense", None, None, None),
    ],
)
def test_url_encoded(body: str, username: str | None, password: str | None, group: str | None) -> None:
    parsed = parse(body)
    assert (parsed.username, parsed.password, parsed.group) == (username, password, group)


@pytest.mark.parametrize("body", [b"a=%ff", b"\xff=1", b"&".join(b"f%d=1" % n for n in range(65))])
def test_url_encoded_that_is_refused(body: bytes) -> None:
    assert refused(body) == 400


# ---- both -------------------------------------------------------------------------------------------------------


def test_a_name_of_63_bytes_is_read() -> None:
    assert parse("username=" + "a" * 63).username == "a" * 63


@pytest.mark.parametrize("name", ["a" * 64, "%C3%A9" * 32, "a%0Ab", "a%00"])
def test_a_name_that_is_refused(name: str) -> None:
    assert refused(f"username={name}") == 400


def test_an_answer_over_1024_bytes_is_refused() -> None:
    assert refused("password=" + "a" * 1025) == 400


def test_a_body_shows_no_answers() -> None:
    assert "p1" not in repr(parse(TWO_CREDENTIALS))


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_raise_nothing_else(body: bytes) -> None:
    with contextlib.suppress(ClientError):
        parse_auth_body(body)


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 500))
def test_almost_xml_raises_nothing_else(first: bytes, second: bytes, cut: int) -> None:
    with contextlib.suppress(ClientError):
        parse_auth_body(TWO_CREDENTIALS[:cut] + first + TWO_CREDENTIALS[cut:] + second)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_a_password_comes_through_unchanged(password: str) -> None:
    from xml.sax.saxutils import escape

    assert (
        parse(config_auth("auth-reply", f"<auth><password>{escape(password)}</password></auth>")).password == password
    )
