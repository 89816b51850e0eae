"""Client says, server says: the logins of protocol/login.py."""

from __future__ import annotations

import hashlib
import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.config.values import Group
from ocserv_core.errors import PeerViolation
from ocserv_core.model import CertificateFacts, Cookie
from ocserv_core.protocol.http1 import Headers, Request
from ocserv_core.protocol.login import Login
from ocserv_core.protocol.login_table import TRANSITIONS, State
from ocserv_core.protocol.login_words import (
    AskCont,
    AskInit,
    AskProfile,
    ConnectionFacts,
    LoginSettings,
    LogOut,
    OpenTunnel,
    Warn,
)

from . import test_camouflage, test_kkdcp, test_negotiate
from .dialogue import COOKIE, HANDLE, SHA1, Dialogue, RecordedLogin, answer, config_auth, http, init, reply

GROUPS = LoginSettings(
    "default",
    groups=(Group("staff", "Staff members"), Group("guests", "guests")),
    default_group="DEFAULT",
)
BY_URL = LoginSettings("default", groups=GROUPS.groups, select_group_by_url=True)
CERTIFICATE = LoginSettings("default", methods=(("certificate",), ("plain",)), phones=True)


def presented(*groups: str) -> ConnectionFacts:
    return ConnectionFacts(SHA1, CertificateFacts("carol", groups))


# ---- XML clients ------------------------------------------------------------------------------------------------


def test_the_first_form_asks_for_name_and_password() -> None:
    form = answer(Dialogue().posts(init(), "/"))
    assert form.inputs == ["username", "password"]


def test_the_first_form_begins_no_conversation() -> None:
    form = answer(Dialogue().posts(init(), "/"))
    assert form.all("Set-Cookie") == ["webvpncontext=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly"]


def test_the_first_form_shows_the_pre_login_banner() -> None:
    d = Dialogue(LoginSettings("default", pre_login_banner="Ours & nobody else's"))
    assert answer(d.posts(init(), "/")).element("banner") == "Ours &amp; nobody else&#x27;s"


def test_name_and_password_in_one_post() -> None:
    d = Dialogue()
    d.posts(init(), "/")
    asked = d.posts(reply(username="alice", password="secret"))
    assert isinstance(asked, AskInit)
    assert (asked.vhost, asked.username, asked.group, asked.method) == ("default", "alice", "", "")
    assert d.secmod_asks() == AskCont(HANDLE, "secret")
    assert answer(d.secmod_grants()).element("session-token") == COOKIE
    assert d.state() is State.GRANTED


def test_name_and_password_in_rounds() -> None:
    d = Dialogue()
    d.posts(init(), "/")
    d.posts(reply(username="alice"))
    form = answer(d.secmod_asks())
    assert form.inputs == ["password"]
    assert d.posts(reply(password="secret")) == AskCont(HANDLE, "secret")


def test_a_question_names_its_conversation_in_cookie_and_opaque() -> None:
    d = Dialogue(LoginSettings("default", cookie_timeout=120))
    d.posts(reply(username="alice"))
    form = answer(d.secmod_asks())
    assert form.all("Set-Cookie") == [f"webvpncontext={HANDLE}; Max-Age=120; Secure; HttpOnly"]
    assert form.element("aggauth-handle") == HANDLE


def test_a_wrong_password_is_asked_for_again_with_the_message() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="wrong"))
    d.secmod_asks()
    form = answer(d.secmod_asks("Login failed.\nPlease enter your password."))
    assert form.element("message") == "Login failed.\nPlease enter your password."
    assert d.posts(reply(password="right")) == AskCont(HANDLE, "right")


def test_the_retry_may_repeat_the_name() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="wrong"))
    d.secmod_asks()
    d.secmod_asks("Login failed.")
    assert d.posts(reply(username="alice", password="right")) == AskCont(HANDLE, "right")


def test_another_name_in_the_retry_is_another_login() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="wrong"))
    d.secmod_asks()
    d.secmod_asks("Login failed.")
    asked = d.posts(reply(username="bob", password="his"))
    assert isinstance(asked, AskInit)
    assert asked.username == "bob"


def test_an_answer_without_a_password_gets_the_question_again() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks("Token?")
    assert answer(d.posts(reply(unknown="x"))).element("message") == "Token?"


