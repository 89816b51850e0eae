"""What FreeRADIUS writes into its detail file, and what is told while it is dead."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from ocserv_acct_radius.acct import RadiusAcct, common, counters
from ocserv_acct_radius.options import read_options
from radius_world import ACCT_RESPONSE, SID, acct, answer, attribute, client_file, freeradius, hostile, session
from radius_world import needs_freeradius as needs

from ocserv_core.model import AddressPair
from ocserv_core.plugin import DisconnectReason, Lease, Traffic, Unavailable
from tests.loop import on_loop
from tests.servers.freeradius import FreeRadius


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FreeRadius]:
    with freeradius(tmp_path, "") as running:
        yield running


LIFE = Traffic(rx_bytes=5 * 2**32 + 7, tx_bytes=2**32 - 1, rx_packets=11, tx_packets=12)


@needs
def test_a_session_from_its_start_to_its_end(server: FreeRadius) -> None:
    backend = acct(server.radiusclient(), nas_identifier="vpn.example")
    now = time.time()
    bobs = session({"Class": ["30783431"], "User-Name": "bob@example.com"}, started=now - 100)

    async def dialogue() -> None:
        await backend.ocserv_session_open(bobs)
        await backend.ocserv_session_stats(bobs, Traffic(1, 2, 3, 4), now)
        await backend.ocserv_session_close(bobs, LIFE, DisconnectReason.USER, now - 10)

    on_loop(dialogue())
    start, interim, stop = server.records
    for record, status in ((start, "Start"), (interim, "Interim-Update"), (stop, "Stop")):
        assert (
            record.items()
            >= {
                "Acct-Status-Type": status,
                "Acct-Session-Id": SID,
                "User-Name": "bob@example.com",
                "NAS-Identifier": "vpn.example",
                "NAS-IP-Address": "192.0.2.1",
                "Service-Type": "Framed-User",
                "Framed-Protocol": "PPP",
                "Framed-IP-Address": "198.51.100.7",
                "Calling-Station-Id": "192.0.2.7",
                "Acct-Authentic": "RADIUS",
                "Class": "0x30783431",
            }.items()
        )
    assert start["Connect-Info"] == "Tester 1.0"
    assert "Acct-Session-Time" not in start
    assert (interim["Acct-Input-Octets"], interim["Acct-Output-Octets"]) == ("1", "2")
    assert (
        stop.items()
        >= {
            "Acct-Input-Gigawords": "5",
            "Acct-Input-Octets": "7",
            "Acct-Output-Gigawords": "0",
            "Acct-Output-Octets": str(2**32 - 1),
            "Acct-Input-Packets": "11",
            "Acct-Output-Packets": "12",
            "Acct-Session-Time": "90",
            "Acct-Delay-Time": "10",
            "Acct-Terminate-Cause": "User-Request",
        }.items()
    )


@needs
def test_every_reason_has_its_cause(server: FreeRadius) -> None:
    backend = acct(server.radiusclient())

    async def dialogue() -> None:
        for reason in DisconnectReason:
            await backend.ocserv_session_close(session(), Traffic(), reason, time.time())

    on_loop(dialogue())
    causes = dict(zip(DisconnectReason, [record["Acct-Terminate-Cause"] for record in server.records], strict=True))
    assert causes == {
        DisconnectReason.UNSPECIFIED: "Lost-Service",
        DisconnectReason.USER: "User-Request",
        DisconnectReason.TEMPORARY: "Lost-Service",
        DisconnectReason.SERVER: "Admin-Reset",
        DisconnectReason.IDLE_TIMEOUT: "Idle-Timeout",
        DisconnectReason.DPD_TIMEOUT: "Lost-Carrier",
        DisconnectReason.ERROR: "User-Error",
        DisconnectReason.SESSION_TIMEOUT: "Session-Timeout",
        DisconnectReason.HEALTH_PROBE: "Lost-Service",
    }


@needs
def test_a_session_of_another_back_end_with_addresses_of_both_families(server: FreeRadius) -> None:
    lease = Lease(None, AddressPair("2001:db8::1", "2001:db8::700", 120))
    other = session(method="certificate+plain", local_ip="2001:db8::1", lease=lease)

    async def dialogue() -> None:
        await acct(server.radiusclient()).ocserv_session_open(other)

    on_loop(dialogue())
    (record,) = server.records
    assert (
        record.items()
        >= {
            "User-Name": "bob",
            "Acct-Authentic": "Local",
            "NAS-IPv6-Address": "2001:db8::1",
            "Framed-IPv6-Address": "2001:db8::700",
            "Delegated-IPv6-Prefix": "2001:db8::700/120",
        }.items()
    )
    assert "Framed-IP-Address" not in record
    assert "Class" not in record


def test_a_session_that_never_had_a_tunnel_has_no_time() -> None:
    assert "Acct-Session-Time" not in dict(counters(session(started=0.0), Traffic(), time.time()))


@pytest.mark.parametrize(
    ("method", "said"), [("radius", "RADIUS"), ("certificate+radius", "RADIUS"), ("radius2", "Local")]
)
def test_who_let_the_user_in_is_said(tmp_path: Path, method: str, said: str) -> None:
    settings = read_options({"config": client_file(tmp_path, 1813)})
    assert dict(common(session(method=method), settings))["Acct-Authentic"] == said


@needs
def test_an_end_is_told_when_the_server_is_back(server: FreeRadius) -> None:
    backend = acct(server.radiusclient())
    at = time.time() - 30

    async def dialogue() -> None:
        server.stop()
        with pytest.raises(Unavailable, match="Connection refused"):
            await backend.ocserv_session_close(session(), LIFE, DisconnectReason.USER, at)
        server.start()
        await backend.ocserv_session_close(session(), LIFE, DisconnectReason.USER, at)

    on_loop(dialogue())
    (record,) = server.records
    assert int(record["Acct-Delay-Time"]) >= 30


@needs
def test_without_a_start_there_is_no_session(server: FreeRadius) -> None:
    server.stop()

    async def dialogue() -> None:
        with pytest.raises(Unavailable):
            await acct(server.radiusclient()).ocserv_session_open(session())

    on_loop(dialogue())


def test_the_class_of_a_user_with_five_hundred_groups_is_echoed(tmp_path: Path) -> None:
    classes = [b"OU=" + b";".join(b"g%03d" % n for n in range(start, start + 40)) for start in range(0, 500, 40)]
    heard: list[bytes] = []

    def listen(request: bytes) -> Sequence[bytes]:
        heard.append(request)
        return [answer(request, ACCT_RESPONSE, signed=False)]

    async def dialogue() -> None:
        async with hostile(listen) as server:
            backend: RadiusAcct = acct(client_file(tmp_path, server.port))
            await backend.ocserv_session_open(session({"Class": [octets.hex() for octets in classes]}))

    on_loop(dialogue())
    assert b"".join(attribute(25, octets) for octets in classes) in heard[0]
