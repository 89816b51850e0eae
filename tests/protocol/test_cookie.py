"""The three cookies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.protocol.cookie import (
    Cookies,
    build_context,
    build_context_cleared,
    build_success_cookies,
    parse_cookies,
    parse_handle,
)

COOKIE = "Ab_-" * 10 + "xyz"


def test_the_cookie_is_found_among_others() -> None:
    assert parse_cookies([f"a=b; webvpn={COOKIE};c=d"]).webvpn == COOKIE


def test_cookies_may_stand_in_several_headers() -> None:
    cookies = parse_cookies(["webvpncontext=h", f"webvpn={COOKIE}"])
    assert (cookies.webvpn, cookies.context) == (COOKIE, "h")


def test_no_cookie_is_none() -> None:
    assert parse_cookies(["webvpnc=x; other=y; webvpn"]) == Cookies()


@pytest.mark.parametrize("value", ["", "(null)", COOKIE[:-1], COOKIE + "x", COOKIE[:-1] + "=", COOKIE[:-1] + "é"])
def test_a_cookie_that_cannot_be_ours_is_empty(value: str) -> None:
    assert parse_cookies([f"webvpn={value}"]).webvpn == ""


def test_the_first_of_two_counts() -> None:
    assert parse_cookies([f"webvpn={COOKIE}; webvpn=x"]).webvpn == COOKIE


@pytest.mark.parametrize("handle", ["", "a b", "a=", "x" * 129, "a\r\nb"])
def test_what_is_no_handle(handle: str) -> None:
    assert parse_handle(handle) == ""


def test_a_cookie_shows_nothing() -> None:
    assert COOKIE not in repr(parse_cookies([f"webvpn={COOKIE}"]))


def test_the_context_is_set_for_its_time() -> None:
    assert build_context("h", 300) == ("Set-Cookie", "webvpncontext=h; Max-Age=300; Secure; HttpOnly")


def test_the_context_is_cleared_in_the_past() -> None:
    assert build_context_cleared()[1] == (
        "webvpncontext=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly"
    )


def test_webvpnc_is_deleted_and_then_set() -> None:
    values = [value for _, value in build_success_cookies(COOKIE, "h", "AB", None)]
    assert values[2:] == [
        "webvpnc=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly",
        "webvpnc=bu:/&p:t&iu:1/&sh:AB; path=/; Secure; HttpOnly",
    ]


def test_webvpnc_names_the_profile() -> None:
    assert build_success_cookies(COOKIE, "h", "AB", ("p q.xml", "CD"))[-1][1] == (
        "webvpnc=bu:/&p:t&iu:1/&sh:AB&lu:/+CSCOT+/translation-table?textdomain%3DAnyConnect%26type%3Dmanifest"
        "&fu:profiles%2Fp%20q.xml&fh:CD; path=/; Secure; HttpOnly"
    )


@given(st.lists(st.text(max_size=80), max_size=4))
def test_any_text_is_read_or_passed_over(values: list[str]) -> None:
    cookies = parse_cookies(values)
    assert cookies.webvpn is None or len(cookies.webvpn) in (0, 43)


@given(st.text(max_size=60))
def test_any_value_is_ours_or_empty(value: str) -> None:
    assert parse_cookies([f"webvpn={value}"]).webvpn in ("", value.strip())