def test_an_empty_password_is_an_answer() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert d.posts(config_auth("auth-reply", "<auth><password/></auth>")) == AskCont(HANDLE, "")


def test_a_second_question_is_numbered() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="secret"))
    d.secmod_asks()
    form = answer(d.secmod_asks("Code?", counter=1))
    assert form.inputs == ["secondary_password"]
    assert 'label="Password2:"' in form.body


def test_a_question_that_is_no_secret_is_shown_while_typed() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    form = answer(d.secmod_asks("Which PIN?", secret=False))
    assert '<input type="text" name="answer"' in form.body
    assert d.posts("answer=2") == AskCont(HANDLE, "2")


def test_the_final_denial_is_401_and_the_end() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="wrong"))
    d.secmod_asks()
    denied = answer(d.secmod_denies("Too many tries"))
    assert denied.status_line == "HTTP/1.1 401 Authentication failed"
    assert d.closed


def test_a_denial_without_a_question() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="x"))
    assert answer(d.secmod_denies()).status == 401


def test_a_new_init_forgets_the_open_question() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert answer(d.posts(init())).inputs == ["username", "password"]
    assert d.state() is State.START


def test_another_connection_goes_on_by_the_context_cookie() -> None:
    d = Dialogue()
    asked = d.posts(reply(password="secret"), Cookie=f"webvpncontext={HANDLE}")
    assert asked == AskCont(HANDLE, "secret")


def test_another_connection_goes_on_by_the_opaque_copy() -> None:
    opaque = f'<opaque is-for="sg"><aggauth-handle>{HANDLE}</aggauth-handle></opaque>'
    body = config_auth("auth-reply", f"{opaque}<auth><password>secret</password></auth>")
    assert Dialogue().posts(body) == AskCont(HANDLE, "secret")


def test_a_password_of_no_conversation_gets_the_form() -> None:
    assert answer(Dialogue().posts(reply(password="secret"))).inputs == ["username", "password"]


def test_a_logout_is_told_to_secmod_and_acknowledged_with_a_body() -> None:
    d = Dialogue()
    said = d.posts(config_auth("logout", f"<session-token>{COOKIE}</session-token>"))
    assert said == LogOut(Cookie(COOKIE))
    bye = answer(d.commands[1])
    assert bye.status == 200
    assert bye.body


def test_a_logout_by_cookie_alone() -> None:
    assert Dialogue().posts(config_auth("logout", ""), Cookie=f"webvpn={COOKIE}") == LogOut(Cookie(COOKIE))


def test_a_logout_by_its_page() -> None:
    d = Dialogue()
    assert d.gets("/logout", Cookie=f"webvpn={COOKIE}") == LogOut(Cookie(COOKIE))
    assert answer(d.commands[1]).body == "<html></html>\n"


@pytest.mark.parametrize("token", ["", "<session-token>nonsense</session-token>"])
def test_a_logout_of_nobody_is_acknowledged(token: str) -> None:
    assert answer(Dialogue().posts(config_auth("logout", token))).status == 200
    assert answer(Dialogue().gets("/logout")).status == 200


def test_a_logout_that_closes_is_told_first() -> None:
    d = Dialogue()
    d.gets("/logout", Cookie=f"webvpn={COOKIE}", Connection="close")
    assert isinstance(d.commands[0], LogOut)
    assert d.closed


def test_a_logout_leaves_an_open_question_and_a_login_alone() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    d.posts(config_auth("logout", ""))
    assert d.state() is State.PROMPTED
    d.posts(reply(password="x"))
    d.secmod_grants()
    d.posts(config_auth("logout", ""))
    assert d.state() is State.GRANTED


# ---- success ----------------------------------------------------------------------------------------------------


def logged_in(settings: LoginSettings | None = None) -> Dialogue:
    d = Dialogue(settings)
    d.posts(reply(username="alice", password="secret"))
    d.secmod_asks()
    d.secmod_grants()
    return d


def test_success_sets_the_cookies_in_the_order_that_clients_need() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="secret"))
    d.secmod_asks()
    assert answer(d.secmod_grants()).all("Set-Cookie") == [
        f"webvpncontext={HANDLE}; Secure; HttpOnly",
        f"webvpn={COOKIE}; Secure; HttpOnly",
        "webvpnc=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly",
        f"webvpnc=bu:/&p:t&iu:1/&sh:{SHA1}; path=/; Secure; HttpOnly",
    ]


