"""UDP listeners and the sockets of flows; everything on loopback."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ocserv_core.errors import StartError, SystemFailure
from ocserv_core.model import Endpoint
from ocserv_core.system.datagrams import Datagram, connect_datagram_socket, open_udp_listeners, receive_datagram
from tests.ipc.pairs import open_descriptors, settled_descriptors

from .forked import in_netns, needs_root

LINK_LOCAL = "fe80::1"


@contextlib.contextmanager
def listening(host: str | None, port: int = 0) -> Iterator[list[socket.socket]]:
    listeners = open_udp_listeners(host, port)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


@contextlib.contextmanager
def client_at(ip: str, port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ip, port))
        sock.settimeout(5)
        yield sock


def next_datagram(listener: socket.socket) -> Datagram:
    assert select.select([listener], [], [], 5)[0]
    received = receive_datagram(listener)
    assert received is not None
    return received


def flow_of(datagram: Datagram) -> socket.socket:
    return connect_datagram_socket(datagram.local, datagram.remote, datagram.interface)


def end_of(sock: socket.socket) -> Endpoint:
    return Endpoint(*sock.getsockname()[:2])


# ---- listeners


@needs_root
def test_every_address_where_no_host_is_set() -> None:
    def listen() -> Any:
        with listening(None, 4433) as listeners:
            return [listener.getsockname()[:2] for listener in listeners]

    assert in_netns(listen) == [["0.0.0.0", 4433], ["::", 4433]]


def test_a_listener_neither_blocks_nor_survives_exec() -> None:
    with listening("127.0.0.1") as listeners:
        assert [(s.getblocking(), s.get_inheritable()) for s in listeners] == [(False, False)]


def test_a_port_that_tcp_has_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, listening("127.0.0.1", other.getsockname()[1]):
        pass


def test_a_port_in_use_is_said_with_its_holder() -> None:
    with client_at("127.0.0.1") as other:
        port = end_of(other).port
        said = rf"port {port} is in use \(UDP 127.0.0.1:{port}\); .*\(pid {os.getpid()}\)"
        with pytest.raises(StartError, match=said):
            open_udp_listeners("127.0.0.1", port)


def test_another_server_does_not_share_the_port() -> None:
    with listening("127.0.0.1") as (first,), pytest.raises(StartError, match="is in use"):
        open_udp_listeners("127.0.0.1", end_of(first).port)


def test_the_flows_of_a_server_that_ended_are_no_server() -> None:
    with listening("127.0.0.1") as (first,), client_at("127.0.0.1") as client:
        where = end_of(first)
        left_behind = connect_datagram_socket(where, end_of(client), 0)
    with left_behind, listening(where.ip, where.port) as (second,):
        assert end_of(second) == where


@pytest.mark.parametrize(
    ("host", "said"),
    [("198.51.100.7", r"cannot listen on UDP 198\.51\.100\.7:443"), ("no such host", "udp-listen-host = no such host")],
)
def test_a_host_that_is_not_ours_is_an_error(host: str, said: str) -> None:
    before = settled_descriptors()
    with pytest.raises(StartError, match=said):
        open_udp_listeners(host, 443)
    assert open_descriptors() == before


# ---- datagrams


@pytest.mark.parametrize(("host", "sent_to"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", "127.1.2.3")])
def test_both_ends_are_told(host: str, sent_to: str) -> None:
    with listening(host) as (listener,), client_at("127.9.9.9" if "." in host else "::1") as client:
        port = end_of(listener).port
        client.sendto(b"hello", (sent_to, port))
        received = next_datagram(listener)
        assert received[:3] == (b"hello", end_of(client), Endpoint(sent_to, port))
        assert received.interface == socket.if_nametoindex("lo")


def test_nothing_there() -> None:
    with listening("127.0.0.1") as (listener,):
        assert receive_datagram(listener) is None


def test_an_empty_datagram_and_the_longest() -> None:
    with listening("127.0.0.1") as (listener,), client_at("127.0.0.1") as client:
        for data in (b"", bytes(65507)):
            client.sendto(data, listener.getsockname())
            assert next_datagram(listener).data == data


# ---- flows


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_a_flow_gets_all_that_follows_and_answers_from_where_it_was_sent_to(ip: str) -> None:
    with listening(ip) as (listener,), client_at(ip) as client:
        client.sendto(b"first", listener.getsockname())
        with flow_of(next_datagram(listener)) as flow:
            client.sendto(b"second", listener.getsockname())
            assert flow.recv(100) == b"second"
            flow.send(b"answer")
            assert client.recvfrom(100)[1] == listener.getsockname()
            assert receive_datagram(listener) is None


def test_a_flow_answers_from_the_address_that_was_asked_where_all_are_listened_on() -> None:
    with listening("0.0.0.0") as (listener,), client_at("127.0.0.1") as client:
        client.sendto(b"first", ("127.1.2.3", end_of(listener).port))
        with flow_of(next_datagram(listener)) as flow:
            flow.send(b"answer")
            assert client.recvfrom(100)[1] == ("127.1.2.3", end_of(listener).port)


def test_others_still_come_to_the_listener() -> None:
    with listening("127.0.0.1") as (listener,), client_at("127.0.0.1") as one, client_at("127.0.0.1") as other:
        one.sendto(b"one", listener.getsockname())
        with flow_of(next_datagram(listener)):
            other.sendto(b"other", listener.getsockname())
            assert next_datagram(listener).remote == end_of(other)


def test_after_a_flow_s_end_its_client_comes_to_the_listener_again() -> None:
    with listening("127.0.0.1") as (listener,), client_at("127.0.0.1") as client:
        client.sendto(b"first", listener.getsockname())
        flow_of(next_datagram(listener)).close()
        client.sendto(b"second", listener.getsockname())
        assert next_datagram(listener).data == b"second"


def test_a_flow_takes_nothing_of_others_before_it_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(socket.socket):
        """Gives others time to send between bind and connect."""

        def connect(self, address: Any) -> None:
            other.sendto(b"not for it", self.getsockname())
            super().connect(address)

    with listening("127.0.0.1") as (listener,), client_at("127.0.0.1") as client, client_at("127.0.0.1") as other:
        client.sendto(b"first", listener.getsockname())
        received = next_datagram(listener)
        monkeypatch.setattr(socket, "socket", Slow)
        with flow_of(received) as flow:
            client.sendto(b"second", listener.getsockname())
            assert flow.recv(100) == b"second"


def test_a_flow_neither_blocks_nor_survives_exec() -> None:
    with (
        listening("127.0.0.1") as (listener,),
        client_at("127.0.0.1") as client,
        connect_datagram_socket(end_of(listener), end_of(client), 0) as flow,
    ):
        assert (flow.getblocking(), flow.get_inheritable()) == (False, False)


def test_a_flow_that_cannot_be_is_a_failure_and_leaves_nothing() -> None:
    before = settled_descriptors()
    with pytest.raises(SystemFailure, match=r"no UDP socket from 198\.51\.100\.7:443 to 192\.0\.2\.7:4000"):
        connect_datagram_socket(Endpoint("198.51.100.7", 443), Endpoint("192.0.2.7", 4000), 0)
    assert open_descriptors() == before


@needs_root
def test_a_link_local_flow_stays_on_its_interface() -> None:
    def talk() -> Any:
        for command in (["link", "set", "lo", "up"], ["addr", "add", f"{LINK_LOCAL}/64", "dev", "lo"]):
            subprocess.run(["ip", *command], check=True, timeout=10)
        scope = socket.if_nametoindex("lo")
        with listening("::", 4433) as (listener,), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.bind((LINK_LOCAL, 4000, 0, scope))
            client.settimeout(5)
            client.sendto(b"first", (LINK_LOCAL, 4433, 0, scope))
            received = next_datagram(listener)
            with flow_of(received) as flow:
                flow.send(b"answer")
                answer, where = client.recvfrom(100)
            return [received.remote.ip, received.local.ip, answer.decode(), where[1]]

    assert in_netns(talk) == [LINK_LOCAL, LINK_LOCAL, "answer", 4433]
