"""The client asks for a tunnel, the server answers with these headers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_options

from ocserv_core.config.session import SessionConfig
from ocserv_core.config.values import AlgorithmPriority
from ocserv_core.model import AddressPair, ClientInfo, Cookie, Lease
from ocserv_core.protocol.clients import ClientClass
from ocserv_core.protocol.connect import ConnectRequest
from ocserv_core.protocol.dtls import DtlsSettings, LegacyPlan, PskPlan
from ocserv_core.protocol.liveness import LivenessSettings
from ocserv_core.protocol.offer import HEADERS, Offer, OfferFacts, build_offer, expand

REQUEST = ConnectRequest(
    cookie=Cookie("c" * 43),
    client=ClientInfo("Open AnyConnect VPN Agent v9.01-3", "vm"),
    client_class=ClientClass.OPENCONNECT,
    full_ipv6=True,
    base_mtu=1500,
    mtu=1390,
)
CISCO = replace(REQUEST, client_class=ClientClass.CISCO)
OLD = replace(REQUEST, full_ipv6=False)
V3 = replace(REQUEST, client_class=ClientClass.OPENCONNECT_V3)
SESSION = SessionConfig(
    dns=("198.51.100.1", "2001:db8:99::1"),
    nbns=("198.51.100.2",),
    split_dns=("corp.example.test", "lab.example.test"),
    default_domain="corp.example.test",
    routes=("10.10.0.0/16", "2001:db8:1000::/36"),
    no_routes=("10.10.5.0/24", "2001:db8:1800::/40"),
    banner="Authorised use only",
)
LEASE = Lease(
    AddressPair("198.51.100.1", "198.51.100.50", 24), AddressPair("2001:db8:99::1", "2001:db8:99:8e4f::58ef", 128)
)
IPV4_ONLY = Lease(LEASE.ipv4)
FACTS = OfferFacts("ocserv-core 0.1.0", "TLS1.3", "alice", "staff")
DTLS_ID = bytes(range(32))
UDP = replace(FACTS, dtls=DtlsSettings(udp_port=443), dtls_id=DTLS_ID)
CAN_DTLS = replace(
    REQUEST,
    dtls_ciphers=("PSK-NEGOTIATE", "OC-DTLS1_2-AES256-GCM", "AES128-SHA"),
    dtls12_ciphers=("ECDHE-RSA-AES256-GCM-SHA384", "AES128-SHA"),
    dtls_master_secret=bytes(48),
    cstp_encodings=("oc-lz4", "lzs"),
    dtls_encodings=("oc-lz4", "lzs"),
)
CAN_LEGACY = replace(CAN_DTLS, dtls_ciphers=("AES128-SHA",))


def offer(
    request: ConnectRequest = REQUEST,
    session: SessionConfig = SESSION,
    lease: Lease = LEASE,
    facts: OfferFacts = FACTS,
) -> Offer:
    return build_offer(request, session, lease, facts)


def lines(made: Offer) -> list[str]:
    return made.header.decode().split("\r\n")


def values(made: Offer, name: str) -> list[str]:
    return [line.partition(": ")[2] for line in lines(made) if line.startswith(name + ":")]


def test_the_whole_answer_in_its_order() -> None:
    session = with_options(SESSION, dpd=60, keepalive=300, idle_timeout=1200, session_timeout=86400)
    assert lines(offer(session=session, facts=replace(FACTS, rekey_jitter=-2))) == [
        "HTTP/1.1 200 CONNECTED",
        "X-CSTP-Version: 1",
        "X-CSTP-Server-Name: ocserv-core 0.1.0",
        "X-CSTP-Hostname: vm",
        "X-CSTP-DPD: 60",
        "X-CSTP-Default-Domain: corp.example.test",
        "X-CSTP-Address: 198.51.100.50",
        "X-CSTP-Netmask: 255.255.255.0",
        "X-CSTP-Address-IP6: 2001:db8:99:8e4f::58ef/128",
        "X-CSTP-DNS: 198.51.100.1",
        "X-CSTP-DNS: 2001:db8:99::1",
        "X-CSTP-NBNS: 198.51.100.2",
        "X-CSTP-Split-DNS: corp.example.test",
        "X-CSTP-Split-DNS: lab.example.test",
        "X-CSTP-Split-Include: 10.10.0.0/255.255.0.0",
        "X-CSTP-Split-Include-IP6: 2001:db8:1000::/36",
        "X-CSTP-Tunnel-All-DNS: false",
        "X-CSTP-Client-Bypass-Protocol: false",
        "X-CSTP-Split-Exclude: 10.10.5.0/255.255.255.0",
        "X-CSTP-Split-Exclude-IP6: 2001:db8:1800::/40",
        "X-CSTP-Keepalive: 300",
        "X-CSTP-Idle-Timeout: 1200",
        "X-CSTP-Smartcard-Removal-Disconnect: true",
        "X-CSTP-Rekey-Time: 172798",
        "X-CSTP-Rekey-Method: new-tunnel",
        "X-CSTP-Session-Timeout: 86400",
        "X-CSTP-Session-Timeout-Remaining: 86400",
        "X-CSTP-Disconnected-Timeout: none",
        "X-CSTP-Keep: true",
        "X-CSTP-TCP-Keepalive: true",
        "X-CSTP-License: accept",
        "X-CSTP-Base-MTU: 1500",
        "X-CSTP-MTU: 1418",
        "X-CSTP-Banner: Authorised use only",
        "",
        "",
    ]


def test_a_session_without_anything_still_has_what_a_client_needs() -> None:
    names = {line.partition(":")[0] for line in lines(offer(session=SessionConfig(), lease=IPV4_ONLY))}
    assert names >= {"X-CSTP-Version", "X-CSTP-Address", "X-CSTP-Netmask", "X-CSTP-MTU"}


def test_without_routes_there_is_no_include() -> None:
    assert b"Split-Include" not in offer(session=SessionConfig()).header


# ---- addresses --------------------------------------------------------------------------------------------------


def test_an_old_client_gets_ipv6_as_a_second_address() -> None:
    made = offer(OLD)
    assert values(made, "X-CSTP-Address") == ["198.51.100.50", "2001:db8:99:8e4f::58ef"]
    assert values(made, "X-CSTP-Netmask") == ["255.255.255.0", "2001:db8:99:8e4f::58ef/128"]


@pytest.mark.parametrize("request_", [OLD, V3])
def test_an_old_client_gets_no_ipv6_routes_or_servers(request_: ConnectRequest) -> None:
    made = offer(request_)
    assert values(made, "X-CSTP-DNS") == ["198.51.100.1"]
    assert b"-IP6" not in made.header


def test_a_family_that_was_not_asked_for_is_not_offered() -> None:
    made = offer(replace(REQUEST, wants_ipv6=False))
    assert made.lease == IPV4_ONLY
    assert b"2001:db8" not in made.header


def test_ipv6_alone() -> None:
    made = offer(replace(REQUEST, wants_ipv4=False))
    assert values(made, "X-CSTP-Address") == []
    assert values(made, "X-CSTP-Split-Include") == []
    assert values(made, "X-CSTP-DNS") == ["2001:db8:99::1"]


def test_a_link_too_small_for_ipv6_gets_none() -> None:
    made = offer(session=with_options(SESSION, mtu=1300))
    assert made.lease == IPV4_ONLY
    assert made.data_mtu < 1280
    assert b"2001:db8" not in made.header


def test_the_prefix_of_a_delegated_subnet_is_told() -> None:
    lease = Lease(LEASE.ipv4, AddressPair("2001:db8:99::1", "2001:db8:99:8e4f::", 64))
    assert values(offer(lease=lease), "X-CSTP-Address-IP6") == ["2001:db8:99:8e4f::/64"]


# ---- what Cisco's clients need ----------------------------------------------------------------------------------


def test_cisco_gets_its_own_header_for_an_ipv6_server() -> None:
    made = offer(CISCO)
    assert values(made, "X-CSTP-DNS") == ["198.51.100.1"]
    assert values(made, "X-CSTP-DNS-IP6") == ["2001:db8:99::1"]


def test_ios_gets_a_route_for_ipv6_before_the_others() -> None:
    made = offer(replace(CISCO, ios=True), with_options(SESSION, routes=("10.10.0.0/16",)))
    assert values(made, "X-CSTP-Split-Include-IP6") == ["2000::/3"]


def test_ios_with_ipv6_routes_needs_no_other() -> None:
    assert values(offer(replace(CISCO, ios=True)), "X-CSTP-Split-Include-IP6") == ["2001:db8:1000::/36"]


def test_ios_without_ipv6_gets_no_route_for_it() -> None:
    assert b"2000::/3" not in offer(replace(CISCO, ios=True), lease=IPV4_ONLY).header


@pytest.mark.parametrize("rekey_time", [0, 3600])
@pytest.mark.parametrize("version", ["TLS1.2", "TLS1.3"])
def test_no_rekey_is_never_called_none(rekey_time: int, version: str) -> None:
    session = with_options(SESSION, rekey_time=rekey_time)
    assert values(offer(session=session, facts=replace(FACTS, tls_version=version)), "X-CSTP-Rekey-Method") == [
        "new-tunnel"
    ]


# ---- rekey and timers -------------------------------------------------------------------------------------------

SSL = with_options(SESSION, rekey_method="ssl", rekey_time=3600)


def rekeyed(session: SessionConfig, version: str, jitter: int = 10) -> tuple[list[str], str, float]:
    made = offer(session=session, facts=replace(FACTS, tls_version=version, rekey_jitter=jitter))
    return values(made, "X-CSTP-Rekey-Time"), made.rekey_method, made.liveness.rekey_time


def test_ssl_under_tls_1_3_is_the_servers_own_business() -> None:
    assert rekeyed(SSL, "TLS1.3") == (["31536000"], "ssl", 3610)


def test_ssl_under_tls_1_2_is_announced_as_a_new_tunnel() -> None:
    assert rekeyed(SSL, "TLS1.2") == (["3610"], "new-tunnel", 0)


def test_a_new_tunnel_is_the_clients_business() -> None:
    assert rekeyed(with_options(SSL, rekey_method="new-tunnel"), "TLS1.3") == (["3610"], "new-tunnel", 0)


def test_a_short_rekey_time_is_announced_as_it_is() -> None:
    assert rekeyed(with_options(SSL, rekey_time=30), "TLS1.2", -29) == (["30"], "new-tunnel", 0)


def test_no_rekey_is_announced_as_a_year() -> None:
    assert rekeyed(with_options(SSL, rekey_time=0), "TLS1.3") == (["31536000"], "new-tunnel", 0)


def test_the_session_time_counts_from_the_first_login() -> None:
    made = offer(session=with_options(SESSION, session_timeout=100), facts=replace(FACTS, started=1000, now=1030.5))
    assert values(made, "X-CSTP-Session-Timeout-Remaining") == ["69"]
    assert made.liveness.session_remaining == 69.5


def test_without_a_session_time_there_is_none() -> None:
    made = offer()
    assert values(made, "X-CSTP-Session-Timeout") == ["none"]
    assert values(made, "X-CSTP-Session-Timeout-Remaining") == ["none"]
    assert made.liveness.session_remaining is None


def test_the_remaining_time_stands_behind_the_whole() -> None:
    names = [name for name, _ in HEADERS]
    assert names.index("X-CSTP-Session-Timeout-Remaining") == names.index("X-CSTP-Session-Timeout") + 1


def test_a_mobile_client_gets_the_mobile_timers() -> None:
    session = with_options(SESSION, dpd=90, mobile_dpd=1800, idle_timeout=600, mobile_idle_timeout=2400)
    made = offer(replace(REQUEST, mobile=True), session)
    assert values(made, "X-CSTP-DPD") == ["1800"]
    assert values(made, "X-CSTP-Idle-Timeout") == ["2400"]
    assert made.liveness == LivenessSettings(dpd=1800, idle_timeout=2400)


def test_what_is_announced_is_what_is_kept() -> None:
    session = with_options(SESSION, dpd=7, idle_timeout=8, stats_report_time=9)
    assert offer(session=session).liveness == LivenessSettings(dpd=7, idle_timeout=8, stats_report_time=9)


def test_timers_that_are_off() -> None:
    made = offer(session=with_options(SESSION, dpd=0, idle_timeout=0))
    assert values(made, "X-CSTP-DPD") == []
    assert values(made, "X-CSTP-Idle-Timeout") == ["none"]


# ---- MTU --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "session", "facts", "link"),
    [
        (REQUEST, SESSION, FACTS, 1500),
        (replace(REQUEST, base_mtu=1420), SESSION, FACTS, 1420),
        (replace(REQUEST, base_mtu=1000), SESSION, FACTS, 1500),
        (replace(REQUEST, base_mtu=None, mtu=1290), SESSION, FACTS, 1400),
        (REQUEST, with_options(SESSION, mtu=1400), FACTS, 1400),
        (REQUEST, SESSION, replace(FACTS, device_mtu=1450), 1450),
        (REQUEST, SESSION, replace(FACTS, path_mtu=1440), 1440),
    ],
)
def test_the_link(request_: ConnectRequest, session: SessionConfig, facts: OfferFacts, link: int) -> None:
    made = offer(request_, session, facts=facts)
    assert (made.link_mtu, values(made, "X-CSTP-Base-MTU")) == (link, [str(link)])


def test_without_ipv6_a_smaller_link_is_believed() -> None:
    assert offer(replace(REQUEST, base_mtu=1000), lease=IPV4_ONLY).link_mtu == 1000


def test_the_data_mtu_is_announced() -> None:
    made = offer(facts=replace(FACTS, outer_ipv6=True, tls_version="TLS1.2"))
    assert (made.data_mtu, values(made, "X-CSTP-MTU")) == (1391, ["1391"])


# ---- DTLS and compression ---------------------------------------------------------------------------------------

# The C server's order, as it answered openconnect 9.01 (with PSK and compression).
BEFORE_DTLS = (
    "Version Server-Name Hostname DPD Default-Domain Address Netmask Address-IP6 DNS DNS Split-DNS Split-Include"
    " Split-Include-IP6 Tunnel-All-DNS Client-Bypass-Protocol Split-Exclude Keepalive Idle-Timeout"
    " Smartcard-Removal-Disconnect Rekey-Time Rekey-Method Session-Timeout Session-Timeout-Remaining"
    " Disconnected-Timeout Keep TCP-Keepalive License"
)
OF_DTLS = "DPD Port Rekey-Time Rekey-Method Keepalive"
AFTER_DTLS = "Base-MTU MTU Banner"


def names(cstp: str = "", dtls: str = "") -> list[str]:
    """Whole names of these headers."""
    return [*(f"X-CSTP-{name}" for name in cstp.split()), *(f"X-DTLS-{name}" for name in dtls.split())]


PSK = names(BEFORE_DTLS, OF_DTLS + " App-ID CipherSuite")
LEGACY_12 = [*names(BEFORE_DTLS, OF_DTLS + " Session-ID"), "X-DTLS12-CipherSuite", "X-DTLS-MTU"]
LEGACY_09 = names(BEFORE_DTLS, OF_DTLS + " Session-ID CipherSuite MTU")
COMPRESSION = ["X-DTLS-Content-Encoding", "X-CSTP-Content-Encoding"]

TRANSCRIPT = with_options(
    SESSION,
    nbns=(),
    split_dns=("corp.example.test",),
    no_routes=("10.10.5.0/24",),
    compression=True,
    dpd=60,
    keepalive=300,
    rekey_time=172800,
)


@pytest.mark.parametrize(
    ("request_", "facts", "expected"),
    [
        (CAN_DTLS, UDP, [*PSK, *names(AFTER_DTLS), *COMPRESSION]),
        (CAN_LEGACY, UDP, [*LEGACY_12, *names(AFTER_DTLS), *COMPRESSION]),
        (replace(CAN_LEGACY, dtls12_ciphers=()), UDP, [*LEGACY_09, *names(AFTER_DTLS), *COMPRESSION]),
        (CAN_DTLS, FACTS, [*names(BEFORE_DTLS), *names(AFTER_DTLS), *names("Content-Encoding")]),
        (REQUEST, UDP, [*names(BEFORE_DTLS), *names(AFTER_DTLS)]),
    ],
    ids=["PSK", "legacy, DTLS 1.2", "legacy, DTLS 0.9", "no UDP here", "no DTLS there"],
)
def test_the_names_in_the_order_of_the_c_server(
    request_: ConnectRequest, facts: OfferFacts, expected: list[str]
) -> None:
    made = offer(request_, TRANSCRIPT, facts=facts)
    assert [line.partition(":")[0] for line in lines(made)[1:-2]] == expected


def dtls_lines(made: Offer) -> list[str]:
    return [line for line in lines(made) if line.startswith("X-DTLS")]


def test_psk_is_answered_with_an_id() -> None:
    made = offer(CAN_DTLS, TRANSCRIPT, facts=replace(UDP, rekey_jitter=-2))
    assert dtls_lines(made) == [
        "X-DTLS-DPD: 60",
        "X-DTLS-Port: 443",
        "X-DTLS-Rekey-Time: 172808",
        "X-DTLS-Rekey-Method: new-tunnel",
        "X-DTLS-Keepalive: 300",
        f"X-DTLS-App-ID: {DTLS_ID.hex()}",
        "X-DTLS-CipherSuite: PSK-NEGOTIATE",
        "X-DTLS-Content-Encoding: oc-lz4",
    ]
    assert isinstance(made.dtls, PskPlan)


def test_legacy_is_answered_with_a_session_and_an_mtu() -> None:
    made = offer(CAN_LEGACY, TRANSCRIPT, facts=UDP)
    assert dtls_lines(made)[5:] == [
        f"X-DTLS-Session-ID: {DTLS_ID.hex()}",
        "X-DTLS12-CipherSuite: ECDHE-RSA-AES256-GCM-SHA384",
        "X-DTLS-MTU: 1434",
        "X-DTLS-Content-Encoding: oc-lz4",
    ]
    assert isinstance(made.dtls, LegacyPlan)


@pytest.mark.parametrize(
    ("session", "facts"),
    [(with_options(SESSION, no_udp=True), UDP), (SESSION, FACTS)],
    ids=["no-udp", "no udp-port"],
)
def test_without_udp_there_is_no_dtls(session: SessionConfig, facts: OfferFacts) -> None:
    made = offer(CAN_DTLS, session, facts=facts)
    assert (dtls_lines(made), made.dtls, made.data_mtu) == ([], None, 1418)


@pytest.mark.parametrize(
    ("request_", "facts", "expected"),
    [
        (CAN_DTLS, UDP, 1434),
        (CAN_DTLS, replace(UDP, outer_ipv6=True), 1414),
        (replace(CAN_LEGACY, dtls12_ciphers=()), UDP, 1406),
    ],
)
def test_with_dtls_the_tunnel_has_its_mtu(request_: ConnectRequest, facts: OfferFacts, expected: int) -> None:
    made = offer(request_, facts=facts)
    assert (made.data_mtu, values(made, "X-CSTP-MTU")) == (expected, [str(expected)])


def test_ipv6_is_refused_by_the_mtu_of_dtls() -> None:
    session = with_options(SESSION, mtu=1345)
    assert offer(CAN_DTLS, session, facts=UDP).data_mtu == 1279
    assert offer(CAN_DTLS, session, facts=UDP).lease == IPV4_ONLY
    assert offer(CAN_DTLS, with_options(SESSION, mtu=1346), facts=UDP).lease == LEASE


@pytest.mark.parametrize(
    ("method", "rekey_time", "announced"),
    [("new-tunnel", 3600, "3610"), ("ssl", 3600, "3610"), ("ssl", 0, "31536000"), ("new-tunnel", 30, "40")],
)
def test_dtls_is_renewed_by_the_client_and_after_tls(method: str, rekey_time: int, announced: str) -> None:
    session = with_options(SESSION, rekey_method=method, rekey_time=rekey_time)
    made = offer(CAN_DTLS, session, facts=UDP)
    assert values(made, "X-DTLS-Rekey-Time") == [announced]
    assert values(made, "X-DTLS-Rekey-Method") == ["new-tunnel"]


def test_a_mobile_client_gets_the_mobile_timer_by_udp_too() -> None:
    made = offer(replace(CAN_DTLS, mobile=True), facts=UDP)
    assert values(made, "X-DTLS-DPD") == values(made, "X-CSTP-DPD") == ["1800"]


@pytest.mark.parametrize(
    ("cstp", "dtls"), [(("oc-lz4", "lzs"), ("lzs",)), (("lzs", "deflate"), ()), (("deflate",), ("oc-lz4",))]
)
def test_each_channel_has_its_own_compression(cstp: tuple[str, ...], dtls: tuple[str, ...]) -> None:
    request = replace(CAN_DTLS, cstp_encodings=cstp, dtls_encodings=dtls)
    made = offer(request, with_options(SESSION, compression=True), facts=UDP)
    assert made.cstp_compression == (cstp[0] if cstp[0] != "deflate" else "")
    assert made.dtls_compression == (dtls[0] if dtls else "")
    assert "".join(values(made, "X-CSTP-Content-Encoding")) == made.cstp_compression
    assert "".join(values(made, "X-DTLS-Content-Encoding")) == made.dtls_compression


def test_nothing_is_compressed_unless_it_is_configured() -> None:
    made = offer(CAN_DTLS, facts=UDP)
    assert (made.cstp_compression, made.dtls_compression) == ("", "")
    assert b"Content-Encoding" not in made.header


def test_the_administrator_ranks_the_algorithms() -> None:
    facts = replace(UDP, compression_priorities=(AlgorithmPriority("lzs", 99),))
    made = offer(CAN_DTLS, with_options(SESSION, compression=True), facts=facts)
    assert (made.cstp_compression, made.dtls_compression) == ("lzs", "lzs")


# ---- an administrator's lines -----------------------------------------------------------------------------------


def test_included_headers_come_first() -> None:
    made = offer(facts=replace(FACTS, included_headers=("X-Frame-Options: deny",)))
    assert lines(made)[1] == "X-Frame-Options: deny"


def test_custom_headers_know_user_and_group() -> None:
    session = with_options(SESSION, custom_headers=("X-Who: %{U} of %{G}", "X-Odd: 100%"))
    made = offer(session=session)
    assert values(made, "X-Who") == ["alice of staff"]
    assert values(made, "X-Odd") == []


def test_the_proxy_is_spelled_as_clients_compare_it() -> None:
    session = with_options(SESSION, proxy_url="http://proxy.example.test/%{U}.pac")
    assert values(offer(session=session), "X-CSTP-MSIE-Proxy-PAC-URL") == ["http://proxy.example.test/alice.pac"]


def test_a_configured_host_name_goes_before_the_clients() -> None:
    assert values(offer(session=with_options(SESSION, hostname="pc7")), "X-CSTP-Hostname") == ["pc7"]


def test_a_client_without_a_host_name_gets_none() -> None:
    assert values(offer(replace(REQUEST, client=ClientInfo())), "X-CSTP-Hostname") == []


def test_switches_that_are_on() -> None:
    session = with_options(SESSION, tunnel_all_dns=True, client_bypass_protocol=True, listen_host_is_dyndns=True)
    made = offer(session=session)
    names = ("X-CSTP-Tunnel-All-DNS", "X-CSTP-Client-Bypass-Protocol", "X-CSTP-DynDNS")
    assert [values(made, name) for name in names] == [["true"]] * 3


def test_a_banner_is_one_line() -> None:
    made = offer(session=with_options(SESSION, banner="one\r\nX-CSTP-Address: 192.0.2.66"))
    assert values(made, "X-CSTP-Banner") == ["one  X-CSTP-Address: 192.0.2.66"]


def test_a_user_cannot_write_headers_with_his_name() -> None:
    session = with_options(SESSION, custom_headers=("X-Who: %{U}",))
    made = offer(session=session, facts=replace(FACTS, username="a\r\nX-Evil: 1"))
    assert values(made, "X-Evil") == []


@pytest.mark.parametrize("text", ["%", "%{X}", "%u", "%{U", "100% %{U}"])
def test_another_percent_sign_spoils_a_text(text: str) -> None:
    assert expand(text, FACTS) == ""


@given(st.text(max_size=60), st.text(max_size=30), st.booleans(), st.booleans())
def test_every_offer_is_one_head(banner: str, username: str, full_ipv6: bool, mobile: bool) -> None:
    session = with_options(SESSION, banner=banner, custom_headers=("X-Who: %{U}",))
    request = replace(REQUEST, full_ipv6=full_ipv6, mobile=mobile)
    made = offer(request, session, facts=replace(FACTS, username=username))
    head, end, rest = made.header.partition(b"\r\n\r\n")
    assert (end, rest) == (b"\r\n\r\n", b"")
    assert all(b":" in line for line in head.split(b"\r\n")[1:])