def test_success_names_the_profile_and_its_hash() -> None:
    d = Dialogue(LoginSettings("default", profile=b"<x/>", profile_name="p.xml"))
    d.posts(reply(username="alice", password="secret"))
    d.secmod_asks()
    granted = answer(d.secmod_grants())
    sha1 = hashlib.sha1(b"<x/>").hexdigest().upper()
    assert (granted.element("uri"), granted.element("hash")) == ("/profiles/p.xml", sha1)
    assert f"&fu:profiles%2Fp.xml&fh:{sha1};" in granted.all("Set-Cookie")[-1]


def test_success_shows_the_banner() -> None:
    d = Dialogue(LoginSettings("default", banner="Authorised use only"))
    d.posts(reply(username="alice", password="secret"))
    d.secmod_asks()
    assert answer(d.secmod_grants()).element("banner") == "Authorised use only"


def test_the_answers_carry_the_included_headers() -> None:
    d = Dialogue(LoginSettings("default", included_headers=("X-Frame-Options: deny",)))
    assert answer(d.posts(init(), "/")).all("X-Frame-Options") == ["deny"]


def test_a_refusal_carries_no_included_header() -> None:
    d = Dialogue(LoginSettings("default", included_headers=("X-Frame-Options: deny",)))
    assert answer(d.gets("/nothing")).all("X-Frame-Options") == []


def test_who_is_logged_in_may_log_in_again() -> None:
    d = logged_in()
    assert answer(d.posts(init(), "/")).inputs == ["username", "password"]


def test_who_is_logged_in_may_reply_again() -> None:
    d = logged_in()
    assert isinstance(d.posts(reply(username="bob", password="x")), AskInit)
    d = logged_in()
    assert answer(d.posts(reply())).inputs == ["username", "password"]
    d = logged_in()
    assert d.posts(reply(password="x"), Cookie="webvpncontext=other") == AskCont("other", "x")


# ---- clients without XML ----------------------------------------------------------------------------------------


def test_a_url_encoded_login() -> None:
    d = Dialogue(GROUPS)
    assert answer(d.gets("/")).inputs == ["username", "password"]
    asked = d.posts("group_list=guests&username=alice")
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.group) == ("alice", "guests")
    assert answer(d.secmod_asks()).inputs == ["password"]
    assert d.posts("password=alice-pw-1") == AskCont(HANDLE, "alice-pw-1")
    assert answer(d.secmod_grants()).status == 200


def test_a_url_encoded_login_in_one_post() -> None:
    d = Dialogue()
    d.posts("username=u1&password=p1")
    assert d.secmod_asks() == AskCont(HANDLE, "p1")


def test_a_get_of_the_form_forgets_the_open_question() -> None:
    d = Dialogue()
    d.posts("username=u1")
    d.secmod_asks()
    d.gets("/auth")
    assert d.state() is State.START


@pytest.mark.parametrize("path", ["/", "/auth", "/VPN", "/?secret", "/auth?x=1", "/auth/"])
def test_where_the_form_lives(path: str) -> None:
    assert answer(Dialogue().gets(path)).inputs == ["username", "password"]


def test_openconnect_3_gets_the_documents_without_wrapper() -> None:
    agent = "Open AnyConnect VPN Agent v3.20"
    d = Dialogue()
    assert "<config-auth" not in answer(d.gets("/", User_Agent=agent)).body
    d.posts("username=u1", User_Agent=agent)
    assert '<auth id="passwd">' in answer(d.secmod_asks()).body
    d.posts("password=p1", User_Agent=agent)
    granted = answer(d.secmod_grants())
    assert granted.body.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<auth id="success">')


def test_http_1_0_is_answered_and_closed() -> None:
    d = Dialogue()
    form = answer(d.client(http("GET", "/", version="1.0")))
    assert form.all("Connection") == ["close"]
    assert d.closed


def test_connection_close_is_obeyed_after_secmods_answer() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="secret"), Connection="close")
    d.secmod_asks()
    assert answer(d.secmod_grants()).all("Connection") == ["close"]
    assert d.closed


# ---- groups -----------------------------------------------------------------------------------------------------


