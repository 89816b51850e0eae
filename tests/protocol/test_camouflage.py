"""A server that is camouflaged: what strangers see of it, and who comes in."""

from __future__ import annotations

import pytest

from ocserv_core.model import Cookie
from ocserv_core.protocol.camouflage import Gate, OpenGate
from ocserv_core.protocol.login_table import State
from ocserv_core.protocol.login_words import AskInit, AskProfile, LoginSettings, OpenTunnel

from .dialogue import COOKIE, Dialogue, answer, init, reply

HIDDEN = LoginSettings("default", camouflage=True, camouflage_secret="s3cret")
REALM = LoginSettings("default", camouflage=True, camouflage_secret="s3cret", camouflage_realm='The "intranet"')
NO_SECRET = LoginSettings("default", camouflage=True)
WITH_COOKIE = {"Cookie": f"webvpn={COOKIE}"}


@pytest.mark.parametrize(
    "target", ["/", "/?", "/?s3cre", "/?s3cret&x", "/?x&s3cret", "/auth", "/logout", "/svc", "/x?"]
)
def test_a_stranger_sees_a_page_that_is_not_there(target: str) -> None:
    for d in (Dialogue(HIDDEN), Dialogue(NO_SECRET)):
        assert answer(d.gets(target)).status == 404
        assert d.closed


def test_a_stranger_s_post_is_not_read() -> None:
    assert answer(Dialogue(HIDDEN).posts("<config-auth", "/")).status == 404


def test_a_stranger_is_asked_for_a_password_where_a_realm_is_set() -> None:
    d = Dialogue(REALM)
    challenge = answer(d.gets("/"))
    assert challenge.status == 401
    assert challenge.all("WWW-Authenticate") == ['Basic realm="The \\"intranet\\""']
    assert d.closed


def test_who_knows_the_secret_sees_the_form_and_needs_it_no_more() -> None:
    d = Dialogue(HIDDEN)
    form = answer(d.posts(init(), "/?s3cret"))
    assert form.inputs == ["username", "password"]
    assert isinstance(d.posts(reply(username="alice", password="secret"), "/auth"), AskInit)


def test_the_form_s_address_carries_the_secret_to_the_next_connection() -> None:
    first, second = Dialogue(HIDDEN), Dialogue(HIDDEN)
    form = answer(first.posts(init(), "/?s3cret"))
    assert 'action="/auth?s3cret"' in form.body
    assert isinstance(second.posts(reply(username="alice", password="secret"), "/auth?s3cret"), AskInit)


def test_the_question_s_address_carries_it_too() -> None:
    d = Dialogue(HIDDEN)
    d.posts(reply(username="alice"), "/?s3cret")
    assert 'action="/auth?s3cret"' in answer(d.secmod_asks()).body


def test_a_living_session_s_cookie_opens() -> None:
    d = Dialogue(HIDDEN)
    assert d.gets("/VPNManifest.xml", **WITH_COOKIE) == AskProfile(Cookie(COOKIE))
    assert "<vpn" in answer(d.secmod_knows_the_cookie()).body
    assert answer(d.gets("/")).inputs == ["username", "password"]


def test_a_cookie_that_nobody_gave_opens_nothing() -> None:
    d = Dialogue(REALM)
    d.gets("/", **WITH_COOKIE)
    assert answer(d.secmod_knows_the_cookie(granted=False)).status == 401
    assert d.closed


def test_what_is_no_cookie_of_ours_is_a_stranger_s() -> None:
    assert answer(Dialogue(HIDDEN).gets("/", Cookie="webvpn=x")).status == 404


def test_a_knock_is_unanswered_where_secmod_is_lost() -> None:
    d = Dialogue(HIDDEN)
    d.gets("/", **WITH_COOKIE)
    assert answer(d.secmod_is_lost()[0]).status == 503


def test_connect_needs_no_secret() -> None:
    assert isinstance(Dialogue(HIDDEN).connects(), OpenTunnel)


@pytest.mark.parametrize("cookie", [None, "x"])
def test_connect_is_no_method_of_a_web_server(cookie: str | None) -> None:
    assert answer(Dialogue(HIDDEN).connects(cookie=cookie)).status == 405


def test_a_cookie_that_main_refuses_is_no_method_either() -> None:
    d = Dialogue(HIDDEN)
    d.connects()
    assert answer(d.main_refuses(401)).status == 405
    assert d.state() is State.CLOSED


def test_who_has_passed_is_told_the_truth_at_connect() -> None:
    d = Dialogue(HIDDEN)
    d.gets("/?s3cret")
    assert answer(d.connects(cookie=None)).status == 503


def test_a_gate_without_a_secret_opens_to_nobody() -> None:
    gate = Gate("", "")
    gate.try_query("")
    assert not gate.is_open


def test_an_open_gate_adds_nothing_to_the_form_s_address() -> None:
    assert (OpenGate().is_open, OpenGate().form_query) == (True, "")
