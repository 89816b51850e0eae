"""What a worker does before TLS, with a balancer that is only these tests."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ocserv_core.errors import ClientError
from ocserv_core.ipc.messages import ClientAddress, Spawn
from ocserv_core.model import Endpoint
from ocserv_core.worker.front import Front, meet, read_header
from ocserv_core.worker.handshake import HealthProbe
from tests.protocol.test_proxyproto import ENDS4, GOOD, HELLO, V4, block

from .ends import Ends, meanwhile

BALANCER, OURS = Endpoint("192.0.2.11", 40000), Endpoint("192.0.2.1", 443)
SPAWN = Spawn(1, BALANCER, OURS)


@dataclass
class Door:
    """A connection, and main at the other end of the worker's channel."""

    balancer: socket.socket
    connection: socket.socket
    ends: Ends

    def meet(self, *, proxied: bool = True) -> Front:
        return meet(self.connection, SPAWN, self.ends.link, proxied=proxied)


@pytest.fixture
def door() -> Iterator[Door]:
    balancer, connection = socket.socketpair()
    ends = Ends()
    with balancer, connection:
        yield Door(balancer, connection, ends)
    ends.close()


def test_main_is_told_whose_the_connection_is_and_tls_is_left(door: Door) -> None:
    door.balancer.sendall(block(ENDS4) + HELLO)
    assert door.meet() == Front(V4.remote, V4.local, relayed=True)
    assert door.ends.heard(door.ends.main) == [ClientAddress(V4.remote, V4.local)]
    assert door.connection.recv(1000) == HELLO


def test_without_an_address_the_connections_own_are_told(door: Door) -> None:
    door.balancer.sendall(b"PROXY UNKNOWN\r\n")
    assert door.meet() == Front(BALANCER, OURS)
    assert door.ends.heard(door.ends.main) == [ClientAddress(BALANCER, OURS)]


def test_the_balancers_own_connection_is_a_probe(door: Door) -> None:
    door.balancer.sendall(block(b"", 0, 0x20))
    assert door.meet() == Front(BALANCER, OURS, probe=True)


def test_where_no_header_is_to_come_none_is_read(door: Door) -> None:
    door.balancer.sendall(block(ENDS4))
    assert door.meet(proxied=False) == Front(BALANCER, OURS)
    assert door.ends.heard(door.ends.main) == []
    assert door.connection.recv(1000) == block(ENDS4)


@pytest.mark.parametrize("name", ["v1 TCP4", "v2 TCP4", "v2 of all its length"])
def test_a_header_may_come_in_pieces(door: Door, name: str) -> None:
    data, header = GOOD[name]

    def send() -> None:
        for at in range(0, len(data), 7):
            door.balancer.sendall(data[at : at + 7])
        door.balancer.sendall(HELLO)

    sending = meanwhile(send)
    assert read_header(door.connection) == header
    assert door.connection.recv(len(HELLO), socket.MSG_WAITALL) == HELLO
    sending.join(10)


@pytest.mark.parametrize("half", [b"", b"PROXY TCP4 203", block(ENDS4)[:-1]])
def test_who_ends_within_the_header_is_a_probe(door: Door, half: bytes) -> None:
    door.balancer.sendall(half)
    door.balancer.close()
    with pytest.raises(HealthProbe):
        door.meet()
    assert door.ends.heard(door.ends.main) == []


def test_who_resets_is_a_probe() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as balancer:
            connection, _ = listener.accept()
            balancer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connection, pytest.raises(HealthProbe):
            read_header(connection)


def test_a_header_that_is_none_ends_the_client(door: Door) -> None:
    door.balancer.sendall(HELLO)
    with pytest.raises(ClientError, match="does not begin with a PROXY header"):
        door.meet()


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 "])
def test_a_header_must_come_in_time(door: Door, begun: bytes) -> None:
    door.balancer.sendall(begun)
    with pytest.raises(ClientError, match="no PROXY header within 0 s") as refused:
        read_header(door.connection, timeout=0.05)
    assert not isinstance(refused.value, HealthProbe)


def test_bytes_that_drip_gain_no_time(door: Door) -> None:
    door.balancer.sendall(b"PROXY UNKNOWN ")
    with pytest.raises(ClientError, match="no PROXY header within"):
        read_header(door.connection, timeout=-1.0)