def test_the_list_begins_with_the_default_line() -> None:
    assert answer(Dialogue(GROUPS).posts(init(), "/")).options == ["DEFAULT", "staff", "guests"]


def test_the_chosen_group_comes_first_and_selected() -> None:
    form = answer(Dialogue(GROUPS).posts(init("guests")))
    assert form.options == ["guests", "DEFAULT", "staff"]
    assert '<option value="guests" selected="true">guests</option>' in form.body


def test_a_label_is_as_good_as_its_value() -> None:
    assert answer(Dialogue(GROUPS).posts(init("Staff members"))).options[0] == "staff"


def test_the_default_line_means_no_group() -> None:
    d = Dialogue(GROUPS)
    d.posts(init("DEFAULT"))
    asked = d.posts(reply("DEFAULT", username="alice"))
    assert isinstance(asked, AskInit)
    assert asked.group == ""


def test_the_choice_lasts_for_the_reply() -> None:
    d = Dialogue(GROUPS)
    d.posts(init("staff"))
    asked = d.posts(reply(username="alice", password="x"))
    assert isinstance(asked, AskInit)
    assert asked.group == "staff"


def test_a_stale_group_in_an_init_shows_the_list() -> None:
    assert answer(Dialogue(GROUPS).posts(init("gone"))).options == ["DEFAULT", "staff", "guests"]


def test_an_unknown_group_in_a_reply_is_denied() -> None:
    d = Dialogue(GROUPS)
    assert answer(d.posts(reply("gone", username="alice", password="x"))).status == 401
    assert d.closed


def test_an_unknown_group_for_another_user_in_the_retry_is_denied() -> None:
    d = Dialogue(GROUPS)
    d.posts(reply("staff", username="alice"))
    d.secmod_asks()
    assert answer(d.posts(reply("gone", username="bob", password="x"))).status == 401


def test_who_is_logged_in_is_denied_an_unknown_group_too() -> None:
    d = logged_in(GROUPS)
    assert answer(d.posts(reply("gone", username="alice", password="x"))).status == 401


def test_without_a_list_a_typed_group_is_for_secmod_to_judge() -> None:
    asked = Dialogue().posts(reply("hidden", username="alice", password="x"))
    assert isinstance(asked, AskInit)
    assert asked.group == "hidden"


def test_a_group_url_hides_the_other_groups() -> None:
    d = Dialogue(BY_URL)
    assert answer(d.posts(init(), "/secret-group")).options == ["secret-group"]
    asked = d.posts(reply(username="alice", password="x"))
    assert isinstance(asked, AskInit)
    assert asked.group == "secret-group"


def test_a_group_url_counts_on_the_next_connection_too() -> None:
    asked = Dialogue(BY_URL).posts(reply("secret-group", username="alice", password="x"))
    assert isinstance(asked, AskInit)
    assert asked.group == "secret-group"


@pytest.mark.parametrize("path", ["/", "/auth", "/VPN", "/1/index.html", "/a/b"])
def test_what_is_no_group_url(path: str) -> None:
    assert answer(Dialogue(BY_URL).posts(init(), path)).options == ["staff", "guests"]


def test_a_get_of_a_group_url_is_not_found() -> None:
    assert answer(Dialogue(BY_URL).gets("/secret-group")).status == 404


# ---- certificates -----------------------------------------------------------------------------------------------


def test_a_certificate_logs_in_at_once() -> None:
    d = Dialogue(CERTIFICATE, presented())
    asked = d.posts(init(), "/")
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.method, asked.certificate) == ("carol", "", CertificateFacts("carol"))
    granted = answer(d.secmod_grants())
    assert granted.all("Set-Cookie")[0].startswith("webvpncontext=; expires=")


def test_a_certificate_logs_in_by_an_alternative() -> None:
    d = Dialogue(LoginSettings("default", methods=(("plain",), ("certificate",))), presented())
    asked = d.posts(init(), "/")
    assert isinstance(asked, AskInit)
    assert asked.method == "certificate"


def test_without_a_certificate_the_alternative_is_taken() -> None:
    d = Dialogue(CERTIFICATE)
    d.posts(init(), "/")
    asked = d.posts(reply(username="alice", password="x"))
    assert isinstance(asked, AskInit)
    assert asked.method == "plain"


