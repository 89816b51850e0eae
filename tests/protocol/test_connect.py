"""The headers of CONNECT, as clients send them and as they must not hurt us."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.errors import ClientError
from ocserv_core.model import ClientInfo, Cookie
from ocserv_core.protocol.clients import ClientClass
from ocserv_core.protocol.connect import ConnectRequest, parse_connect
from ocserv_core.protocol.http1 import Headers, Request, RequestReader

COOKIE = Cookie("c" * 43)

OPENCONNECT_9 = f"""CONNECT /CSCOSSLC/tunnel HTTP/1.1
Host: 192.0.2.1
User-Agent: Open AnyConnect VPN Agent v9.01-3
Cookie: webvpn={COOKIE}
X-CSTP-Version: 1
X-CSTP-Hostname: vm
X-CSTP-Protocol: Copyright (c) 2004 Cisco Systems, Inc.
X-CSTP-Accept-Encoding: oc-lz4,lzs
X-CSTP-Base-MTU: 1500
X-CSTP-MTU: 1390
X-CSTP-Address-Type: IPv6,IPv4
X-CSTP-Address: 198.51.100.50
X-CSTP-Address: 2001:db8:99::58EF
X-CSTP-Full-IPv6-Capability: true
X-DTLS-Master-Secret: {"3B81C9F4" * 12}
X-DTLS-CipherSuite: PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:AES128-SHA
X-DTLS12-CipherSuite: ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA
X-DTLS-Accept-Encoding: oc-lz4,lzs

""".replace("\n", "\r\n")


def parse(*headers: tuple[str, str]) -> ConnectRequest:
    return parse_connect(Request("CONNECT", "/CSCOSSLC/tunnel", Headers(headers)), COOKIE)


def test_the_request_of_openconnect_9() -> None:
    reader = RequestReader()
    reader.receive_data(OPENCONNECT_9.encode())
    request = reader.next_request()
    assert request is not None
    assert parse_connect(request, COOKIE) == ConnectRequest(
        cookie=COOKIE,
        client=ClientInfo("Open AnyConnect VPN Agent v9.01-3", "vm"),
        client_class=ClientClass.OPENCONNECT,
        full_ipv6=True,
        base_mtu=1500,
        mtu=1390,
        previous_ipv4="198.51.100.50",
        previous_ipv6="2001:db8:99::58ef",
        cstp_encodings=("oc-lz4", "lzs"),
        dtls_encodings=("oc-lz4", "lzs"),
        dtls_ciphers=("PSK-NEGOTIATE", "OC-DTLS1_2-AES256-GCM", "AES128-SHA"),
        dtls12_ciphers=("ECDHE-RSA-AES256-GCM-SHA384", "AES128-SHA"),
        dtls_master_secret=bytes.fromhex("3B81C9F4" * 12),
    )


@pytest.mark.parametrize(
    ("value", "families"),
    [
        ("IPv6,IPv4", (True, True)),
        ("IPv4", (True, False)),
        ("ipv6", (False, True)),
        ("", (True, True)),
        ("IPX", (True, True)),
    ],
)
def test_the_families_that_are_wanted(value: str, families: tuple[bool, bool]) -> None:
    request = parse(("X-CSTP-Address-Type", value))
    assert (request.wants_ipv4, request.wants_ipv6) == families


@pytest.mark.parametrize(
    ("value", "mtu"),
    [
        ("1500", 1500),
        ("800", 800),
        ("16384", 16384),
        ("799", None),
        ("16385", None),
        ("0", None),
        ("-1", None),
        ("99999999999", None),
        ("1500 ", None),
        ("0x5dc", None),
        ("", None),
        ("٣٣٣٣", None),
    ],
)
def test_an_mtu_that_is_not_believable_is_ignored(value: str, mtu: int | None) -> None:
    assert parse(("X-CSTP-Base-MTU", value)).base_mtu == mtu


@pytest.mark.parametrize("value", [",oc-lz4,lzs", "oc-lz4,lzs", " oc-lz4 , ,lzs,"])
def test_encodings_with_commas_in_the_wrong_places(value: str) -> None:
    assert parse(("X-CSTP-Accept-Encoding", value)).cstp_encodings == ("oc-lz4", "lzs")


def test_psk_may_stand_last() -> None:
    assert "PSK-NEGOTIATE" in parse(("X-DTLS-CipherSuite", "AES128-SHA:PSK-NEGOTIATE")).dtls_ciphers


@pytest.mark.parametrize("value", ["", "3B", "zz" * 48, "3B" * 49])
def test_a_master_secret_that_is_none(value: str) -> None:
    assert parse(("X-DTLS-Master-Secret", value)).dtls_master_secret is None


def test_addresses_that_are_none_are_passed_over() -> None:
    request = parse(("X-CSTP-Address", "none"), ("X-CSTP-Address", "2001:db8::1/64"), ("X-CSTP-Address", "192.0.2.9"))
    assert (request.previous_ipv4, request.previous_ipv6) == ("192.0.2.9", None)


def test_a_mobile_client_is_known_by_its_platform() -> None:
    request = parse(("X-AnyConnect-Identifier-Platform", "apple-ios"))
    assert (request.mobile, request.ios) == (True, True)


def test_no_secret_stands_in_the_repr() -> None:
    request = parse(("X-DTLS-Master-Secret", "AB" * 48))
    assert str(COOKIE) not in repr(request)
    assert "xab" not in repr(request)


_NAMES = st.sampled_from(
    (
        "User-Agent",
        "X-CSTP-Hostname",
        "X-CSTP-Address-Type",
        "X-CSTP-Address",
        "X-CSTP-Base-MTU",
        "X-CSTP-MTU",
        "X-CSTP-Accept-Encoding",
        "X-DTLS-Master-Secret",
        "X-DTLS-CipherSuite",
        "X-AnyConnect-Identifier-Platform",
    )
)


@given(st.lists(st.tuples(_NAMES, st.text(st.characters(max_codepoint=255), max_size=60)), max_size=12))
def test_any_values_raise_nothing_else(headers: list[tuple[str, str]]) -> None:
    with contextlib.suppress(ClientError):
        parse(*headers)
