"""Each class of clients as it was heard: what it sends, in its order, and what it must be told. The requests of
openconnect are captured ones; those of the others are put together of what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from ocserv_core.config.session import SessionConfig
from ocserv_core.model import AddressPair, CertificateFacts, Lease
from ocserv_core.protocol.dtls import DtlsSettings
from ocserv_core.protocol.login_words import ConnectionFacts, LoginSettings, OpenTunnel
from ocserv_core.protocol.offer import Offer, OfferFacts, build_offer
from tests.protocol.dialogue import COOKIE, HANDLE, SHA1, Answer, Dialogue, answer, config_auth, http

SESSION = SessionConfig(
    dns=("198.51.100.1", "2001:db8:99::1"), routes=("10.10.0.0/16", "2001:db8:1000::/36"), dpd=60, mobile_dpd=1800
)
LEASE = Lease(AddressPair("198.51.100.1", "198.51.100.50", 24), AddressPair("2001:db8:99::1", "2001:db8:99::58ef", 128))
UDP = OfferFacts("ocserv-core", "TLS1.3", "alice", dtls=DtlsSettings(udp_port=443), dtls_id=bytes(32))

FORM = {"Content_Type": "application/x-www-form-urlencoded"}
AGGREGATE = {"X_Transcend_Version": "1", "X_Aggregate_Auth": "1", "Content_Type": "application/xml; charset=utf-8"}
IPV6 = {"X_CSTP_Address_Type": "IPv6,IPv4", "X_CSTP_Full_IPv6_Capability": "true"}
SECRET = {"X_DTLS_Master_Secret": "3B" * 48}
GNUTLS = {
    **SECRET,
    "X_DTLS_CipherSuite": "PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:OC2-DTLS1_2-CHACHA20-POLY1305:AES256-SHA:AES128-SHA",
    "X_DTLS12_CipherSuite": "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA",
}
OPENSSL = {
    **SECRET,
    "X_DTLS_CipherSuite": "ECDHE-RSA-AES256-SHA:AES256-SHA:AES128-SHA:OC-DTLS1_2-AES128-GCM:PSK-NEGOTIATE",
    "X_DTLS12_CipherSuite": "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES128-SHA",
}
ASA = {
    **SECRET,
    "X_DTLS_CipherSuite": "AES256-SHA:AES128-SHA:DES-CBC3-SHA:DES-CBC-SHA",
    "X_DTLS12_CipherSuite": "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA:AES128-SHA",
}

INIT = config_auth("init", "<group-access>https://192.0.2.1/</group-access>")
NAME = config_auth("auth-reply", "<auth><username>alice</username></auth>")
PASSWORD = config_auth("auth-reply", "<auth><password>secret</password></auth>")
ONE_FORM = config_auth("auth-reply", "<auth><username>alice</username><password>secret</password></auth>")
CISCO_INIT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<config-auth client="vpn" type="init" aggregate-auth-version="2"><version who="vpn">4.10.05085</version>'
    '<device-id computer-name="PC" device-type="VMware" platform-version="10.0.19044" unique-id="AB">win</device-id>'
    '<mac-address-list><mac-address public-interface="true">00-00-5e-00-53-01</mac-address></mac-address-list>'
    "<group-select>staff</group-select><group-access>https://192.0.2.1</group-access></config-auth>"
)

Step = tuple[str, str, str]
"""Method, target, body."""


@dataclass(frozen=True)
class Recorded:
    """One client. `steps` log it in by name and password, `connect` are its headers of CONNECT. `told` is what the
    answer must have, `untold` names what it must not."""

    agent: str
    steps: Sequence[Step]
    headers: Mapping[str, str]
    connect: Mapping[str, str]
    told: Mapping[str, str]
    untold: tuple[str, ...] = ()
    agent_at_connect: str = ""
    target: str = "/CSCOSSLC/tunnel"
    settings: LoginSettings = field(default_factory=lambda: LoginSettings("default"))
    session: SessionConfig = SESSION


XML_ROUNDS = (("POST", "/", INIT), ("POST", "/auth", NAME), ("POST", "/auth", PASSWORD))
XML_AT_ONCE = (("POST", "/", INIT), ("POST", "/auth", ONE_FORM))
CISCO_AT_ONCE = (("POST", "/", CISCO_INIT), ("POST", "/auth", ONE_FORM))
URL_ENCODED = (("GET", "/", ""), ("POST", "/auth", "username=alice"), ("POST", "/auth", "password=secret"))

BY_PSK = {"X-DTLS-CipherSuite": "PSK-NEGOTIATE", "X-DTLS-Port": "443"}
NEW_IPV6 = {"X-CSTP-Address-IP6": "2001:db8:99::58ef/128", "X-CSTP-Split-Include-IP6": "2001:db8:1000::/36"}
CISCO_DNS = {"X-CSTP-DNS": "198.51.100.1", "X-CSTP-DNS-IP6": "2001:db8:99::1"}

CLIENTS = {
    "openconnect 9, GnuTLS": Recorded(
        "Open AnyConnect VPN Agent v9.01-3",
        XML_ROUNDS,
        {**AGGREGATE, "X_Support_HTTP_Auth": "true", "X_Pad": "0" * 20},
        {**IPV6, **GNUTLS, "X_CSTP_Hostname": "vm", "X_CSTP_Base_MTU": "1500", "X_CSTP_Accept_Encoding": "oc-lz4,lzs"},
        {**BY_PSK, **NEW_IPV6, "X-CSTP-Hostname": "vm", "X-CSTP-DPD": "60"},
        ("X-DTLS12-CipherSuite", "X-CSTP-DNS-IP6"),
    ),
    "openconnect 9.21, OpenSSL": Recorded(
        "AnyConnect-compatible OpenConnect VPN Agent v9.21",
        XML_AT_ONCE,
        AGGREGATE,
        {**IPV6, **OPENSSL},
        {**BY_PSK, **NEW_IPV6},
        ("X-CSTP-DNS-IP6",),
    ),
    "openconnect 8.20 with its leading comma": Recorded(
        "Open AnyConnect VPN Agent v8.20",
        XML_ROUNDS,
        AGGREGATE,
        {**IPV6, **GNUTLS, "X_CSTP_Accept_Encoding": ",oc-lz4,lzs"},
        BY_PSK,
    ),
    "openconnect --no-xmlpost": Recorded(
        "Open AnyConnect VPN Agent v9.01", URL_ENCODED, FORM, {**IPV6, **GNUTLS}, BY_PSK
    ),
    "openconnect 3, which knows no new IPv6": Recorded(
        "Open AnyConnect VPN Agent v3.20",
        URL_ENCODED,
        FORM,
        {"X_CSTP_Address_Type": "IPv6,IPv4", **SECRET, "X_DTLS_CipherSuite": "AES256-SHA:AES128-SHA"},
        {"X-DTLS-CipherSuite": "AES256-SHA", "X-CSTP-Split-Include": "10.10.0.0/255.255.0.0"},
        ("X-CSTP-Address-IP6", "X-CSTP-Split-Include-IP6"),
    ),
    "NetworkManager with a name of its own": Recorded(
        "OpenConnect VPN Agent (NetworkManager)", XML_ROUNDS, AGGREGATE, {**IPV6, **GNUTLS}, {**BY_PSK, **NEW_IPV6}
    ),
    "Cisco on a desktop, with another agent at CONNECT": Recorded(
        "AnyConnect Windows 4.10.05085",
        CISCO_AT_ONCE,
        AGGREGATE,
        {**IPV6, **ASA, "X_CSTP_Protocol": "Copyright (c) 2004 Cisco Systems, Inc.", "X_CSTP_Base_MTU": "1500"},
        {**CISCO_DNS, "X-DTLS12-CipherSuite": "ECDHE-RSA-AES256-GCM-SHA384"},
        ("X-DTLS-CipherSuite",),
        agent_at_connect="Cisco AnyConnect VPN Agent for Windows 4.10.05085",
    ),
    "Cisco on iOS": Recorded(
        "AnyConnect AppleSSLVPN_Darwin_ARM (iPhone) 4.10.05111",
        CISCO_AT_ONCE,
        AGGREGATE,
        {**IPV6, **ASA, "X_AnyConnect_Identifier_Platform": "apple-ios", "X_CSTP_License": "mobile"},
        {**CISCO_DNS, "X-CSTP-DPD": "1800", "X-CSTP-Split-Include-IP6": "2000::/3"},
        agent_at_connect="Cisco AnyConnect VPN Agent for Apple iPhone 4.10.05111",
        session=msgspec.structs.replace(SESSION, routes=("10.10.0.0/16",)),
    ),
    "Cisco on Android": Recorded(
        "AnyConnect Android 4.10.05095",
        CISCO_AT_ONCE,
        AGGREGATE,
        {**IPV6, **ASA, "X_AnyConnect_Identifier_Platform": "android"},
        {**CISCO_DNS, "X-CSTP-DPD": "1800"},
        agent_at_connect="Cisco AnyConnect VPN Agent for Android 4.10.05095",
    ),
    "Clavister on Android, whose target has no slash": Recorded(
        "Clavister OneConnect VPN 3.0",
        XML_AT_ONCE,
        AGGREGATE,
        {**IPV6, **GNUTLS},
        BY_PSK,
        target="CSCOSSLC/tunnel",
    ),
    "AnyLink": Recorded(
        "AnyLink Secure Client v0.8.1",
        XML_AT_ONCE,
        AGGREGATE,
        {"X_CSTP_Address_Type": "IPv4", **ASA},
        {"X-CSTP-Address": "198.51.100.50"},
        ("X-CSTP-Address-IP6", "X-CSTP-DNS-IP6"),
    ),
    "an IP phone": Recorded(
        "Cisco SVC IPPhone Client v1.0 (1.0)",
        (("GET", "/svc", ""), ("POST", "/svc", "username=alice&password=secret")),
        FORM,
        {**SECRET, "X_DTLS_CipherSuite": "AES256-SHA:AES128-SHA"},
        {"X-DTLS-CipherSuite": "AES256-SHA", "X-DTLS-Port": "443"},
        settings=LoginSettings("default", phones=True),
    ),
    "one that nobody knows": Recorded(
        "curl/8.0", URL_ENCODED, FORM, IPV6, NEW_IPV6, ("X-DTLS-Port", "X-DTLS-CipherSuite")
    ),
}


def log_in(client: Recorded, facts: ConnectionFacts | None = None) -> Dialogue:
    """Its steps; secmod asks for the password, and grants."""
    dialogue = Dialogue(client.settings, facts or ConnectionFacts(SHA1))
    asked = 0
    for method, target, body in client.steps:
        dialogue.client(http(method, target, body, **{"User_Agent": client.agent, **client.headers, **_handle(asked)}))
        if dialogue.asks_secmod:
            asked += 1
            dialogue.secmod_asks()
    return dialogue


def _handle(asked: int) -> dict[str, str]:
    return {"Cookie": f"webvpncontext={HANDLE}"} if asked else {}


def connect(client: Recorded, dialogue: Dialogue) -> Offer:
    """CONNECT, answered with everything that could be offered."""
    agent = {"User_Agent": client.agent_at_connect or client.agent}
    opened = dialogue.connects(client.target, **agent, **client.connect)
    assert isinstance(opened, OpenTunnel)
    return build_offer(opened.request, client.session, LEASE, UDP)


def headers_of(offer: Offer) -> dict[str, str]:
    """Of two headers of one name the first, which is what clients without IPv6 go by."""
    found: dict[str, str] = {}
    for line in offer.header.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        found.setdefault(name, value)
    return found


@pytest.mark.parametrize("name", CLIENTS)
def test_it_logs_in_and_is_told_what_it_understands(name: str) -> None:
    client = CLIENTS[name]
    dialogue = log_in(client)
    granted: Answer = answer(dialogue.secmod_grants())
    assert granted.status == 200
    assert any(value.startswith(f"webvpn={COOKIE}") for value in granted.all("Set-Cookie"))
    told = headers_of(connect(client, dialogue))
    assert {header: told.get(header) for header in client.told} == dict(client.told)
    assert [header for header in client.untold if header in told] == []


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.headers is AGGREGATE])
def test_it_logs_in_by_its_certificate_alone(name: str) -> None:
    client = CLIENTS[name]
    dialogue = Dialogue(
        LoginSettings("default", methods=(("certificate",),)), ConnectionFacts(SHA1, CertificateFacts("carol", ()))
    )
    method, target, body = client.steps[0]
    dialogue.client(http(method, target, body, **{"User_Agent": client.agent, **client.headers}))
    assert dialogue.asks_secmod
    assert answer(dialogue.secmod_grants()).element("session-token") == COOKIE


@pytest.mark.parametrize("name", CLIENTS)
def test_it_hears_of_a_wrong_password(name: str) -> None:
    dialogue = log_in(CLIENTS[name])
    assert answer(dialogue.secmod_denies("Login failed.")).status == 401
    assert dialogue.closed