def test_without_a_certificate_and_without_an_alternative_there_is_no_way_in() -> None:
    d = Dialogue(LoginSettings("default", methods=(("certificate",),)))
    assert answer(d.posts(init(), "/")).element("error") == "Certificate Validation Failure"
    assert answer(d.posts("username=a&password=b")).element("error") == "Certificate Validation Failure"


def test_the_only_group_of_a_certificate_is_taken_silently() -> None:
    asked = Dialogue(CERTIFICATE, presented("staff")).posts(init(), "/")
    assert isinstance(asked, AskInit)
    assert asked.group == "staff"


def test_several_groups_of_a_certificate_are_asked_for() -> None:
    d = Dialogue(CERTIFICATE, presented("staff", "guests"))
    form = answer(d.posts(init(), "/"))
    assert form.element("message") == "Please select your group."
    assert (form.inputs, form.options) == ([], ["staff", "guests"])
    asked = d.posts(init("guests"))
    assert isinstance(asked, AskInit)
    assert asked.group == "guests"


def test_a_reply_may_choose_the_certificates_group() -> None:
    d = Dialogue(CERTIFICATE, presented("staff", "guests"))
    d.posts(init(), "/")
    asked = d.posts(reply("guests"))
    assert isinstance(asked, AskInit)
    assert asked.group == "guests"


def test_a_certificate_beside_a_password_asks_for_both() -> None:
    d = Dialogue(LoginSettings("default", methods=(("plain", "certificate"),)), presented())
    assert answer(d.posts(init(), "/")).inputs == ["username", "password"]
    asked = d.posts(reply(username="carol", password="x"))
    assert isinstance(asked, AskInit)
    assert asked.certificate == CertificateFacts("carol")


def test_an_init_while_asked_or_logged_in_may_begin_by_certificate() -> None:
    d = Dialogue(CERTIFICATE, presented())
    d.posts(init(), "/")
    d.secmod_asks()
    assert isinstance(d.posts(init(), "/"), AskInit)
    d.secmod_grants()
    assert isinstance(d.posts(init(), "/"), AskInit)


# ---- secmod is lost ---------------------------------------------------------------------------------------------


def test_a_lost_secmod_starts_the_login_again() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="x"))
    form = answer(d.secmod_is_lost()[0])
    assert form.inputs == ["username", "password"]
    assert form.element("error") == "The login was interrupted. Please log in again."


def test_a_lost_secmod_in_a_later_round_starts_the_login_again() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="x"))
    d.secmod_asks()
    assert answer(d.secmod_is_lost()[0]).inputs == ["username", "password"]


def test_an_answer_to_a_lost_conversation_gets_the_form() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert d.secmod_is_lost() == []
    form = answer(d.posts(reply(password="x"), Cookie=f"webvpncontext={HANDLE}"))
    assert form.inputs == ["username", "password"]


def test_a_lost_secmod_is_nothing_to_who_asks_nothing() -> None:
    d = Dialogue()
    assert d.secmod_is_lost() == []
    d = logged_in()
    assert d.secmod_is_lost() == []
    d.connects()
    assert d.secmod_is_lost() == []
    d.main_refuses(503)
    assert d.secmod_is_lost() == []


# ---- CONNECT ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/CSCOSSLC/tunnel", "CSCOSSLC/tunnel"])
def test_connect_with_a_cookie_asks_for_the_tunnel(target: str) -> None:
    asked = Dialogue().connects(target)
    assert isinstance(asked, OpenTunnel)
    assert asked.request.cookie == COOKIE


def test_connect_on_the_connection_of_the_login() -> None:
    d = logged_in()
    assert isinstance(d.connects(), OpenTunnel)
    assert d.state() is State.CONNECTING


def test_connect_while_a_question_is_open() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert isinstance(d.connects(), OpenTunnel)


def test_connect_without_a_cookie_is_unavailable() -> None:
    d = Dialogue()
    assert answer(d.connects(cookie=None)).status == 503
    assert d.closed


def test_connect_without_a_cookie_after_a_login_or_a_question_is_unavailable() -> None:
    assert answer(logged_in().connects(cookie=None)).status == 503
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert answer(d.connects(cookie=None)).status == 503


@pytest.mark.parametrize("cookie", ["", "short", COOKIE + "=", "(null)"])
def test_connect_with_a_cookie_that_is_none_is_refused(cookie: str) -> None:
    assert answer(Dialogue().connects(cookie=cookie)).status_line == "HTTP/1.1 401 Cookie is not acceptable"


