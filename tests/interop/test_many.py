"""Several clients at once, and how many may be."""

from __future__ import annotations

import time

import pytest

from .hostile import TlsClient
from .lab import GATEWAY4, GATEWAY6, Lab


def test_two_users_at_once_reach_the_server_and_have_their_own(lab: Lab) -> None:
    server = lab.start_server()
    alice, bob = lab.connect("alice"), lab.connect("bob")
    assert not set(alice.addresses) & set(bob.addresses)
    for client in (alice, bob):
        assert client.host.ping(GATEWAY4)
        assert client.host.ping(GATEWAY6)
    assert {user["Username"] for user in server.show("users")} == {"alice", "bob"}


def test_one_user_twice_has_two_sessions(lab: Lab) -> None:
    server = lab.start_server()
    first, second = lab.connect(), lab.connect()
    assert not set(first.addresses) & set(second.addresses)
    assert first.host.ping(GATEWAY4)
    assert second.host.ping(GATEWAY4)
    assert len({user["Session"] for user in server.show("user", "alice")}) == 2


def test_twenty_clients_log_in_at_once_and_all_have_a_tunnel(lab: Lab) -> None:
    users = {f"user{number:02}": "*" for number in range(20)}
    lab.add_users(users)
    server = lab.start_server()
    hosts = [lab.host() for _ in users]
    clients = [lab.login(user, host=host) for user, host in zip(users, hosts, strict=True)]
    for client in clients:
        client.await_connected(40)
    assert len({client.addresses for client in clients}) == 20
    assert all(client.host.ping(GATEWAY4) for client in clients)
    assert all(client.host.ping(GATEWAY6) for client in clients)
    assert {user["Username"] for user in server.show("users")} == set(users)


def test_max_same_clients_refuses_one_more_of_the_same_user(lab: Lab) -> None:
    server = lab.start_server(max_same_clients=1)
    first = lab.connect("alice")
    assert lab.login("alice").wait() != 0
    server.log.wait_for("'alice' is connected 1 times")
    assert lab.connect("bob").host.ping(GATEWAY4)
    assert first.host.ping(GATEWAY4)


def test_max_same_clients_lets_the_user_reconnect(lab: Lab) -> None:
    server = lab.start_server(max_same_clients=1)
    client = lab.connect("alice")
    server.kill_one("ocserv-worker")
    client.await_reconnected()
    assert client.reaches(GATEWAY4)


def test_max_clients_refuses_one_more_and_room_is_made_by_a_disconnect(lab: Lab) -> None:
    server = lab.start_server(max_clients=1)
    first = lab.connect("alice")
    assert lab.login("bob").wait() != 0
    server.log.wait_for("is refused: max-clients is reached")
    assert first.host.ping(GATEWAY4)
    first.disconnect()
    server.await_disconnected("alice")
    assert lab.connect("bob").host.ping(GATEWAY4)


def test_an_exhausted_pool_is_told_to_the_client(lab: Lab) -> None:
    server = lab.start_server(ipv4_network="198.51.100.0/30", ipv6_network=())
    first = lab.connect("alice")
    second = lab.login("bob")
    second.output.wait_for("VPN service unavailable")
    server.log.wait_for("no tunnel for 'bob'")
    assert first.host.ping(GATEWAY4)


BEHIND = """
from ocserv_core.main.secmod import Secmod
Secmod.is_behind = property(lambda _self: {behind})
"""


@pytest.mark.parametrize("behind", [True, False])
def test_rate_limit_ms_is_a_pause_after_each_connection_while_secmod_is_behind(lab: Lab, behind: bool) -> None:
    lab.start_altered(BEHIND.format(behind=behind), rate_limit_ms=1500)
    host = lab.host()
    began = time.monotonic()
    for _ in range(3):
        TlsClient(host).close()
    assert (time.monotonic() - began >= 2.9) is behind
