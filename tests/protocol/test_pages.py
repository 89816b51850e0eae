"""The fixed URLs, each with its answer."""

from __future__ import annotations

import pytest

from ocserv_core.protocol.http1 import build_response
from ocserv_core.protocol.pages import NOT_FOUND, PAGES, build_refusal, find_page, is_form, is_service, is_under

NO_UPDATES = b'<?xml version="1.0" encoding="UTF-8"?>\n<vpn rev="1.0">\n</vpn>\n'


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/+CSCOT+/translation-table", "text/xml", NO_UPDATES),
        ("/+CSCOT+/oem-customization", "text/xml", NO_UPDATES),
        ("/VPNManifest.xml", "text/xml", NO_UPDATES),
        ("/1/VPNManifest.xml", "text/xml", NO_UPDATES),
        ("/1/index.html", "text/html", b"<html></html>\n"),
        ("/1/Linux", "text/html", b"<html></html>\n"),
        ("/1/Linux_64", "text/html", b"<html></html>\n"),
        ("/1/Windows", "text/html", b"<html></html>\n"),
        ("/1/Windows_ARM64", "text/html", b"<html></html>\n"),
        ("/1/Darwin_i386", "text/html", b"<html></html>\n"),
        ("/logout", "text/html", b"<html></html>\n"),
        ("/1/binaries/update.txt", "text/plain", b"0,0,0000\n"),
        ("/1/binaries/vpndownloader.sh", "application/x-shellscript", b"#!/bin/sh\n\nexit 0\n"),
    ],
)
def test_the_fixed_pages(path: str, content_type: str, body: bytes) -> None:
    page = find_page(path)
    assert page is not None
    assert (page.content_type, page.body) == (content_type, body)


def test_no_page_is_empty() -> None:
    assert all(page.body for page in PAGES.values())


def test_a_page_may_go_on_behind_a_slash() -> None:
    assert find_page("/1/Linux/x") is not None


@pytest.mark.parametrize("path", ["/", "/1", "/1/Linux2", "/1/linux", "//logout", ""])
def test_what_is_no_page(path: str) -> None:
    assert find_page(path) is None


@pytest.mark.parametrize(("path", "yes"), [("/", True), ("/auth", True), ("/VPN/x", True), ("/authx", False)])
def test_where_the_form_is(path: str, yes: bool) -> None:
    assert is_form(path) is yes


@pytest.mark.parametrize(("path", "yes"), [("/", True), ("/svc", True), ("/profiles/x", True), ("/staff", False)])
def test_what_cannot_be_a_group(path: str, yes: bool) -> None:
    assert is_service(path) is yes


def test_under_means_behind_a_slash() -> None:
    assert is_under("/a/b", "/a")
    assert not is_under("/ab", "/a")


def test_not_found_closes() -> None:
    assert build_response(NOT_FOUND).startswith(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n")


def test_a_refusal_is_empty_and_closes() -> None:
    assert build_response(build_refusal(401, "Authentication failed")) == (
        b"HTTP/1.1 401 Authentication failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_refusal_may_tell_its_reason() -> None:
    assert b"\r\nX-Reason: Too many sessions\r\n" in build_response(build_refusal(503, x_reason="Too many sessions"))


@pytest.mark.parametrize("status", [400, 401, 413, 414, 429, 431, 501, 503, 505])
def test_every_status_that_we_send_has_its_words(status: int) -> None:
    assert build_refusal(status).reason != "Error"