def test_connect_to_another_url_is_not_found() -> None:
    assert answer(Dialogue().connects("/tunnel")).status == 404


def test_main_may_refuse_the_cookie() -> None:
    d = Dialogue()
    d.connects()
    assert answer(d.main_refuses(401, "expired")).status_line == "HTTP/1.1 401 Cookie is not acceptable"
    assert d.closed


def test_main_may_be_out_of_addresses() -> None:
    d = Dialogue()
    d.connects()
    refused = answer(d.main_refuses(503, "No address is free"))
    assert refused.status_line == "HTTP/1.1 503 Service Unavailable"
    assert refused.all("X-Reason") == ["No address is free"]


# ---- other requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"])
def test_other_methods_are_not_found_and_closed(method: str) -> None:
    d = Dialogue()
    assert answer(d.client(http(method, "/"))).status == 404
    assert d.closed


@pytest.mark.parametrize("path", ["/+CSCOE+/logon.html", "/cert.pem", "/auth-not"])
def test_unknown_urls_are_not_found_and_closed(path: str) -> None:
    d = Dialogue()
    assert answer(d.gets(path)).status == 404
    assert d.closed


def test_unknown_urls_while_asked_or_logged_in() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert answer(d.gets("/nothing")).status == 404
    assert answer(logged_in().gets("/nothing")).status == 404


def test_pages_leave_the_state_alone() -> None:
    d = Dialogue()
    d.gets("/1/index.html")
    assert d.state() is State.START
    d.posts(reply(username="alice"))
    d.secmod_asks()
    d.gets("/VPNManifest.xml")
    assert d.state() is State.PROMPTED
    d.posts(reply(password="x"))
    d.secmod_grants()
    assert answer(d.gets("/1/binaries/update.txt")).body == "0,0,0000\n"
    assert d.state() is State.GRANTED


def test_a_get_of_the_form_after_login_starts_again() -> None:
    d = logged_in()
    assert answer(d.gets("/")).status == 200
    assert d.state() is State.START


PROFILE = LoginSettings("default", profile=b"<profile/>")


def test_the_profile_is_served_after_login_if_secmod_knows_the_cookie() -> None:
    d = logged_in(PROFILE)
    assert d.gets("/profiles/p.xml") == AskProfile(Cookie(COOKIE))
    assert answer(d.secmod_knows_the_cookie()).body == "<profile/>"
    assert d.state() is State.GRANTED


def test_the_profile_is_served_to_a_cookie_that_secmod_knows() -> None:
    d = Dialogue(PROFILE)
    assert d.gets("/profiles/../../etc/shadow", Cookie=f"webvpn={COOKIE}") == AskProfile(Cookie(COOKIE))
    assert answer(d.secmod_knows_the_cookie()).body == "<profile/>"
    assert d.state() is State.START


def test_the_profile_is_refused_to_a_cookie_that_secmod_does_not_know() -> None:
    d = Dialogue(PROFILE)
    d.gets("/profiles/p.xml", Cookie=f"webvpn={COOKIE}")
    assert answer(d.secmod_knows_the_cookie(granted=False)).status == 401
    assert d.closed


def test_the_profile_without_secmod_is_for_later() -> None:
    d = Dialogue(PROFILE)
    d.gets("/profiles/p.xml", Cookie=f"webvpn={COOKIE}")
    assert answer(d.secmod_is_lost()[0]).status == 503
    assert d.closed


@pytest.mark.parametrize("cookie", ["", "webvpn=", "webvpn=nonsense"])
def test_the_profile_is_refused_without_a_cookie(cookie: str) -> None:
    d = Dialogue(PROFILE)
    assert answer(d.gets("/profiles/p.xml", Cookie=cookie)).status == 401
    assert d.closed


def test_the_profile_without_a_cookie_in_any_state() -> None:
    d = Dialogue(PROFILE)
    assert answer(d.gets("/profiles/p.xml")).status == 401
    d = Dialogue(PROFILE)
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert answer(d.gets("/profiles/p.xml")).status == 401


