"""What no client should send: it ends that client alone, and one line of the log tells."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable

import pytest

from .hostile import CSTP_HEADER, DATA, DISCONNECT, DPD_REQUEST, DPD_RESPONSE, TlsClient, ends, open_tcp
from .lab import GATEWAY4, Lab
from .network import Host
from .server import Server
from .traffic import Echo, connected

ORDINARY = "authenticated|logged in|the tunnel opens"
"""What is said of a login and of a tunnel in any case."""


class Witness:
    """Another client with a connection through its tunnel, and the log from here on."""

    def __init__(self, lab: Lab, server: Server) -> None:
        self._lab, self._server = lab, server
        self._client = lab.connect("bob")
        self._mark = server.log.mark()

    def untouched_while(self, misbehave: Callable[[Host], None], told: str) -> None:
        """`misbehave` is done from a host of its own; the log tells it once, and the other client's TCP goes on."""
        client, server, culprit = self._client, self._server, self._lab.host()
        with connected(client.host, self._lab.namespace, GATEWAY4) as (near, far):
            echo = Echo(near, far)
            assert echo.exchange()
            misbehave(culprit)
            line = server.log.wait_for(told, since=self._mark).string
            assert echo.exchange()
        assert culprit.address4 in line
        lines = [line for line in server.log.lines[self._mark :] if f" {culprit.address4} " in line]
        assert [line for line in lines if not re.search(ORDINARY, line)] == [line]
        assert not server.log.find("Traceback|crashed|cut off: .*permit", self._mark), server.log.tail()
        assert not client.output.find("reconnect")
        assert self._lab.login("alice", "--authenticate").wait() == 0
        assert [user["Username"] for user in server.show("users")] == ["bob"]
        assert server.show("status")["Clients cut off"] == ("the client is cut off" in line)


@pytest.fixture
def witness(lab: Lab) -> Witness:
    return Witness(lab, lab.start_server(log_level=2))


# ---- before and in TLS

