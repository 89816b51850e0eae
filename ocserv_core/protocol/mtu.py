"""How large packets may be. Used by offer.py, and by the worker when a DTLS session has its real cipher.

The link MTU is the size of an outer IP packet, the data MTU that of the largest inner one. All are bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from .connect import MAX_MTU, MIN_MTU

MIN_IPV6 = 1280
"""RFC 8200 §5: a link that carries IPv6 has at least this MTU."""

_IPV4_HEADER = 20
_IPV6_HEADER = 40
_TCP_HEADER = 32
"""With time stamps."""
_UDP_HEADER = 8
_CSTP_HEADER = 8
_DTLS_TYPE = 1
"""The byte before each packet that says what it is."""
_TLS13_RECORD = 5 + 1 + 16
_TLS12_RECORD = 5 + 8 + 16
_OPENCONNECT_MARGIN = 82 + 8
"""What openconnect takes off for its X-CSTP-MTU, beside the IP header."""

_DTLS_HEADER = 13
_AEAD_OVERHEAD = {
    "AES-128-GCM": _DTLS_HEADER + 8 + 16,
    "AES-256-GCM": _DTLS_HEADER + 8 + 16,
    "AES-128-CCM": _DTLS_HEADER + 8 + 16,
    "AES-256-CCM": _DTLS_HEADER + 8 + 16,
    "AES-128-CCM-8": _DTLS_HEADER + 8 + 8,
    "AES-256-CCM-8": _DTLS_HEADER + 8 + 8,
    "CHACHA20-POLY1305": _DTLS_HEADER + 16,
}
"""Header, explicit nonce and tag of a DTLS 1.2 record."""

_MAC_SIZES = {"SHA1": 20, "SHA256": 32, "SHA384": 48}
_CBC_BLOCK = 16

AEAD_OVERHEAD = max(_AEAD_OVERHEAD.values())
"""What a record of any AEAD cipher adds at most."""


def ip_header(*, ipv6: bool) -> int:
    """Bytes of the outer header."""
    return _IPV6_HEADER if ipv6 else _IPV4_HEADER


def link_mtu(
    configured: int,
    *,
    client_base: int | None,
    client_mtu: int | None,
    path: int | None,
    outer_ipv6: bool,
    inner_ipv6: bool,
) -> int:
    """The smallest of what everybody knows. `client_mtu` (an inner size) only counts without `client_base`;
    `path` is TCP_INFO's path MTU. What is below the floor of the session's families is not believed."""
    wish = client_base
    if wish is None and client_mtu is not None:
        wish = client_mtu + _OPENCONNECT_MARGIN + ip_header(ipv6=outer_ipv6)
    floor = MIN_IPV6 if inner_ipv6 else MIN_MTU
    return min([configured, MAX_MTU, *_believed((wish, path), floor)])


def _believed(candidates: Iterable[int | None], floor: int) -> list[int]:
    return [value for value in candidates if value is not None and value >= floor]


def cstp_data_mtu(link: int, *, outer_ipv6: bool, tls_version: str) -> int:
    """The inner packet that with all headers (IP, TCP, an AEAD's TLS record, CSTP) still is one TCP segment."""
    record = _TLS13_RECORD if tls_version == "TLS1.3" else _TLS12_RECORD
    return link - ip_header(ipv6=outer_ipv6) - _TCP_HEADER - record - _CSTP_HEADER


def dtls_overhead(cipher: str, mac: str) -> int:
    """What a DTLS record adds to its plaintext, at most. Cipher and MAC are GnuTLS's words ("AES-256-GCM", "AEAD");
    one that is not known counts as the largest."""
    if cipher in _AEAD_OVERHEAD:
        return _AEAD_OVERHEAD[cipher]
    # CBC: an explicit IV, the MAC, and up to a block of padding.
    return _DTLS_HEADER + _CBC_BLOCK + _MAC_SIZES.get(mac, max(_MAC_SIZES.values())) + _CBC_BLOCK


def datagram_max(link: int, *, outer_ipv6: bool) -> int:
    """The UDP payload that with its headers is one packet of the link."""
    return link - ip_header(ipv6=outer_ipv6) - _UDP_HEADER


def dtls_data_mtu(link: int, *, outer_ipv6: bool, overhead: int) -> int:
    """The inner packet that with all headers (IP, UDP, DTLS record, type) is one datagram of the link. `overhead`
    is the record's (dtls_overhead)."""
    return datagram_max(link, outer_ipv6=outer_ipv6) - overhead - _DTLS_TYPE
