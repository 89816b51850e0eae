"""What requests mean, and which method serves whom."""

from __future__ import annotations

import pytest

from ocserv_core.protocol.http1 import Request
from ocserv_core.protocol.login_input import choose_method, choose_negotiated, method_name, understand
from ocserv_core.protocol.login_table import Input
from ocserv_core.protocol.pages import Page

from .dialogue import init


@pytest.mark.parametrize(
    ("method", "target", "body", "happened"),
    [
        ("GET", "/", b"", Input.FORM),
        ("GET", "/logout", b"", Input.LOGOUT),
        ("GET", "/profiles/x", b"", Input.PROFILE),
        ("GET", "/x", b"", Input.UNKNOWN),
        ("POST", "/", init().encode(), Input.INIT),
        ("POST", "/+webvpn+/index.html", b"username=a", Input.REPLY),
        ("GET", "/svc", b"", Input.PHONE),
        ("POST", "/svc", b"", Input.PHONE),
        ("POST", "/svc", b"username=a", Input.PHONE),
        ("POST", "/svc", b"username=a&password=b", Input.PHONE_REPLY),
        ("CONNECT", "/x", b"", Input.CONNECT),
        ("get", "/", b"", Input.UNKNOWN),
    ],
)
def test_what_a_request_means(method: str, target: str, body: bytes, happened: Input) -> None:
    assert understand(Request(method, target, body=body), {})[0] is happened


def test_a_page_of_a_plugin_is_found_by_its_exact_path() -> None:
    page = Page("application/x-pem-file", b"CA")
    assert understand(Request("GET", "/ca.pem"), {"/ca.pem": page}) == (Input.PAGE, page)
    assert understand(Request("GET", "/ca.pem/x"), {"/ca.pem": page})[0] is Input.UNKNOWN


PLAIN, CERTIFICATE, BOTH, GSSAPI = ("plain",), ("certificate",), ("plain", "certificate"), ("gssapi",)
WITH_TICKET = ("certificate", "gssapi")


@pytest.mark.parametrize(
    ("methods", "certificate", "chosen"),
    [
        ((PLAIN,), False, PLAIN),
        ((PLAIN,), True, PLAIN),
        ((PLAIN, CERTIFICATE), True, CERTIFICATE),
        ((CERTIFICATE, PLAIN), False, PLAIN),
        ((BOTH,), True, BOTH),
        ((BOTH,), False, None),
        ((CERTIFICATE,), False, None),
        ((GSSAPI, PLAIN), False, PLAIN),
        ((GSSAPI,), False, None),
    ],
)
def test_the_method_of_a_connection(
    methods: tuple[tuple[str, ...], ...], certificate: bool, chosen: tuple[str, ...] | None
) -> None:
    assert choose_method(methods, certificate=certificate) == chosen


@pytest.mark.parametrize(
    ("methods", "certificate", "chosen"),
    [
        ((GSSAPI, PLAIN), False, GSSAPI),
        ((PLAIN, GSSAPI), False, GSSAPI),
        ((PLAIN, GSSAPI), True, GSSAPI),
        ((PLAIN, CERTIFICATE, GSSAPI), True, None),
        ((PLAIN, CERTIFICATE, GSSAPI), False, GSSAPI),
        ((WITH_TICKET, PLAIN), True, WITH_TICKET),
        ((WITH_TICKET, PLAIN), False, None),
        ((PLAIN,), False, None),
    ],
)
def test_the_method_of_the_client_s_mechanism(
    methods: tuple[tuple[str, ...], ...], certificate: bool, chosen: tuple[str, ...] | None
) -> None:
    assert choose_negotiated(methods, certificate=certificate) == chosen


def test_the_primary_method_has_no_name() -> None:
    assert method_name((BOTH, PLAIN), BOTH) == ""


def test_an_alternative_is_called_by_its_name() -> None:
    assert method_name((PLAIN, CERTIFICATE), CERTIFICATE) == "certificate"