def test_the_profile_while_asked() -> None:
    d = Dialogue(PROFILE)
    d.posts(reply(username="alice"))
    d.secmod_asks()
    d.gets("/profiles/p.xml", Cookie=f"webvpn={COOKIE}")
    assert answer(d.secmod_knows_the_cookie()).status == 200
    assert d.state() is State.PROMPTED


def test_a_new_form_forgets_the_cookie() -> None:
    d = logged_in(PROFILE)
    d.gets("/")
    assert answer(d.gets("/profiles/p.xml")).status == 401


def test_no_profile_is_not_found() -> None:
    assert answer(logged_in().gets("/profiles/p.xml")).status == 404


# ---- what is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "<config-auth",
        "<other/>",
        '<config-auth type="strange"/>',
        '<!DOCTYPE x><config-auth type="init"/>',
        f"username={'a' * 64}",
        "username=a%00b",
    ],
)
def test_a_body_that_cannot_be_read_is_a_bad_request(body: str) -> None:
    d = Dialogue()
    assert answer(d.posts(body, "/")).status == 400
    assert d.closed


def test_a_request_that_is_none_is_answered_and_closed() -> None:
    d = Dialogue()
    assert answer(d.client(b"GET /\n\n")).status == 400
    assert d.closed


def test_a_bad_request_while_asked_or_logged_in() -> None:
    d = Dialogue()
    d.posts(reply(username="alice"))
    d.secmod_asks()
    assert answer(d.posts("<")).status == 400
    assert answer(logged_in().posts("<")).status == 400


def test_the_seventeenth_request_ends_the_connection() -> None:
    d = Dialogue()
    for _ in range(16):
        assert answer(d.gets("/")).status == 200
    assert answer(d.client(http("GET", "/"))).status == 429
    assert d.closed


def test_an_answer_that_was_not_asked_for_is_a_violation() -> None:
    with pytest.raises(PeerViolation):
        Dialogue().secmod_grants()


def test_no_secret_stands_in_a_repr() -> None:
    d = Dialogue()
    d.posts(reply(username="alice", password="hunter2"))
    asked = d.secmod_asks()
    granted = d.secmod_grants()
    tunnel = logged_in().connects()
    assert not re.search(f"hunter2|{COOKIE}", f"{asked!r} {granted!r} {tunnel!r} {d.commands!r}")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("GET", "POST", "CONNECT", "PUT")),
            st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
            st.one_of(st.binary(max_size=80), st.sampled_from((init().encode(), reply(username="a").encode()))),
            st.text(st.characters(max_codepoint=255), max_size=60),
        ),
        max_size=5,
    )
)
def test_whatever_is_requested_there_is_an_answer(requests: list[tuple[str, str, bytes, str]]) -> None:
    login = Login(BY_URL, presented("staff", "guests"))
    for method, target, body, cookie in requests:
        if login.state not in (State.START, State.PROMPTED, State.GRANTED):
            return
        headers = Headers((("Cookie", f"webvpn={cookie}"), ("User-Agent", cookie)))
        assert login.on_request(Request(method, target, headers, body))


# ---- Cisco's IP phones ------------------------------------------------------------------------------------------

PHONE = {"User_Agent": "Cisco SVC IPPhone Client v1.0"}
PHONES = LoginSettings("default", phones=True)
TICKET_OR_CERTIFICATE = LoginSettings("default", methods=(("certificate", "gssapi"), ("certificate",)), phones=True)


def test_a_phone_is_told_to_log_in_and_gets_its_cookie_without_a_document() -> None:
    d = Dialogue(PHONES)
    hello = answer(d.gets("/svc", **PHONE))
    gone = "webvpn=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; secure"
    assert (hello.status, hello.body, hello.all("Set-Cookie")) == (200, "", [gone, "webvpnlogin=1; secure"])
    asked = d.posts("username=alice&password=secret", "/svc", **PHONE)
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.group) == ("alice", "")
    assert d.secmod_asks() == AskCont(HANDLE, "secret")
    granted = answer(d.secmod_grants())
    assert (granted.status, granted.body, granted.all("Set-Cookie")) == (200, "", [f"webvpn={COOKIE}; secure"])
    assert isinstance(d.connects(), OpenTunnel)


def test_a_phone_that_nobody_expects_is_told_of_in_the_log_and_served() -> None:
    d = Dialogue()
    assert isinstance(d.posts("username=alice&password=secret", "/svc", **PHONE), Warn)
    assert [type(command) for command in d.commands] == [Warn, AskInit]


