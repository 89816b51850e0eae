"""The three cookies of AnyConnect: webvpn (the credential), webvpncontext (a conversation's handle), webvpnc
(where the profile is and whose certificate this is). Used by login.py; values are never logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from ..model import Cookie

MAX_VALUE = 128
"""Characters of a cookie's value that is looked at; ours have 43."""

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
_HANDLE = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_VALUE}}}")

_GONE = "expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly"
_LOCALIZATION = "/+CSCOT+/translation-table?textdomain%3DAnyConnect%26type%3Dmanifest"


@dataclass(frozen=True, slots=True)
class Cookies:
    """What a request carried. `webvpn` is None where it is absent and "" where it cannot be one of ours."""

    webvpn: Cookie | None = field(default=None, repr=False)
    context: str = field(default="", repr=False)


def parse_cookies(values: Iterable[str]) -> Cookies:
    """Read Cookie header values (`a=1; b=2`); foreign cookies are passed over, of two equal names the first counts."""
    found: dict[str, str] = {}
    for pair in ";".join(values).split(";"):
        name, separator, value = pair.strip().partition("=")
        if separator and name in ("webvpn", "webvpncontext"):
            found.setdefault(name, value)
    webvpn, context = found.get("webvpn"), found.get("webvpncontext", "")
    return Cookies(None if webvpn is None else parse_webvpn(webvpn), parse_handle(context))


def parse_webvpn(text: str) -> Cookie:
    """The credential as a client gave it back, or "" where it cannot be one of ours."""
    return Cookie(text if _COOKIE.fullmatch(text) else "")


def parse_handle(text: str) -> str:
    """A conversation's handle as a client gave it back, or "" where it cannot be one."""
    return text if _HANDLE.fullmatch(text) else ""


SetCookie = tuple[str, str]
"""A header field: ("Set-Cookie", value)."""


def _set(value: str) -> SetCookie:
    return ("Set-Cookie", value)


def build_context_cleared() -> SetCookie:
    """On a fresh form: no conversation yet."""
    return _set(f"webvpncontext=; {_GONE}")


def build_context(handle: str, max_age: int) -> SetCookie:
    """On a question: the conversation that the answer belongs to, for `max_age` seconds."""
    return _set(f"webvpncontext={handle}; Max-Age={max_age}; Secure; HttpOnly")


def build_success_cookies(
    cookie: str, handle: str, certificate_sha1: str, profile: tuple[str, str] | None
) -> tuple[SetCookie, ...]:
    """All cookies of a login that succeeded, in the order that clients were observed to need.

    certificate_sha1: upper-case hex of the server certificate on this connection, which Cisco's agent compares.
    profile: its file name and the SHA-1 of its content (upper-case hex). webvpnc is deleted, then set.
    """
    context = _set(f"webvpncontext={handle}; Secure; HttpOnly") if handle else build_context_cleared()
    return (
        context,
        _set(f"webvpn={cookie}; Secure; HttpOnly"),
        _set(f"webvpnc=; {_GONE}"),
        _set(f"webvpnc={_webvpnc(certificate_sha1, profile)}; path=/; Secure; HttpOnly"),
    )


def build_phone_cookies(cookie: Cookie) -> tuple[SetCookie, ...]:
    """What an IP phone is told: to log in, or its cookie."""
    if cookie:
        return (_set(f"webvpn={cookie}; secure"),)
    return (_set("webvpn=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; secure"), _set("webvpnlogin=1; secure"))


def _webvpnc(certificate_sha1: str, profile: tuple[str, str] | None) -> str:
    value = f"bu:/&p:t&iu:1/&sh:{certificate_sha1}"
    if profile is None:
        return value
    name, sha1 = profile
    return f"{value}&lu:{_LOCALIZATION}&fu:profiles%2F{quote(name, safe='')}&fh:{sha1}"
