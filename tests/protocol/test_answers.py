"""The responses that a vhost gives: headers in their order, documents under the right type."""

from __future__ import annotations

from ocserv_core.protocol.answers import Answers
from ocserv_core.protocol.http1 import build_response
from ocserv_core.protocol.login_words import ConnectionFacts, LoginSettings
from ocserv_core.protocol.pages import PAGES

from .dialogue import COOKIE, SHA1, Answer

SETTINGS = LoginSettings("default", included_headers=("X-Frame-Options:  deny",), profile=b"\xef\xbb\xbf<p/>")


def answers(settings: LoginSettings = SETTINGS) -> Answers:
    return Answers(settings, ConnectionFacts(SHA1))


def names(response_bytes: bytes) -> list[str]:
    return [line.partition(":")[0] for line in Answer(response_bytes).lines]


def test_a_form_has_its_headers_in_the_order_of_the_c_server() -> None:
    form = build_response(answers(LoginSettings("default")).login_form((), ""))
    assert names(form) == ["Set-Cookie", "Content-Type", "X-Transcend-Version", "Content-Length"]


def test_success_has_its_headers_in_the_order_of_the_c_server() -> None:
    success = build_response(answers(LoginSettings("default")).success(COOKIE, "h"))
    expected = ["Connection", "Content-Type", "X-Transcend-Version", *["Set-Cookie"] * 4, "Content-Length"]
    assert names(success) == expected


def test_success_on_a_closing_connection_promises_nothing() -> None:
    success = build_response(answers().success(COOKIE, "h", keep_alive=False), close=True)
    assert Answer(success).all("Connection") == ["close"]


def test_documents_are_xml_in_utf_8() -> None:
    form = build_response(answers().login_form((), ""))
    assert Answer(form).all("Content-Type") == ["text/xml; charset=utf-8"]


def test_pages_carry_the_included_headers() -> None:
    page = build_response(answers().page(PAGES["/logout"]))
    assert Answer(page).all("X-Frame-Options") == ["deny"]


def test_the_profile_is_served_byte_for_byte() -> None:
    profile = answers().profile()
    assert profile is not None
    assert profile.body == b"\xef\xbb\xbf<p/>"


def test_a_denial_may_say_why() -> None:
    assert Answer(build_response(answers().denied("expired"))).all("X-Reason") == ["expired"]
