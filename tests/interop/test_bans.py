"""Points for addresses and their bans, with real clients that are no neighbours of the server."""

from __future__ import annotations

import socket
import time

import pytest

from .balancer import Balancer
from .hostile import TlsClient, ends, open_tcp
from .lab import GATEWAY4, SERVER4, SERVER6, Lab
from .network import Host, Router
from .processes import PATIENCE
from .server import Server

LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
CLIENT = b"PROXY TCP4 203.0.113.77 192.0.2.1 4711 443\r\n"


@pytest.fixture
def router(lab: Lab) -> Router:
    """The way to a network that is not the server's own: a neighbour is never banned."""
    router = lab.router()
    for family, network, gateway in (
        ("-4", "203.0.113.0/24", router.address4),
        ("-6", "2001:db8:3::/64", router.address6),
    ):
        lab.namespace.run("ip", family, "route", "add", network, "via", gateway).check_returncode()
    return router


@pytest.fixture
def stranger(lab: Lab, router: Router) -> Host:
    """A machine in that network."""
    return lab.host(router)


def guess(lab: Lab, host: Host, server: str = SERVER4) -> None:
    """A login with three wrong passwords."""
    words = ("--user", "alice", "--passwd-on-stdin", "--authenticate")
    client = lab.openconnect(*words, host=host, stdin="wrong\n" * 3, server=server)
    assert client.wait() != 0


def banned(server: Server) -> list[str]:
    return [entry["IP"] for entry in server.show("ip", "bans")]


def await_forgiven(server: Server) -> None:
    """Until nobody is banned: an end that nothing tells of."""
    give_up = time.monotonic() + PATIENCE
    while banned(server):
        assert time.monotonic() < give_up


def test_three_wrong_passwords_ban_and_occtl_forgives(lab: Lab, stranger: Host) -> None:
    server = lab.start_server(max_ban_score=30)
    guess(lab, stranger)
    added = server.log.wait_for(rf"added IP '{stranger.address4}' \(with score (\d+)\) to ban list, will be reset at: ")
    assert int(added[1]) >= 30
    assert lab.login("alice", host=stranger).wait() != 0
    server.log.wait_for(f"rejected connection from banned IP: {stranger.address4}$")
    assert banned(server) == [stranger.address4]
    assert server.show("status")["IPs in ban list"] == 1
    lab.connect("bob")  # somebody else, meanwhile
    answer = server.occtl("unban", "ip", stranger.address4)
    assert (answer.returncode, answer.stdout) == (0, f"IP '{stranger.address4}' was unbanned\n")
    assert banned(server) == []
    lab.connect("alice", host=stranger)


def test_behind_a_balancer_the_client_is_banned_and_not_the_balancer(lab: Lab, router: Router, stranger: Host) -> None:
    server = lab.start_server(max_ban_score=30, listen_proxy_proto=True)
    balancer = Balancer(lab, "send-proxy-v2").await_up()
    balancer.host.run("ip", "route", "add", "203.0.113.0/24", "via", router.address4).check_returncode()
    guess(lab, stranger, balancer.address)
    server.log.wait_for(f"added IP '{stranger.address4}' ")
    assert lab.login("alice", host=stranger, server=balancer.address).wait() != 0
    server.log.wait_for(f"rejected connection from banned IP: {stranger.address4}$")
    assert lab.connect("alice", server=balancer.address).host.ping(GATEWAY4)


def test_a_balancer_is_not_banned_for_looking_after_our_health(lab: Lab, stranger: Host) -> None:
    server = lab.start_server(listen_proxy_proto=True, max_ban_score=10)
    for header in (b"PROXY UNKNOWN\r\n", LOCAL) * 6:
        with open_tcp(stranger) as probe:
            probe.sendall(header)
            probe.shutdown(socket.SHUT_WR)
            assert ends(probe)
    assert server.show("ip", "ban", "points") == []
    for _ in range(10):
        with open_tcp(stranger) as client:
            client.sendall(CLIENT)
            client.shutdown(socket.SHUT_WR)
            assert ends(client)
    assert banned(server) == ["203.0.113.77"]


def test_a_ban_is_over_after_its_time(lab: Lab, stranger: Host) -> None:
    server = lab.start_server(max_ban_score=20, ban_time=3)
    guess(lab, stranger)
    server.log.wait_for("to ban list, will be reset at")
    assert lab.login("alice", host=stranger).wait() != 0
    await_forgiven(server)
    lab.connect("alice", host=stranger)


def test_a_ban_ends_the_login_in_which_it_began(lab: Lab, stranger: Host) -> None:
    server = lab.start_server(max_ban_score=20)
    waiting = TlsClient(stranger)
    assert waiting.post("").status == 200
    guess(lab, stranger)
    server.log.wait_for(f"added IP '{stranger.address4}' ")
    assert ends(waiting.socket)


def test_an_ipv6_network_is_banned_as_a_whole(lab: Lab, stranger: Host) -> None:
    server = lab.start_server(max_ban_score=20)
    guess(lab, stranger, SERVER6)
    server.log.wait_for("added IP '2001:db8:3::' ")
    assert lab.login("alice", host=stranger, server=SERVER6).wait() != 0
    server.log.wait_for(f"rejected connection from banned IP: {stranger.address6}$")
    assert banned(server) == ["2001:db8:3::"]


def test_a_ban_survives_a_reload_and_a_tunnel_survives_a_ban(lab: Lab, stranger: Host) -> None:
    server = lab.start_server(max_ban_score=20)
    client = lab.connect("bob", host=stranger)
    guess(lab, stranger)
    server.log.wait_for("to ban list, will be reset at")
    assert server.occtl("reload").returncode == 0
    assert banned(server) == [stranger.address4]
    assert client.host.ping(GATEWAY4)


def test_a_neighbour_has_points_and_no_ban(lab: Lab) -> None:
    server = lab.start_server(max_ban_score=20)
    host = lab.host()
    guess(lab, host)
    assert server.show("ip", "ban", "points") == [{"IP": host.address4, "Score": 30}]
    assert banned(server) == []
    lab.connect("alice", host=host)
