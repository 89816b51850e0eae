"""What a client says of itself, and what class of client that makes it.

Used at login and again at CONNECT, since Cisco's processes call themselves by different names. Nothing that
matters to security may depend on it: every user can say anything here.
"""

from __future__ import annotations

import enum
import ipaddress
import re

from ..model import ClientInfo
from .http1 import Headers

MAX_TEXT = 63
"""Bytes kept of each text that a client sends of itself."""


class ClientClass(enum.Enum):
    """The kinds of clients that are answered differently (AnyConnect, openconnect; protocol quirks)."""

    OPENCONNECT_V3 = "openconnect 3"
    OPENCONNECT = "openconnect"
    CISCO_IOS = "Cisco for Apple iOS"
    CISCO = "Cisco"
    CLAVISTER = "Clavister"
    ANYLINK = "AnyLink"
    PHONE = "Cisco IP phone"
    UNKNOWN = "unknown"

    @property
    def is_cisco(self) -> bool:
        """Whether this is a Cisco desktop or mobile client."""
        return self in (ClientClass.CISCO, ClientClass.CISCO_IOS)


_V3 = re.compile(r"open anyconnect vpn agent v0*[0-3](?!\d)")

# The order matters: openconnect 9.20 and later begins with "AnyConnect", but is not Cisco's.
_PREFIXES = (
    ("open anyconnect vpn agent v", ClientClass.OPENCONNECT),
    ("openconnect vpn agent", ClientClass.OPENCONNECT),
    ("cisco anyconnect vpn agent for apple", ClientClass.CISCO_IOS),
    ("cisco anyconnect", ClientClass.CISCO),
    ("anyconnect-compatible openconnect", ClientClass.OPENCONNECT),
    ("anyconnect", ClientClass.CISCO),
    ("clavister oneconnect vpn", ClientClass.CLAVISTER),
    ("anylink secure client", ClientClass.ANYLINK),
    ("cisco svc ipphone client", ClientClass.PHONE),
)

_MOBILE_PLATFORMS = ("android", "apple-ios")

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def classify(user_agent: str) -> ClientClass:
    """The class by the beginning of the User-Agent, in any case of letters."""
    agent = user_agent.lower()
    if _V3.match(agent):
        return ClientClass.OPENCONNECT_V3
    for prefix, client_class in _PREFIXES:
        if agent.startswith(prefix):
            return client_class
    return ClientClass.UNKNOWN


def is_mobile(headers: Headers) -> bool:
    """Whether the mobile timers apply: by platform, or by the licence that a Cisco mobile client names."""
    platform = headers.get("X-AnyConnect-Identifier-Platform").lower()
    return platform.startswith(_MOBILE_PLATFORMS) or headers.get("X-CSTP-License").lower() == "mobile"


def is_ios(client_class: ClientClass, client: ClientInfo) -> bool:
    """Whether the quirks of iOS apply."""
    return client_class is ClientClass.CISCO_IOS or client.device_platform.lower().startswith("apple-ios")


def parse_client(headers: Headers) -> ClientInfo:
    """Every text cut and cleaned; a host name that is none is left out."""
    return ClientInfo(
        user_agent=clean_text(headers.get("User-Agent")),
        hostname=parse_hostname(headers.get("X-CSTP-Hostname")),
        device_type=clean_text(headers.get("X-AnyConnect-Identifier-DeviceType")),
        device_platform=clean_text(headers.get("X-AnyConnect-Identifier-Platform")),
    )


def clean_text(text: str) -> str:
    """Without control characters and at most MAX_TEXT bytes of UTF-8, never cut inside a character."""
    printable = "".join(c for c in text if c.isprintable()).strip()
    return printable.encode()[:MAX_TEXT].decode(errors="ignore")


def parse_hostname(text: str) -> str:
    """The first label of a host name (RFC 1123, ≤ 63 characters), or "" where there is none."""
    text = text.strip()
    if _is_ipv4(text):
        return ""
    label = text.partition(".")[0]
    return label if _LABEL.fullmatch(label) else ""


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