GARBAGE = {
    "HTTP without TLS": b"GET / HTTP/1.1\r\nHost: vpn.example\r\n\r\n",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a record that is no handshake": b"\x17\x03\x03\x00\x20" + bytes(32),
    "a hello of nonsense": b"\x16\x03\x01\x00\x40" + b"\x01\x00\x00\x3c" + b"\x5a" * 60,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_place_of_tls(witness: Witness, kind: str) -> None:
    def misbehave(host: Host) -> None:
        with open_tcp(host) as connection:
            connection.sendall(GARBAGE[kind])
            assert ends(connection)

    witness.untouched_while(misbehave, "the client is cut off: ")


def test_half_a_handshake_and_the_end(witness: Witness) -> None:
    def misbehave(host: Host) -> None:
        with open_tcp(host) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            connection.shutdown(socket.SHUT_WR)
            assert ends(connection)

    witness.untouched_while(misbehave, "the client is cut off: ")


def test_a_connection_without_a_byte_is_a_health_probe_and_no_noise(lab: Lab) -> None:
    server = lab.start_server(log_level=2)
    host = lab.host()
    mark = server.log.mark()
    open_tcp(host).close()
    assert lab.login("alice", "--authenticate").wait() == 0
    assert not server.log.find(host.address4, mark)


def test_a_silent_connection_ends_with_the_handshake_s_time_or_the_login_s(lab: Lab) -> None:
    server = lab.start_server(auth_timeout=2)
    client = TlsClient(lab.host())
    assert ends(client.socket)
    server.log.wait_for("the client is cut off: no login within auth-timeout")
    client.close()


# ---- HTTP

REQUESTS = {
    "an oversized header": (b"GET / HTTP/1.1\r\nHost: h\r\nX-Long: " + b"a" * 17000 + b"\r\n\r\n", 431),
    "an oversized URL": (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
    "an oversized body": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n", 413),
    "a bare LF": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400),
    "chunks and a length": (
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "no HTTP": (b"HELO example\r\n\r\n", 400),
    "malformed XML": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 14\r\n\r\n<config-auth <", 400),
    "an entity bomb": (
        b'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 48\r\n\r\n<!DOCTYPE x [<!ENTITY a "a">]><config-auth>&a;</',
        400,
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_bad_request_is_answered_with_its_status_and_ends(witness: Witness, kind: str) -> None:
    data, status = REQUESTS[kind]

    def misbehave(host: Host) -> None:
        client = TlsClient(host)
        client.socket.sendall(data)
        assert client.read_answer().status == status
        assert ends(client.socket)
        client.close()

    witness.untouched_while(misbehave, "the client is cut off: bad request: ")


def test_half_a_request_and_the_end(witness: Witness) -> None:
    def misbehave(host: Host) -> None:
        client = TlsClient(host)
        client.socket.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n<config")
        client.socket.shutdown(socket.SHUT_WR)
        assert ends(client.socket)
        client.close()

    witness.untouched_while(misbehave, "the client is cut off: half a request")


# ---- CSTP

FRAMES = {
    "a wrong magic": b"XTF\x01\x00\x04\x00\x00data",
    "a wrong version": b"STF\x02\x00\x04\x00\x00data",
    "a length beyond the record": CSTP_HEADER.pack(b"STF", 1, 5000, DATA, 0) + b"short",
    "half a header": b"STF\x01",
    "a last byte that is not zero": b"STF\x01\x00\x04\x00\x01data",
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_bad_frame_ends_its_tunnel_with_a_disconnect(lab: Lab, witness: Witness, kind: str) -> None:
    def misbehave(host: Host) -> None:
        client = TlsClient(host)
        assert client.connect(client.login("carol", lab.passwords["carol"])).status == 200
        client.socket.sendall(FRAMES[kind])
        client.await_frame(DISCONNECT)
        assert ends(client.socket)
        client.close()

    witness.untouched_while(misbehave, "the tunnel ends: ")


def test_a_tunnel_that_a_bad_frame_ended_is_counted(lab: Lab) -> None:
    server = lab.start_server()
    client = TlsClient(lab.host())
    assert client.connect(client.login("alice", lab.passwords["alice"])).status == 200
    client.socket.sendall(FRAMES["a wrong magic"])
    assert server.await_disconnected("alice") == "unspecified error"
    assert server.show("status")["Closed due to error sessions"] == 1
    client.close()


def test_garbage_in_place_of_a_record_ends_the_tunnel(lab: Lab, witness: Witness) -> None:
    def misbehave(host: Host) -> None:
        client = TlsClient(host)
        assert client.connect(client.login("carol", lab.passwords["carol"])).status == 200
        # Below TLS: the socket is taken from the library that would refuse to send this.
        with client.socket, socket.socket(fileno=client.socket.detach()) as below:
            below.settimeout(20)
            below.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))
            assert ends(below)

    witness.untouched_while(misbehave, "the tunnel ends: ")


@pytest.mark.parametrize(
    "packet", [b"", b"\x00", b"\x45", b"\xff" * 40, struct.pack(">BBH", 0x45, 0, 60000) + bytes(60)]
)
def test_a_packet_that_is_none_goes_nowhere_and_the_tunnel_goes_on(lab: Lab, packet: bytes) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    assert client.connect(client.login("alice", lab.passwords["alice"])).status == 200
    client.send_frame(DATA, packet)
    client.send_frame(DPD_REQUEST, b"are you there")
    assert client.await_frame(DPD_RESPONSE) == b"are you there"
    client.close()


@pytest.mark.parametrize("kind", [6, 9, 77])
def test_a_frame_of_a_type_that_no_client_sends_is_passed_over(lab: Lab, kind: int) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    assert client.connect(client.login("alice", lab.passwords["alice"])).status == 200
    client.send_frame(kind, b"nobody knows what this means")
    client.send_frame(DPD_REQUEST, b"still there")
    assert client.await_frame(DPD_RESPONSE) == b"still there"
    client.close()


def test_several_frames_in_a_record_are_accepted(lab: Lab) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    assert client.connect(client.login("alice", lab.passwords["alice"])).status == 200
    client.socket.sendall(b"".join(CSTP_HEADER.pack(b"STF", 1, 1, DPD_REQUEST, 0) + mark for mark in (b"1", b"2")))
    assert [client.await_frame(DPD_RESPONSE), client.await_frame(DPD_RESPONSE)] == [b"1", b"2"]
    client.close()
