"""What clients call themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.model import ClientInfo
from ocserv_core.protocol.clients import (
    ClientClass,
    classify,
    clean_text,
    is_ios,
    is_mobile,
    parse_client,
    parse_hostname,
)
from ocserv_core.protocol.http1 import Headers


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("Open AnyConnect VPN Agent v3.20", ClientClass.OPENCONNECT_V3),
        ("Open AnyConnect VPN Agent v2", ClientClass.OPENCONNECT_V3),
        ("Open AnyConnect VPN Agent v9.01-3", ClientClass.OPENCONNECT),
        ("Open AnyConnect VPN Agent v30.1", ClientClass.OPENCONNECT),
        ("Open AnyConnect VPN Agent v", ClientClass.OPENCONNECT),
        ("OpenConnect VPN Agent (NetworkManager) v9", ClientClass.OPENCONNECT),
        ("AnyConnect-compatible OpenConnect VPN Agent v9.21", ClientClass.OPENCONNECT),
        ("Cisco AnyConnect VPN Agent for Apple iPhone 5.0", ClientClass.CISCO_IOS),
        ("Cisco AnyConnect VPN Agent for Windows 5.1.2", ClientClass.CISCO),
        ("AnyConnect Darwin_i386 3.1.05160", ClientClass.CISCO),
        ("anyconnect linux", ClientClass.CISCO),
        ("Clavister OneConnect VPN 3", ClientClass.CLAVISTER),
        ("AnyLink Secure Client 0.9", ClientClass.ANYLINK),
        ("Cisco SVC IPPhone Client v1.0", ClientClass.PHONE),
        ("Mozilla/5.0", ClientClass.UNKNOWN),
        ("", ClientClass.UNKNOWN),
    ],
)
def test_classes(agent: str, expected: ClientClass) -> None:
    assert classify(agent) is expected


@pytest.mark.parametrize(
    ("name", "value", "mobile"),
    [
        ("X-AnyConnect-Identifier-Platform", "android", True),
        ("X-AnyConnect-Identifier-Platform", "Apple-iOS", True),
        ("X-AnyConnect-Identifier-Platform", "win", False),
        ("X-CSTP-License", "mobile", True),
        ("X-CSTP-License", "accept", False),
    ],
)
def test_who_is_mobile(name: str, value: str, mobile: bool) -> None:
    assert is_mobile(Headers(((name, value),))) is mobile


def test_ios_is_told_by_class_or_by_platform() -> None:
    assert is_ios(ClientClass.CISCO_IOS, ClientInfo())
    assert is_ios(ClientClass.OPENCONNECT, ClientInfo(device_platform="apple-ios"))
    assert not is_ios(ClientClass.CISCO, ClientInfo(device_platform="android"))


def test_what_a_client_says_of_itself() -> None:
    headers = Headers(
        (
            ("User-Agent", "x\x1b[31m" + "y" * 80),
            ("X-CSTP-Hostname", "laptop.corp.example.test"),
            ("X-AnyConnect-Identifier-DeviceType", "phone"),
            ("X-AnyConnect-Identifier-Platform", "android"),
        )
    )
    assert parse_client(headers) == ClientInfo("x[31m" + "y" * 58, "laptop", "phone", "android")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vm", "vm"),
        ("my-pc.example.test", "my-pc"),
        ("192.0.2.7", ""),
        ("-a", ""),
        ("a-", ""),
        ("a_b", ""),
        ("a b", ""),
        ("a" * 63, "a" * 63),
        ("a" * 64, ""),
        ("", ""),
        (".", ""),
        ("é", ""),
    ],
)
def test_host_names(text: str, name: str) -> None:
    assert parse_hostname(text) == name


@given(st.text())
def test_a_clean_text_is_short_and_printable(text: str) -> None:
    cleaned = clean_text(text)
    assert len(cleaned.encode()) <= 63
    assert cleaned.isprintable()
