"""Tunnels that nobody answers on, that idle, that last too long; and keys that are renewed under way."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from .lab import GATEWAY4, Lab
from .traffic import Echo, connected

KEY_UPDATE = r"KEY[ _]UPDATE \(24\) was received"


def test_a_client_that_is_dead_ends_by_dpd(lab: Lab) -> None:
    server = lab.start_server(dpd=2)
    client = lab.connect()
    client.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    assert server.await_disconnected("alice") == "DPD timeout"
    assert 4 < time.monotonic() - stopped < 10


def test_a_client_that_reads_nothing_of_a_flood_ends_by_dpd(lab: Lab) -> None:
    server = lab.start_server(dpd=2)
    client = lab.connect()
    with lab.namespace.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        client.send_signal(signal.SIGSTOP)
        for _ in range(20_000):
            flood.sendto(bytes(1200), (client.address4, 9))
    assert server.await_disconnected("alice") == "DPD timeout"


def test_a_client_that_died_of_dpd_comes_back_with_its_addresses(lab: Lab) -> None:
    server = lab.start_server(dpd=1, predictable_ips=False)
    client = lab.connect()
    addresses = client.addresses
    client.send_signal(signal.SIGSTOP)
    server.await_disconnected("alice")
    client.send_signal(signal.SIGCONT)
    client.await_reconnected()
    assert client.addresses == addresses
    assert client.reaches(GATEWAY4)


def test_a_client_that_answers_probes_lives_on(lab: Lab) -> None:
    lab.start_server(dpd=1)
    # Its own probes would come first, and then nothing is left to ask.
    client = lab.connect("alice", "--force-dpd=60")
    client.output.wait_for("Got CSTP DPD request", times=3)
    assert client.host.ping(GATEWAY4)


def test_the_probes_of_a_client_are_answered(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect("alice", "--force-dpd=1")
    client.output.wait_for("Got CSTP DPD response", times=2)
    assert client.host.ping(GATEWAY4)


def test_an_idle_client_is_ended_and_told_so(lab: Lab) -> None:
    server = lab.start_server(idle_timeout=2)
    client = lab.connect()
    assert client.wait() != 0
    assert client.output.find("Received server disconnect: .*Idle Timeout")
    assert server.await_disconnected("alice") == "idle timeout"


def test_data_keeps_a_client_from_idling(lab: Lab) -> None:
    lab.start_server(idle_timeout=3)
    client = lab.connect()
    with connected(client.host, lab.namespace, GATEWAY4) as (near, far):
        echo = Echo(near, far)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert echo.exchange()
            assert not client.output.heard("server disconnect", 0.5)
    assert client.running


def test_a_session_whose_time_is_over_is_ended_and_its_cookie_with_it(lab: Lab) -> None:
    server = lab.start_server(session_timeout=3)
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    assert client.wait() != 0
    assert client.output.find("Received server disconnect: .*Session Timeout")
    assert server.await_disconnected("alice") == "session timeout"
    assert lab.resume(cookie).wait() != 0


def test_keys_are_renewed_within_the_connection_under_traffic(lab: Lab) -> None:
    server = lab.start_server(rekey_time=1, rekey_method="ssl")
    client = lab.connect(environment={"GNUTLS_DEBUG_LEVEL": "4"})
    with connected(client.host, lab.namespace, GATEWAY4) as (near, far):
        echo = Echo(near, far)
        until = time.monotonic() + 20
        while not client.output.heard(KEY_UPDATE, 0.02, times=3) and time.monotonic() < until:
            assert echo.exchange()
        assert client.output.count(KEY_UPDATE) >= 3
        assert echo.exchange(500_000)
    assert not client.output.find("done reconnect")
    assert not server.log.find("disconnected")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_keys_are_renewed_by_a_new_tunnel_under_traffic(lab: Lab, version: str) -> None:
    server = lab.start_server(
        rekey_time=2, rekey_method="new-tunnel", tls_priorities=f'"NORMAL:-VERS-ALL:+VERS-TLS{version}"'
    )
    client = lab.connect()
    addresses = client.addresses
    with connected(client.host, lab.namespace, GATEWAY4) as (near, far):
        echo = Echo(near, far)
        until = time.monotonic() + 20
        while not client.output.heard("done reconnect", 0.02, times=2) and time.monotonic() < until:
            assert echo.exchange()
        assert client.output.count("done reconnect") >= 2
        assert echo.exchange(100_000)
    assert client.addresses == addresses
    assert len(server.show("users")) == 1


def test_ssl_rekey_under_tls_1_2_is_a_new_tunnel(lab: Lab) -> None:
    lab.start_server(rekey_time=2, rekey_method="ssl", tls_priorities='"NORMAL:-VERS-ALL:+VERS-TLS1.2"')
    client = lab.connect()
    client.await_reconnected()
    assert client.reaches(GATEWAY4)
