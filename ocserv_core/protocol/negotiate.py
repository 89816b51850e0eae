"""HTTP authentication by a security mechanism (RFC 4559): what a client says of it in its headers. Used by login.py.

Of the schemes of HTTP only Negotiate is known, and of its tokens nothing but their octets: what they mean is the back
end's to find out.
"""

from __future__ import annotations

import base64

from ..errors import HttpViolation
from .http1 import MAX_HEAD, Headers

MAX_TOKEN = 47 * 1024
"""Octets of a token: with as much in its ticket as Windows allows (48000) it just fits a message to secmod."""

MAX_NEGOTIATE_HEAD = MAX_HEAD + MAX_TOKEN * 4 // 3 + 64
"""Bytes of a request's head where a token may be in it."""

SCHEME = "Negotiate"


def supports_http_auth(headers: Headers) -> bool:
    """Whether a client would take a 401 for an offer (openconnect says so until it has given up on it)."""
    return headers.get("X-Support-HTTP-Auth").strip().lower() == "true"


def parse_negotiate(headers: Headers) -> bytes | None:
    """The token of `Authorization: Negotiate …`; None without one. HttpViolation."""
    scheme, _, text = headers.get("Authorization").strip().partition(" ")
    if scheme.lower() != SCHEME.lower():
        return None
    try:
        token = base64.b64decode(text.strip().encode(), validate=True)
    except ValueError:
        raise HttpViolation(400, "Authorization: Negotiate with what is no base64") from None
    if not token:
        raise HttpViolation(400, "Authorization: Negotiate without a token")
    if len(token) > MAX_TOKEN:
        raise HttpViolation(431, f"Authorization: Negotiate with a token of {len(token)} octets")
    return token
