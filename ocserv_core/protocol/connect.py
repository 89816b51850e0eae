"""The CONNECT request's headers, as values. Used by the login; what may be given for them is offer.py's to say.

A header that makes no sense is left out, never an error: clients have sent leading commas, empty items and MTUs
of zero. Only the cookie decides whether there is a tunnel.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from ..model import ClientInfo, Cookie
from .clients import ClientClass, classify, is_ios, is_mobile, parse_client
from .http1 import Headers, Request

TUNNEL_TARGETS = frozenset(("/CSCOSSLC/tunnel", "CSCOSSLC/tunnel"))
"""Clavister's Android client leaves the slash out."""

MIN_MTU = 800
"""Bytes: a smaller MTU in a header is not believed; neither is one over MAX_MTU."""

MAX_MTU = 16384

_MASTER_SECRET = re.compile(r"[0-9A-Fa-f]{96}")
_MTU = re.compile(r"[0-9]{1,5}")
_MAX_ITEMS = 64


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What a client asks for. MTUs are bytes, None where absent or not believable; lists are in the client's order.

    `base_mtu` is the size of an outer packet, `mtu` that of an inner one. `previous_*` are the addresses that a
    reconnecting client had.
    """

    cookie: Cookie = field(repr=False)
    client: ClientInfo = field(default_factory=ClientInfo)
    client_class: ClientClass = ClientClass.UNKNOWN
    mobile: bool = False
    ios: bool = False
    wants_ipv4: bool = True
    wants_ipv6: bool = True
    full_ipv6: bool = False
    base_mtu: int | None = None
    mtu: int | None = None
    previous_ipv4: str | None = None
    previous_ipv6: str | None = None
    cstp_encodings: tuple[str, ...] = ()
    dtls_encodings: tuple[str, ...] = ()
    dtls_ciphers: tuple[str, ...] = ()
    dtls12_ciphers: tuple[str, ...] = ()
    dtls_master_secret: bytes | None = field(default=None, repr=False)


def parse_connect(request: Request, cookie: Cookie) -> ConnectRequest:
    """Read the headers of a CONNECT. `cookie` is the one that cookie.py found in them."""
    headers = request.headers
    client = parse_client(headers)
    client_class = classify(client.user_agent)
    ipv4, ipv6 = _families(headers)
    previous = _previous_addresses(headers)
    return ConnectRequest(
        cookie=cookie,
        client=client,
        client_class=client_class,
        mobile=is_mobile(headers),
        ios=is_ios(client_class, client),
        wants_ipv4=ipv4,
        wants_ipv6=ipv6,
        full_ipv6=headers.get("X-CSTP-Full-IPv6-Capability").lower() == "true",
        base_mtu=_parse_mtu(headers.get("X-CSTP-Base-MTU")),
        mtu=_parse_mtu(headers.get("X-CSTP-MTU")),
        previous_ipv4=previous.get(4),
        previous_ipv6=previous.get(6),
        cstp_encodings=_items(headers, "X-CSTP-Accept-Encoding", ","),
        dtls_encodings=_items(headers, "X-DTLS-Accept-Encoding", ","),
        dtls_ciphers=_items(headers, "X-DTLS-CipherSuite", ":"),
        dtls12_ciphers=_items(headers, "X-DTLS12-CipherSuite", ":"),
        dtls_master_secret=_parse_master_secret(headers.get("X-DTLS-Master-Secret")),
    )


def _families(headers: Headers) -> tuple[bool, bool]:
    """(IPv4, IPv6). A client that names no family takes both, as the C server has it."""
    named = ",".join(headers.get_all("X-CSTP-Address-Type")).lower()
    ipv4, ipv6 = "ipv4" in named, "ipv6" in named
    return (ipv4, ipv6) if ipv4 or ipv6 else (True, True)


def _parse_mtu(text: str) -> int | None:
    if not _MTU.fullmatch(text):
        return None
    mtu = int(text)
    # Out of range is ignored, not clamped: clamping once made an MTU wrap below zero.
    return mtu if MIN_MTU <= mtu <= MAX_MTU else None


def _previous_addresses(headers: Headers) -> dict[int, str]:
    """By family; the first of each counts."""
    found: dict[int, str] = {}
    for text in headers.get_all("X-CSTP-Address")[:_MAX_ITEMS]:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        found.setdefault(address.version, str(address))
    return found


def _items(headers: Headers, name: str, separator: str) -> tuple[str, ...]:
    # openconnect 8.20 begins its list with a comma.
    pieces = separator.join(headers.get_all(name)).split(separator)
    return tuple(item for item in (piece.strip() for piece in pieces) if item)[:_MAX_ITEMS]


def _parse_master_secret(text: str) -> bytes | None:
    return bytes.fromhex(text) if _MASTER_SECRET.fullmatch(text) else None