def test_a_phone_that_forgets_a_field_is_told_to_log_in() -> None:
    assert answer(Dialogue().posts("username=alice", "/svc", **PHONE)).all("Set-Cookie")[1] == "webvpnlogin=1; secure"


def test_a_phone_with_a_certificate_posts_nothing() -> None:
    d = Dialogue(CERTIFICATE, presented())
    asked = d.posts("", "/svc", **PHONE)
    assert isinstance(asked, AskInit)
    assert (asked.username, asked.method) == ("carol", "")
    assert answer(d.secmod_grants()).all("Set-Cookie") == [f"webvpn={COOKIE}; secure"]


def test_a_phone_is_asked_no_second_question() -> None:
    d = Dialogue()
    d.posts("username=alice&password=secret", "/svc", **PHONE)
    d.secmod_asks()
    assert answer(d.secmod_asks("And the token?", counter=1)).status == 401
    assert d.closed
    d = Dialogue(CERTIFICATE, presented())
    d.posts("", "/svc", **PHONE)
    assert answer(d.secmod_asks()).status == 401


def test_a_phone_that_is_denied_hears_401() -> None:
    d = Dialogue()
    d.posts("username=alice&password=wrong", "/svc", **PHONE)
    d.secmod_asks()
    assert answer(d.secmod_denies("Login failed.")).status == 401
    assert d.closed


def test_a_phone_has_no_way_in_without_the_certificate_that_is_required() -> None:
    assert answer(Dialogue(LoginSettings("default", methods=(("certificate",),))).posts("", "/svc")).status == 200
    refused = Dialogue(LoginSettings("default", methods=(("certificate",),)))
    assert answer(refused.posts("username=a&password=b", "/svc")).status == 401


def test_a_phone_logs_in_anew_where_secmod_is_lost() -> None:
    d = Dialogue()
    d.posts("username=alice&password=secret", "/svc", **PHONE)
    assert answer(d.secmod_is_lost()[0]).all("Set-Cookie")[1] == "webvpnlogin=1; secure"
    assert d.state() is State.START


def test_a_phone_s_url_is_answered_at_any_time() -> None:
    for body in ("", "username=a&password=b"):
        for d in _at_rest():
            d.gets("/svc", **PHONE)
            assert d.state() is State.START
        for d in _at_rest():
            assert isinstance(d.posts(body, "/svc", **PHONE), AskInit)


def _at_rest() -> list[Dialogue]:
    """Each with a certificate: before, in the middle of, and after a login; with a mechanism's question."""
    prompted = Dialogue(CERTIFICATE, presented())
    prompted.posts(init())
    prompted.secmod_asks()
    granted = Dialogue(CERTIFICATE, presented())
    granted.posts(init())
    granted.secmod_grants()
    negotiating = Dialogue(TICKET_OR_CERTIFICATE, presented())
    negotiating.posts(init(), "/", **test_negotiate.with_token())
    negotiating.secmod_asks_the_mechanism()
    negotiating.secmod_asks_the_mechanism(test_negotiate.OUT)
    all_of_them = [Dialogue(CERTIFICATE, presented()), prompted, granted, negotiating]
    assert [d.state() for d in all_of_them] == [State.START, State.PROMPTED, State.GRANTED, State.NEGOTIATING]
    return all_of_them


# ---- the table --------------------------------------------------------------------------------------------------


def test_every_row_of_the_table_is_exercised() -> None:
    """Runs all dialogues of this module and of those beside it, and looks at which steps they took."""
    for dialogues in (globals(), vars(test_negotiate), vars(test_kkdcp), vars(test_camouflage)):
        for name, test in list(dialogues.items()):
            if name.startswith("test_") and name not in ("test_every_row_of_the_table_is_exercised", *_BESIDE):
                _run(test)
    declared = {(a, b, c) for (a, b), transition in TRANSITIONS.items() for c in transition.leads_to}
    assert declared - RecordedLogin.seen == set()


_BESIDE = ("test_negotiate", "test_kkdcp", "test_camouflage")


def _run(test: object) -> None:
    assert inspect.isfunction(test)
    if not inspect.signature(test).parameters and not hasattr(test, "hypothesis"):
        test()
