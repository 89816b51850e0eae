"""A connection whose PROXY header is awaited, while something else happens to the server."""

from __future__ import annotations

import signal
import socket
import time

from .hostile import ends, open_tcp, trusting
from .lab import GATEWAY4, Lab
from .server import Server

HEADER = b"PROXY TCP4 203.0.113.77 192.0.2.1 4711 443\r\n"


def fronts(lab: Lab, count: int = 1) -> list[socket.socket]:
    """Connections of a balancer that say nothing yet."""
    host = lab.host()
    return [open_tcp(host) for _ in range(count)]


def await_workers(server: Server, count: int) -> None:
    give_up = time.monotonic() + 10
    while len(server.pids_of("ocserv-worker")) != count:
        assert time.monotonic() < give_up
        time.sleep(0.02)


def is_served(connection: socket.socket) -> bool:
    """Its header comes now, and TLS and HTTP after it."""
    connection.sendall(HEADER)
    with trusting().wrap_socket(connection) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: vpn.example\r\n\r\n")
        return tls.recv(100).startswith(b"HTTP/1.1 200")


def test_one_that_waits_for_its_header_does_not_delay_the_end(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    waiting = fronts(lab, 3)
    await_workers(server, 3)
    server.stop()
    assert all(ends(each) for each in waiting)
    assert not server.log.find("Traceback|did not end")


def test_one_that_waits_lives_through_a_new_secmod(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    (waiting,) = fronts(lab)
    await_workers(server, 1)
    mark = server.log.mark()
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back", since=mark)
    assert is_served(waiting)


def test_after_a_reload_one_that_came_before_is_read_as_it_came(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True, log_level=4)
    (waiting,) = fronts(lab)
    await_workers(server, 1)
    lab.configure(log_level=4)
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is reloaded")
    client = lab.connect()
    waiting.sendall(HEADER)
    waiting.sendall(b"\x16\x03\x01")
    assert client.reaches(GATEWAY4)
    assert not server.log.find("cut off")


def test_one_that_says_nothing_does_not_delay_the_end_either(lab: Lab) -> None:
    server = lab.start_server()
    waiting = fronts(lab, 3)
    await_workers(server, 3)
    server.stop()
    assert all(ends(each) for each in waiting)
    assert not server.log.find("Traceback|did not end")


def test_one_that_waits_lives_through_a_new_nursery(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    (waiting,) = fronts(lab)
    await_workers(server, 1)
    server.kill_one("ocserv-nursery")
    server.log.wait_for("the nursery .* ended")
    assert is_served(waiting)


def test_a_server_that_drains_ends_when_the_last_that_wait_have_had_their_time(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True, server_drain_ms=60_000)
    waiting = fronts(lab, 3)
    await_workers(server, 3)
    server.send_signal(signal.SIGTERM)
    server.log.wait_for("draining: 3 connections")
    assert server.wait() == 0
    assert all(ends(each) for each in waiting)


def test_those_that_wait_count_as_clients(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True, max_clients=2)
    *waiting, refused = fronts(lab, 3)
    server.log.wait_for("max-clients is reached")
    assert ends(refused)
    for connection in waiting:
        connection.close()
    await_workers(server, 0)
    (served,) = fronts(lab)
    assert is_served(served)
