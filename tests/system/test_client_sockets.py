"""What a worker asks of its client's sockets, read back from the kernel."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ocserv_core.system.client_sockets import forbid_fragments, path_mtu, set_priority, set_send_buffer

IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PROBE = 10, 23, 3


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def udp(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1" if request.param == socket.AF_INET else "::1", 9))
        yield sock


def _tos(sock: socket.socket) -> int:
    if sock.family == socket.AF_INET6:
        return sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
    return sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)


def test_a_socket_priority_is_set(udp: socket.socket) -> None:
    set_priority(udp, socket_priority=5, tos=None)
    assert udp.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY) == 5
    assert _tos(udp) == 0


def test_a_tos_byte_is_set_in_either_family(udp: socket.socket) -> None:
    set_priority(udp, socket_priority=None, tos=0x88)
    assert _tos(udp) == 0x88


def test_nothing_said_leaves_everything(udp: socket.socket) -> None:
    set_priority(udp, socket_priority=None, tos=None)
    assert (udp.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY), _tos(udp)) == (0, 0)


def test_fragments_are_forbidden(udp: socket.socket) -> None:
    forbid_fragments(udp)
    if udp.family == socket.AF_INET6:
        assert udp.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) == PROBE
    else:
        assert udp.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == PROBE


def test_the_path_of_loopback_is_known(udp: socket.socket) -> None:
    assert (path_mtu(udp) or 0) > 16000


def test_the_path_of_nobody_is_not() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert path_mtu(sock) is None


def test_a_send_buffer_is_what_was_asked_for() -> None:
    with socket.socket() as sock:
        before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        set_send_buffer(sock, 0)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before
        set_send_buffer(sock, 30_000)
        # socket(7): the kernel doubles it, for its own use.
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 60_000
