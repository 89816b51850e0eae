"""The sockets of systemd, which it leaves at fixed numbers: each test takes them in a child."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from ocserv_core.errors import StartError
from ocserv_core.system import activation
from ocserv_core.system.activation import Activated, take_activated
from ocserv_core.system.datagrams import receive_datagram


def tcp(address: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_server((address, 0))
    sock.set_inheritable(True)
    return sock


def udp(family: socket.AddressFamily = socket.AF_INET, address: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((address, 0))
    return sock


def idle() -> socket.socket:
    return socket.socket()


def unix() -> socket.socket:
    return socket.socket(socket.AF_UNIX)


class Handed:
    """What systemd would have left, and what was made of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *makers: Callable[[], socket.socket], **variables: str) -> None:
        # Numbers that follow each other, far from what the test process has open.
        self.first = 500
        for number, make in enumerate(makers):
            with make() as sock:
                os.dup2(sock.fileno(), self.first + number)
        monkeypatch.setattr(activation, "FIRST", self.first)
        self.environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(makers)), "PATH": "/bin", **variables}

    def take(self) -> Activated | None:
        return take_activated(self.environment)


def close(activated: Activated | None) -> None:
    assert activated is not None
    for sock in (*activated.tcp, *activated.udp):
        sock.close()


def test_listeners_of_both_kinds_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = Handed(monkeypatch, tcp, udp, tcp)
    taken = handed.take()
    assert taken is not None
    assert [sock.fileno() for sock in taken.tcp] == [500, 502]
    assert [sock.fileno() for sock in taken.udp] == [501]
    assert taken.tcp_port == taken.tcp[0].getsockname()[1]
    assert taken.udp_port == taken.udp[0].getsockname()[1]
    every = (*taken.tcp, *taken.udp)
    assert {(sock.getblocking(), sock.get_inheritable()) for sock in every} == {(False, False)}
    close(taken)


def test_the_variables_go_so_that_no_child_takes_them_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = Handed(monkeypatch, tcp, LISTEN_FDNAMES="vpn")
    close(handed.take())
    assert handed.environment == {"PATH": "/bin"}


def test_without_udp_there_is_no_port_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Handed(monkeypatch, tcp).take()
    assert taken is not None
    assert (taken.udp, taken.udp_port) == ([], 0)
    close(taken)


OTHERS: dict[str, dict[str, Any]] = {
    "another process'": {"LISTEN_PID": "1"},
    "nobody's": {"LISTEN_PID": ""},
    "none": {"LISTEN_FDS": "0"},
    "no number": {"LISTEN_FDS": "-1"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_ours_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    handed = Handed(monkeypatch, **OTHERS[name])
    assert handed.take() is None
    assert "LISTEN_FDS" in handed.environment


def test_what_is_no_listener_is_closed_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    close(Handed(monkeypatch, tcp, idle, unix, LISTEN_FDNAMES="vpn:odd").take())
    assert [message.partition(" is")[0] for message in caplog.messages] == [
        "systemd's socket 501 (odd)",
        "systemd's socket 502 (unnamed)",
    ]
    for fd in (501, 502):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def test_a_descriptor_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    close(Handed(monkeypatch, tcp, LISTEN_FDS="2").take())
    assert caplog.messages == ["systemd's descriptor 501 (unnamed) is no socket: Bad file descriptor"]


def test_without_a_tcp_listener_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match="ListenStream="):
        Handed(monkeypatch, udp).take()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(500)


@pytest.mark.parametrize(
    ("family", "address", "to"), [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::", "127.0.0.1")]
)
def test_a_datagram_tells_where_it_was_sent_to(
    monkeypatch: pytest.MonkeyPatch, family: socket.AddressFamily, address: str, to: str
) -> None:
    """Also where one socket takes both families, as systemd's do."""
    taken = Handed(monkeypatch, tcp, lambda: udp(family, address)).take()
    assert taken is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (to, taken.udp_port))
        datagram = receive_datagram(taken.udp[0])
    assert datagram is not None
    assert (datagram.data, datagram.local.ip, datagram.remote.ip) == (b"hello", to, "127.0.0.1")
    close(taken)
