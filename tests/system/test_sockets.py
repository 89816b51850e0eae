"""Listeners and the control socket; everything on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocserv_core.errors import StartError
from ocserv_core.model import Endpoint
from ocserv_core.system import sockets

from .forked import in_netns, needs_root


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def listening(host: str | None, port: int = 0) -> Iterator[list[socket.socket]]:
    listeners = sockets.open_listeners(host, port)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def accept_one(listener: socket.socket) -> sockets.Accepted:
    listener.setblocking(True)
    accepted = sockets.accept(listener)
    assert accepted is not None
    return accepted


class TestOpenListeners:
    @needs_root
    def test_every_address_where_no_host_is_set(self) -> None:
        def listen() -> Any:
            with listening(None, 4433) as listeners:
                return [listener.getsockname()[:2] for listener in listeners]

        assert in_netns(listen) == [["0.0.0.0", 4433], ["::", 4433]]

    def test_a_family_that_this_machine_lacks_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sockets, "_WILDCARDS", ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "2001:db8::9")))
        with listening(None) as listeners:
            assert [listener.family for listener in listeners] == [socket.AF_INET]

    def test_no_address_at_all_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sockets, "_WILDCARDS", ())
        with pytest.raises(StartError, match="no address to listen on"):
            sockets.open_listeners(None, 443)

    def test_one_address(self) -> None:
        with listening("127.0.0.1") as listeners:
            assert [listener.getsockname()[0] for listener in listeners] == ["127.0.0.1"]

    def test_neither_blocks_nor_survives_exec(self) -> None:
        with listening("127.0.0.1") as listeners:
            assert [(s.getblocking(), s.get_inheritable()) for s in listeners] == [(False, False)]

    def test_a_port_in_use_is_said_with_its_holder(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(
                StartError, match=rf"port {port} is in use \(127.0.0.1:{port}\); .*\(pid {os.getpid()}\)"
            ):
                sockets.open_listeners("127.0.0.1", port)

    def test_a_holder_that_cannot_be_seen_is_guessed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sockets, "listening_inodes", lambda table, port: [])
        with (
            socket.create_server(("127.0.0.1", 0)) as other,
            pytest.raises(StartError, match="is another server running"),
        ):
            sockets.open_listeners("127.0.0.1", other.getsockname()[1])

    def test_an_address_that_is_not_ours_is_an_error(self) -> None:
        with pytest.raises(StartError, match=r"cannot listen on 198\.51\.100\.7:443"):
            sockets.open_listeners("198.51.100.7", 443)

    def test_of_a_names_addresses_those_of_other_machines_are_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        found = [(socket.AF_INET, "198.51.100.7"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2")]
        monkeypatch.setattr(sockets, "_addresses", lambda host, port, protocol: found)
        with listening("vpn.example") as listeners:
            assert [listener.getsockname()[0] for listener in listeners] == ["127.0.0.1", "127.0.0.2"]
        (warning,) = caplog.messages
        assert warning.startswith("listen-host = vpn.example: cannot listen on 198.51.100.7:")

    def test_a_name_that_does_not_exist_is_an_error(self) -> None:
        with pytest.raises(StartError, match=r"listen-host = no such host"):
            sockets.open_listeners("no such host", 443)


class TestAccept:
    def test_both_ends_are_told(self) -> None:
        with listening("127.0.0.1") as (listener,), socket.create_connection(listener.getsockname()) as client:
            accepted = accept_one(listener)
            assert accepted.remote == Endpoint(*client.getsockname())
            assert accepted.local == Endpoint(*listener.getsockname())
            accepted.connection.close()

    def test_nobody_there(self) -> None:
        with listening("127.0.0.1") as (listener,):
            assert sockets.accept(listener) is None

    def test_the_connection_blocks(self) -> None:
        with listening("127.0.0.1") as (listener,), socket.create_connection(listener.getsockname()):
            accepted = accept_one(listener)
            assert accepted.connection.getblocking()
            accepted.connection.close()

    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
            (("fe80::1%lo", 1, 0, 1), "fe80::1"),
            (("2001:DB8:0::1", 1, 0, 0), "2001:db8::1"),
        ],
    )
    def test_addresses_are_canonical(self, address: tuple[str, int, int, int], shown: str) -> None:
        assert sockets.endpoint_of(address) == Endpoint(shown, 1)


class TestConnection:
    def test_small_frames_are_sent_at_once(self) -> None:
        with socket.socket() as connection:
            sockets.tune_connection(connection, send_buffer=65536)
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65536

    def test_the_mtu_of_loopback(self) -> None:
        with listening("127.0.0.1") as (listener,), socket.create_connection(listener.getsockname()) as client:
            assert sockets.tcp_mtu(client.fileno()) == 65535

    def test_no_mtu_without_tcp(self) -> None:
        left, right = socket.socketpair()
        with left, right:
            assert sockets.tcp_mtu(left.fileno()) is None

    def test_the_descriptor_stays_open(self) -> None:
        with socket.socket() as connection:
            sockets.tcp_mtu(connection.fileno())
            assert connection.getsockname()


class TestControlSocket:
    def test_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "occtl"
        with sockets.open_control_socket(str(path), os.geteuid(), os.getegid()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700

    @needs_root
    def test_can_be_given_away(self, tmp_path: Path) -> None:
        path = tmp_path / "occtl"
        with sockets.open_control_socket(str(path), 65534, 1234):
            assert (path.stat().st_uid, path.stat().st_gid) == (65534, 1234)

    def test_a_dead_servers_socket_is_replaced(self, tmp_path: Path) -> None:
        path = str(tmp_path / "occtl")
        sockets.open_control_socket(path, os.geteuid(), os.getegid()).close()
        with sockets.open_control_socket(path, os.geteuid(), os.getegid()), socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)

    def test_a_live_server_is_left_alone(self, tmp_path: Path) -> None:
        path = str(tmp_path / "occtl")
        with sockets.open_control_socket(path, os.geteuid(), os.getegid()):
            with pytest.raises(StartError, match="a server already answers"):
                sockets.open_control_socket(path, os.geteuid(), os.getegid())
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(path)

    def test_a_file_is_not_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "occtl"
        path.write_text("mine")
        with pytest.raises(StartError, match="something else has this name"):
            sockets.open_control_socket(str(path), os.geteuid(), os.getegid())
        assert path.read_text() == "mine"

    def test_a_path_that_is_too_long_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="too long"):
            sockets.open_control_socket(str(tmp_path / ("x" * 120)), os.geteuid(), os.getegid())

    def test_the_mask_of_the_process_is_as_before(self, tmp_path: Path) -> None:
        before = os.umask(0o022)
        try:
            sockets.open_control_socket(str(tmp_path / "occtl"), os.geteuid(), os.getegid()).close()
            assert os.umask(0o022) == 0o022
        finally:
            os.umask(before)

    def test_who_is_calling(self, tmp_path: Path) -> None:
        path = str(tmp_path / "occtl")
        with (
            sockets.open_control_socket(path, os.geteuid(), os.getegid()) as listener,
            socket.socket(socket.AF_UNIX) as caller,
        ):
            caller.connect(path)
            answered, _ = listener.accept()
            with answered:
                assert sockets.peer_credentials(answered) == (os.getpid(), os.geteuid(), os.getegid())


def test_a_client_that_left_before_accept_is_nobody_or_gone() -> None:
    with listening("127.0.0.1") as (listener,):
        client = socket.create_connection(listener.getsockname())
        # a reset, so that the connection is broken while it waits in the queue
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        accepted = sockets.accept(listener)
        if accepted is not None:
            accepted.connection.close()


def test_listeners_are_closed_where_a_later_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(
        sockets,
        "_addresses",
        lambda host, port, protocol: [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.1")],
    )
    with pytest.raises(StartError):
        sockets.open_listeners("both", port)
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_unix_socket_is_congested_when_its_peer_leaves_half_of_it_unread() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert not sockets.is_congested(ours)
        sent = 0
        while not sockets.is_congested(ours):
            ours.send(bytes(8192), socket.MSG_DONTWAIT)
            sent += 1
        for _ in range(sent):
            theirs.recv(8192)
        assert not sockets.is_congested(ours)
