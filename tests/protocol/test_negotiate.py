"""A client whose security mechanism logs in: what it says in its headers, and the dialogues of it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.config.values import Group
from ocserv_core.errors import HttpViolation
from ocserv_core.model import CertificateFacts
from ocserv_core.protocol.http1 import MAX_HEAD, Headers
from ocserv_core.protocol.login_table import State
from ocserv_core.protocol.login_words import AskCont, AskInit, Close, ConnectionFacts, LoginSettings, Send
from ocserv_core.protocol.negotiate import MAX_NEGOTIATE_HEAD, MAX_TOKEN, parse_negotiate, supports_http_auth

from .dialogue import COOKIE, HANDLE, SHA1, Dialogue, answer, init, reply

ONLY = LoginSettings("default", methods=(("gssapi",),))
FIRST = LoginSettings("default", methods=(("gssapi",), ("plain",)), groups=(Group("staff", "staff"),))
SECOND = LoginSettings("default", methods=(("plain",), ("gssapi",)))
CERTIFICATE_TOO = LoginSettings("default", methods=(("certificate",), ("gssapi",)))

CAN = {"X_Support_HTTP_Auth": "true"}
"""The header of a client that would take an offer; Dialogue makes hyphens of underscores."""

OUT = "b3V0"
CHALLENGE, FALLBACK = "WWW-Authenticate", "X-HTTP-Auth-Support"


def with_token(token: bytes = b"ticket", scheme: str = "Negotiate") -> dict[str, str]:
    return {**CAN, "Authorization": f"{scheme} {base64.b64encode(token).decode()}"}


def negotiating(settings: LoginSettings = FIRST) -> Dialogue:
    """One that was asked for a second token."""
    d = Dialogue(settings)
    d.posts(init(), "/", **with_token())
    d.secmod_asks_the_mechanism()
    d.secmod_asks_the_mechanism(OUT)
    assert d.state() is State.NEGOTIATING
    return d


# ---- the offer ----------------------------------------------------------------------------------------------------


def test_who_can_is_offered_it_with_the_others_to_fall_back_to() -> None:
    d = Dialogue(FIRST)
    offer = answer(d.posts(init(), "/", **CAN))
    assert (offer.status, offer.body) == (401, "")
    assert (offer.all(CHALLENGE), offer.all(FALLBACK)) == (["Negotiate"], ["fallback"])
    assert not d.closed


def test_it_is_offered_though_it_is_the_second_method() -> None:
    assert answer(Dialogue(SECOND).gets("/", **CAN)).status == 401


def test_who_cannot_gets_the_form() -> None:
    assert answer(Dialogue(FIRST).posts(init(), "/")).inputs == ["username", "password"]
    assert answer(Dialogue(FIRST).gets("/")).inputs == ["username", "password"]


def test_where_there_is_no_other_way_everybody_is_offered_it() -> None:
    for offer in (
        answer(Dialogue(ONLY).gets("/")),
        answer(Dialogue(ONLY).posts(init(), "/")),
        answer(Dialogue(ONLY).posts(reply(username="alice", password="x"))),
    ):
        assert (offer.status, offer.all(CHALLENGE), offer.all(FALLBACK)) == (401, ["Negotiate"], [])


def test_a_reply_to_the_form_is_one_whatever_the_client_could_do() -> None:
    asked = Dialogue(FIRST).posts(reply(username="alice", password="x"), **CAN)
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.method) == ("alice", "plain")


def test_who_has_a_certificate_that_lets_in_is_offered_nothing() -> None:
    facts = ConnectionFacts(SHA1, CertificateFacts("carol"))
    asked = Dialogue(CERTIFICATE_TOO, facts).posts(init(), "/", **CAN)
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.method) == ("carol", "")


def test_without_the_method_a_token_means_nothing() -> None:
    assert answer(Dialogue().posts(init(), "/", **with_token())).inputs == ["username", "password"]


# ---- the token ----------------------------------------------------------------------------------------------------


def test_a_token_is_the_answer_to_the_first_question() -> None:
    d = Dialogue(FIRST)
    d.posts(init(), "/", **CAN)
    asked = d.posts(init("staff"), "/", **with_token())
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.group, asked.method) == ("", "staff", "")
    assert d.secmod_asks_the_mechanism() == AskCont(HANDLE, "", b"ticket")
    granted = answer(d.secmod_grants(OUT))
    assert (granted.status, granted.element("session-token")) == (200, COOKIE)
    assert granted.all(CHALLENGE) == [f"Negotiate {OUT}"]
    assert d.state() is State.GRANTED


def test_the_token_may_come_with_a_get() -> None:
    asked = Dialogue(SECOND).gets("/", **with_token(scheme="negotiate"))
    assert isinstance(asked, AskInit)
    assert asked.method == "gssapi"


def test_a_grant_without_a_token_says_nothing_to_the_mechanism() -> None:
    d = Dialogue(FIRST)
    d.posts(init(), "/", **with_token())
    d.secmod_asks_the_mechanism()
    assert answer(d.secmod_grants()).all(CHALLENGE) == []


def test_a_second_token_is_asked_for_by_401() -> None:
    d = Dialogue(FIRST)
    d.posts(init(), "/", **with_token())
    d.secmod_asks_the_mechanism()
    more = answer(d.secmod_asks_the_mechanism(OUT))
    assert (more.status, more.all(CHALLENGE), more.all(FALLBACK)) == (401, [f"Negotiate {OUT}"], ["fallback"])
    assert d.posts(init(), "/", **with_token(b"more")) == AskCont(HANDLE, "", b"more")
    assert answer(d.secmod_grants()).status == 200


def test_a_denial_leads_to_the_next_method_s_form() -> None:
    d = Dialogue(FIRST)
    d.posts(init(), "/", **with_token())
    d.secmod_asks_the_mechanism()
    form = answer(d.secmod_denies("Login failed.", OUT))
    assert (form.status, form.inputs) == (200, ["username", "password"])
    assert form.all(CHALLENGE) == [f"Negotiate {OUT}"]
    asked = d.posts(reply(username="alice", password="x"), **CAN)
    assert isinstance(asked, AskInit)
    assert asked.method == "plain"


def test_a_denial_at_once_leads_there_too() -> None:
    d = Dialogue(FIRST)
    d.posts(init(), "/", **with_token())
    assert answer(d.secmod_denies("The server is busy")).inputs == ["username", "password"]


def test_after_a_denial_it_is_offered_no_more() -> None:
    d = Dialogue(FIRST)
    d.posts(init(), "/", **with_token())
    d.secmod_denies()
    assert answer(d.gets("/", **CAN)).status == 200


def test_a_denial_of_the_next_method_is_final() -> None:
    d = Dialogue(FIRST)
    d.posts(init(), "/", **with_token())
    d.secmod_denies()
    d.posts(reply(username="alice", password="x"))
    d.secmod_asks()
    assert answer(d.secmod_denies()).status == 401
    assert d.closed


def test_where_there_is_no_other_way_a_denial_is_final() -> None:
    d = Dialogue(ONLY)
    d.posts(init(), "/", **with_token())
    d.secmod_asks_the_mechanism()
    denied = answer(d.secmod_denies("Login failed.", OUT))
    assert (denied.status, denied.all(CHALLENGE)) == (401, [f"Negotiate {OUT}"])
    assert d.closed


# ---- in between ---------------------------------------------------------------------------------------------------


def test_a_token_while_a_user_is_asked_or_logged_in_is_a_login_of_its_own() -> None:
    d = Dialogue(FIRST)
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert isinstance(d.gets("/", **with_token()), AskInit)
    d.secmod_asks_the_mechanism()
    d.secmod_grants()
    assert isinstance(d.gets("/", **with_token()), AskInit)


def test_an_offer_forgets_what_was_asked() -> None:
    asked = Dialogue(FIRST)
    asked.posts(reply(username="alice"))
    asked.secmod_asks()
    granted = Dialogue(FIRST)
    granted.posts(init(), "/", **with_token())
    granted.secmod_grants()
    for d in (asked, granted, negotiating()):
        assert answer(d.gets("/", **CAN)).status == 401
        assert d.state() is State.START


def test_what_else_may_come_instead_of_the_second_token() -> None:
    assert answer(negotiating().gets("/")).inputs == ["username", "password"]
    assert answer(negotiating().posts(init())).inputs == ["username", "password"]
    assert answer(negotiating().gets("/1/index.html")).status == 200
    assert answer(negotiating().gets("/nothing")).status == 404
    assert answer(negotiating().posts("<")).status == 400
    assert answer(negotiating().gets("/logout")).status == 200
    assert answer(negotiating().connects(cookie=None)).status == 503
    assert not isinstance(negotiating().connects(), Send)
    assert isinstance(negotiating().posts(reply(username="alice")), AskInit)
    assert answer(negotiating().posts(reply())).inputs == ["username", "password"]
    assert negotiating().posts(reply(password="x"), Cookie="webvpncontext=other") == AskCont("other", "x")
    assert answer(negotiating().posts(reply("no-group", username="alice"))).status == 401


def test_a_certificate_s_login_while_negotiating() -> None:
    settings = LoginSettings("default", methods=(("certificate", "gssapi"), ("certificate",)))
    d = Dialogue(settings, ConnectionFacts(SHA1, CertificateFacts("carol")))
    asked = d.posts(init(), "/", **with_token())
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.method) == ("carol", "")
    d.secmod_asks_the_mechanism()
    d.secmod_asks_the_mechanism(OUT)
    assert isinstance(d.posts(init()), AskInit)


def test_the_profile_while_negotiating() -> None:
    settings = LoginSettings("default", methods=FIRST.methods, profile=b"<x/>")
    d = negotiating(settings)
    d.gets("/profiles/p.xml", Cookie=f"webvpn={COOKIE}")
    assert answer(d.secmod_knows_the_cookie()).status == 200
    assert d.state() is State.NEGOTIATING
    assert answer(negotiating(settings).gets("/profiles/p.xml")).status == 401


def test_secmod_is_lost_between_two_tokens() -> None:
    d = negotiating()
    assert d.secmod_is_lost() == []
    assert isinstance(d.posts(init(), "/", **with_token()), AskInit)


def test_secmod_is_lost_while_it_is_asked() -> None:
    for settings, status in ((FIRST, 200), (ONLY, 401)):
        d = Dialogue(settings)
        d.posts(init(), "/", **with_token())
        send, *rest = d.secmod_is_lost()
        assert (answer(send).status, rest) == (status, [])
        assert d.state() is State.START


def test_no_token_stands_in_a_repr() -> None:
    d = Dialogue(FIRST)
    asked = d.posts(init(), "/", **with_token(b"a-secret-of-a-ticket"))
    assert "a-secret-of-a-ticket" not in f"{asked!r} {d.secmod_asks_the_mechanism()!r}"


# ---- the headers --------------------------------------------------------------------------------------------------


def headers(**values: str) -> Headers:
    return Headers(tuple((name.replace("_", "-"), value) for name, value in values.items()))


@pytest.mark.parametrize(("value", "can"), [("true", True), (" TRUE ", True), ("false", False), ("", False)])
def test_what_a_client_says_of_itself(value: str, can: bool) -> None:
    assert supports_http_auth(headers(X_Support_HTTP_Auth=value)) is can


@pytest.mark.parametrize("value", ["", "Basic YTpi", "Bearer x", "NegotiateYQ=="])
def test_other_schemes_are_none_of_ours(value: str) -> None:
    assert parse_negotiate(headers(Authorization=value)) is None


@pytest.mark.parametrize("value", ["Negotiate", "Negotiate ", "Negotiate !!", "Negotiate YQ", "Negotiate YQ== YQ=="])
def test_what_is_no_token_is_a_bad_request(value: str) -> None:
    with pytest.raises(HttpViolation) as violation:
        parse_negotiate(headers(Authorization=value))
    assert violation.value.status == 400


def test_a_token_has_its_bound() -> None:
    largest = base64.b64encode(bytes(MAX_TOKEN)).decode()
    assert parse_negotiate(headers(Authorization=f"Negotiate {largest}")) == bytes(MAX_TOKEN)
    assert len(largest) < 64 * 1024
    with pytest.raises(HttpViolation) as violation:
        parse_negotiate(headers(Authorization=f"Negotiate {base64.b64encode(bytes(MAX_TOKEN + 1)).decode()}"))
    assert violation.value.status == 431


@given(st.binary(min_size=1, max_size=200))
def test_every_token_comes_through(token: bytes) -> None:
    assert parse_negotiate(headers(Authorization=f"Negotiate {base64.b64encode(token).decode()}")) == token


def test_a_head_may_be_that_long_where_a_token_may_be_in_it() -> None:
    assert Dialogue(FIRST).login.max_head == MAX_NEGOTIATE_HEAD
    assert Dialogue().login.max_head == MAX_HEAD


def test_a_bad_token_ends_the_connection() -> None:
    d = Dialogue(FIRST)
    assert answer(d.gets("/", Authorization="Negotiate !!")).status == 400
    assert isinstance(d.commands[-1], Close)
