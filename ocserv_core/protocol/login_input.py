"""What a request means to a login, and which of a vhost's methods serves a connection. Used by login.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .authxml import BodyKind, parse_auth_body
from .http1 import Request
from .kkdcp import parse_kdc_message
from .login_table import Input
from .login_words import PRIMARY
from .negotiate import parse_negotiate, supports_http_auth
from .pages import LOGOUT, PHONE, PROFILES, Page, find_page, is_form, is_under

_BODIES = {
    BodyKind.INIT: Input.INIT,
    BodyKind.REPLY: Input.REPLY,
    BodyKind.LOGOUT: Input.LOGOUT,
}


def understand(request: Request, pages: Mapping[str, Page], kdc_paths: Collection[str] = ()) -> tuple[Input, Any]:
    """The input that a request is, and what its handler gets: Request, Page, AuthBody, KdcMessage or None. pages: those
    of plugins, by their exact paths.

    Raises HttpViolation for a body that cannot be read.
    """
    if request.method == "CONNECT":
        return Input.CONNECT, request
    if is_under(request.path, PHONE) and request.method in ("GET", "POST"):
        return _understand_phone(request)
    if request.method == "GET":
        return _understand_get(request.path, pages)
    if request.method == "POST" and request.path in kdc_paths:
        return Input.KDC, (request.path, parse_kdc_message(request.body))
    # Any path will do: old clients post to the URL that they came by, and to a group's.
    if request.method == "POST":
        body = parse_auth_body(request.body)
        return _BODIES[body.kind], body
    return Input.UNKNOWN, None


def _understand_get(path: str, pages: Mapping[str, Page]) -> tuple[Input, Any]:
    if is_form(path):
        return Input.FORM, None
    if is_under(path, LOGOUT):
        return Input.LOGOUT, None
    page = find_page(path) or pages.get(path)
    if page is not None:
        return Input.PAGE, page
    # Nothing of the path is used to find the profile, so nothing of it can name another file.
    return (Input.PROFILE, None) if path.startswith(PROFILES) else (Input.UNKNOWN, None)


def _understand_phone(request: Request) -> tuple[Input, Any]:
    """A phone's POST without a name and a password has a certificate, or knows nothing yet."""
    if request.method == "GET" or not request.body:
        return Input.PHONE, request.method == "POST"
    body = parse_auth_body(request.body)
    if body.username is None or body.password is None:
        return Input.PHONE, False
    return Input.PHONE_REPLY, body


def understand_negotiation(request: Request, happened: Input, body: Any, *, only: bool) -> tuple[Input, Any]:
    """The same where the client's mechanism may log in: NEGOTIATION gets the token and the body. only: there is no
    form that leads in.

    A reply to a form is one, whatever else the client could do. Raises HttpViolation for what is no token.
    """
    if happened not in (Input.FORM, Input.INIT) and not (only and happened is Input.REPLY):
        return happened, body
    token = parse_negotiate(request.headers)
    if token is not None:
        return Input.NEGOTIATION, (token, body)
    return (Input.OFFER if only or supports_http_auth(request.headers) else happened), body


Method = tuple[str, ...]

_WITHOUT_FORM = frozenset(("gssapi", "oidc"))
"""Methods that travel in HTTP headers; no form leads to them."""


def choose_method(methods: Sequence[Method], *, certificate: bool) -> Method | None:
    """With a client certificate the first method that takes one, else the first that does not; None: no way in."""
    usable = [method for method in methods if not _WITHOUT_FORM.intersection(method)]
    with_certificate = [method for method in usable if "certificate" in method]
    without = [method for method in usable if "certificate" not in method]
    return next(iter((with_certificate if certificate else []) + without), None)


def choose_negotiated(methods: Sequence[Method], *, certificate: bool) -> Method | None:
    """The method by which a client's mechanism logs in: with a client certificate only one that takes both, where
    there is a method that takes one at all."""
    with_certificate = [method for method in methods if "certificate" in method]
    without = [method for method in methods if "certificate" not in method]
    usable = with_certificate if certificate and with_certificate else without
    return next((method for method in usable if "gssapi" in method), None)


def method_name(methods: Sequence[Method], chosen: Method) -> str:
    """What AuthInit calls a method: "" for the primary one, an alternative by its name."""
    return PRIMARY if chosen == methods[0] else "+".join(chosen)
