"""The fixed URLs that Cisco's clients probe before and after login, and the refusals that carry no document.

Used by login.py. A 404 on one of these pages has broken logins, so each has its harmless answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from .http1 import Response


@dataclass(frozen=True, slots=True)
class Page:
    """A fixed document. The body is never empty: openconnect takes an empty 200 for an error."""

    content_type: str
    body: bytes


_NO_UPDATES = Page("text/xml", b'<?xml version="1.0" encoding="UTF-8"?>\n<vpn rev="1.0">\n</vpn>\n')
_EMPTY = Page("text/html", b"<html></html>\n")

LOGOUT = "/logout"

PAGES = {
    "/+CSCOT+/translation-table": _NO_UPDATES,
    "/+CSCOT+/oem-customization": _NO_UPDATES,
    "/VPNManifest.xml": _NO_UPDATES,
    "/1/VPNManifest.xml": _NO_UPDATES,
    "/1/index.html": _EMPTY,
    "/1/Linux": _EMPTY,
    "/1/Linux_64": _EMPTY,
    "/1/Windows": _EMPTY,
    "/1/Windows_ARM64": _EMPTY,
    "/1/Darwin_i386": _EMPTY,
    "/1/binaries/update.txt": Page("text/plain", b"0,0,0000\n"),
    "/1/binaries/vpndownloader.sh": Page("application/x-shellscript", b"#!/bin/sh\n\nexit 0\n"),
    LOGOUT: _EMPTY,
}

FORM_PATHS = ("/auth", "/VPN")
"""Besides `/`, where the login form lives."""

PROFILES = "/profiles"

PHONE = "/svc"
"""Where Cisco's IP phones log in."""


def find_page(path: str) -> Page | None:
    """The page at `path`, which may go on behind a slash."""
    for known, page in PAGES.items():
        if is_under(path, known):
            return page
    return None


def is_under(path: str, known: str) -> bool:
    """Whether `path` is `known` or something below it."""
    return path == known or path.startswith(known + "/")


def is_form(path: str) -> bool:
    """Whether a GET of `path` is answered with the login form."""
    return path == "/" or any(is_under(path, known) for known in FORM_PATHS)


def is_service(path: str) -> bool:
    """Whether `path` means something already, so that it cannot be a group's name."""
    services = (*FORM_PATHS, PROFILES, PHONE)
    return path == "/" or find_page(path) is not None or any(is_under(path, known) for known in services)


NOT_FOUND = Response(
    404, "Not Found", (("Content-Type", "text/html"),), b"<html><h1>404 Not Found</h1></html>\n", close=True
)

_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    405: "Method Not Allowed",
    413: "Content Too Large",
    414: "URI Too Long",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def build_refusal(status: int, reason: str = "", x_reason: str = "") -> Response:
    """An empty answer that ends the connection. X-Reason is what openconnect shows its user (at CONNECT)."""
    headers = (("X-Reason", x_reason),) if x_reason else ()
    return Response(status, reason or _REASONS.get(status, "Error"), headers, close=True)
