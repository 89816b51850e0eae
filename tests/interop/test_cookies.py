"""A cookie is what a client comes back with: when it lives, from where, and what it gives."""

from __future__ import annotations

import signal
import time

import pytest

from .hostile import DISCONNECT, TlsClient
from .lab import GATEWAY4, Lab


def test_after_kill_the_cookie_brings_the_same_addresses(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False)
    cookie = lab.authenticate()
    first = lab.resume(cookie).await_connected()
    first.kill()
    server.await_disconnected("alice")
    second = lab.resume(cookie, host=first.host).await_connected()
    assert second.addresses == first.addresses
    assert second.host.ping(GATEWAY4)


def test_after_kill_nobody_else_gets_the_addresses(lab: Lab) -> None:
    server = lab.start_server(ipv4_network="198.51.100.0/29", ipv6_network="2001:db8:1::/125", predictable_ips=False)
    first = lab.connect("alice")
    first.kill()
    server.await_disconnected("alice")
    others = [lab.connect("bob") for _ in range(4)]
    taken = {address for other in others for address in other.addresses}
    assert not taken & set(first.addresses)


def test_another_host_comes_with_the_cookie_and_gets_the_addresses(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False)
    cookie = lab.authenticate()
    first = lab.resume(cookie).await_connected()
    first.kill()
    server.await_disconnected("alice")
    elsewhere = lab.resume(cookie).await_connected()
    assert elsewhere.addresses == first.addresses
    assert server.log.find(f"user 'alice' logged in from {elsewhere.host.address4}:")


def test_deny_roaming_refuses_another_host(lab: Lab) -> None:
    server = lab.start_server(deny_roaming=True)
    home = lab.host()
    cookie = lab.authenticate(host=home)
    assert lab.resume(cookie).wait() != 0
    server.log.wait_for("the cookie opens no tunnel: cookie from another address")
    assert lab.resume(cookie, host=home).await_connected().host.ping(GATEWAY4)


def test_a_disconnect_ends_the_cookie(lab: Lab) -> None:
    server = lab.start_server()
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    client.disconnect()
    assert server.await_disconnected("alice") == "user disconnected"
    assert lab.resume(cookie).wait() != 0
    server.log.wait_for("the cookie opens no tunnel")


@pytest.mark.parametrize(
    ("bye", "reason", "status"),
    [
        (b"\xb0Aborted by caller", "user disconnected", 401),
        (b"\x91Reconnecting the VPN tunnel.", "anyconnect client disconnected", 200),
        (b"", "anyconnect client disconnected", 200),
    ],
)
def test_what_a_client_says_last_decides_on_its_cookie(lab: Lab, bye: bytes, reason: str, status: int) -> None:
    server = lab.start_server()
    client = TlsClient(lab.host())
    cookie = client.login("alice", lab.passwords["alice"])
    assert client.connect(cookie).status == 200
    client.send_frame(DISCONNECT, bye)
    assert server.await_disconnected("alice") == reason
    again = TlsClient(lab.host())
    assert again.connect(cookie).status == status
    client.close()
    again.close()


def test_a_persistent_cookie_outlives_a_disconnect(lab: Lab) -> None:
    server = lab.start_server(persistent_cookies=True)
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    client.disconnect()
    server.await_disconnected("alice")
    assert lab.resume(cookie).await_connected().addresses == client.addresses


def test_a_second_connection_with_the_cookie_replaces_the_first(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False)
    cookie = lab.authenticate()
    # The first would come back by itself, and so on for ever: it is stopped.
    first = lab.resume(cookie).await_connected()
    first.send_signal(signal.SIGSTOP)
    second = lab.resume(cookie).await_connected()
    assert second.addresses == first.addresses
    assert second.host.ping(GATEWAY4)
    assert [user["Remote IP"] for user in server.show("user", "alice")] == [second.host.address4]


def test_a_cookie_expires_when_its_time_and_the_slack_are_over(lab: Lab) -> None:
    server = lab.start_server(cookie_timeout=1)
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    client.kill()
    server.await_disconnected("alice")
    ended = time.monotonic()
    while server.show("sessions", "all"):
        assert time.monotonic() < ended + 25, "the session never ends"
        server.log.heard("has expired", 1.0)
    assert time.monotonic() > ended + 14
    assert lab.resume(cookie, host=client.host).wait() != 0
    server.log.wait_for("the cookie opens no tunnel: (expired|unknown) cookie")
