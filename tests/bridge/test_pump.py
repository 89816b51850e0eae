"""The pump between a client and a packet socket that stands for the TUN device."""

from __future__ import annotations

import array
import errno
import mmap
import os
import signal
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocserv_core.bridge._native import ffi, lib
from ocserv_core.bridge.events import (
    Closed,
    Deadline,
    Frame,
    Interrupted,
    PumpEvent,
    Readable,
    TunLost,
    Violation,
)
from ocserv_core.bridge.pump import (
    PAYLOAD_MAX,
    RX_BYTES,
    RX_PACKETS,
    TX_BYTES,
    TX_PACKETS,
    Dropped,
    Pump,
)
from ocserv_core.bridge.tls import TlsError, TlsSession, TlsTimeout
from ocserv_core.model import Traffic

from .peers import LIMIT, NORMAL, TLS12, client_context, connect_plainly, connect_raw
from .record_model import ALERT, APPLICATION, HANDSHAKE, SUITES, RawClient, Suite
from .tunnels import tcp_pair, tls_sessions

DATA, DPD, DPD_ANSWER, BYE, KEEPALIVE = 0, 3, 4, 5, 7

TCP_NOTSENT_LOWAT = 25
"""linux/tcp.h: not in the socket module before Python 3.12."""

CBC = "NONE:+VERS-TLS1.2:+AES-128-CBC:+SHA1:+ECDHE-ECDSA:+SIGN-ALL:+GROUP-ALL"

KINDS = {
    "tls13-aes256": f"{NORMAL}:-CIPHER-ALL:+AES-256-GCM:-VERS-TLS1.2",
    "tls13-aes128": f"{NORMAL}:-CIPHER-ALL:+AES-128-GCM:-VERS-TLS1.2",
    "tls13-chacha": f"{NORMAL}:-CIPHER-ALL:+CHACHA20-POLY1305:-VERS-TLS1.2",
    "tls12-aes256": f"{TLS12}:-CIPHER-ALL:+AES-256-GCM",
    "tls12-aes128": f"{TLS12}:-CIPHER-ALL:+AES-128-GCM",
    "tls12-chacha": f"{TLS12}:-CIPHER-ALL:+CHACHA20-POLY1305",
    "tls12-ccm": f"{TLS12}:-CIPHER-ALL:+AES-256-CCM",
    "tls12-cbc": CBC,
    "tls12-cbc-etm": f"{TLS12}:-CIPHER-ALL:+AES-256-CBC:+SHA1",
}


def frame(kind: int, payload: bytes = b"") -> bytes:
    return b"STF\1" + len(payload).to_bytes(2, "big") + bytes([kind, 0]) + payload


def packet(size: int, protocol: int = 6) -> bytes:
    """An IPv4 packet, as far as the pump looks."""
    return (b"\x45\0" + size.to_bytes(2, "big") + bytes(5) + bytes([protocol]) + os.urandom(max(size - 10, 0)))[:size]


def packet6(size: int, *headers: int) -> bytes:
    """An IPv6 packet: the next header, and what a hop-by-hop header names."""
    rest = bytes([headers[1]]) if len(headers) > 1 else b""
    return (b"\x60" + bytes(5) + bytes([headers[0], 64]) + bytes(32) + rest + bytes(size))[:size]


class Tunnel:
    """A pump, the far end of its TUN, and its page of counters."""

    def __init__(self, session: TlsSession, mtu: int = 1400) -> None:
        near, self.tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.near = near
        self.tun.settimeout(LIMIT)
        self.page = mmap.mmap(-1, 4096)
        self.pump = Pump(session, near.fileno(), self.page, mtu=mtu)

    def run(self, seconds: float = LIMIT) -> PumpEvent:
        return self.pump.run(time.monotonic() + seconds)

    def settle(self) -> None:
        """Do all there is to do now."""
        assert self.run(0.02) == Deadline()

    def close(self) -> None:
        self.pump.close()
        self.near.close()
        self.tun.close()
        self.page.close()


@contextmanager
def tunnel(priorities: str = NORMAL, mtu: int = 1400) -> Iterator[tuple[Tunnel, ssl.SSLSocket]]:
    client = client_context(ciphers="ALL:@SECLEVEL=0")
    with connect_plainly(priorities, client) as connection:
        opened = Tunnel(connection.session, mtu)
        yield opened, connection.client
        opened.close()


@contextmanager
def raw_tunnel(**options: int) -> Iterator[tuple[Tunnel, RawClient]]:
    with connect_raw() as (session, client):
        opened = Tunnel(session, **options)
        yield opened, client
        opened.close()


# ---- packets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_packets_go_both_ways_in_every_suite(kind: str) -> None:
    with tunnel(KINDS[kind]) as (t, client):
        for size in (20, 100, 1400):
            up, down = packet(size), packet(size)
            client.sendall(frame(DATA, up))
            t.tun.send(down)
            t.settle()
            assert t.tun.recv(2000) == up
            assert client.recv(2000) == frame(DATA, down)


@pytest.mark.parametrize("kind", ["tls13-aes256", "tls12-aes256", "tls12-cbc"])
def test_each_packet_of_a_burst_is_a_record_of_its_own(kind: str) -> None:
    with tunnel(KINDS[kind]) as (t, client):
        packets = [packet(size) for size in (40, 1400, 60, 1400, 1399)]
        for one in packets:
            t.tun.send(one)
        t.settle()
        assert [client.recv(16384) for _ in packets] == [frame(DATA, one) for one in packets]


def test_a_burst_is_one_write() -> None:
    with raw_tunnel() as (t, client):
        for _ in range(5):
            t.tun.send(packet(1000))
        t.settle()
        assert len(client.sock.recv(65536)) == 5 * (5 + 8 + 1000 + 1 + 16)


def test_several_frames_in_a_record_are_accepted() -> None:
    with tunnel() as (t, client):
        first, second = packet(40), packet(50)
        client.sendall(frame(DATA, first) + frame(DPD, b"probe") + frame(DATA, second) + frame(KEEPALIVE))
        assert t.run() == Frame(DPD, b"probe")
        assert t.tun.recv(2000) == first
        assert t.run() == Frame(KEEPALIVE, b"")
        assert t.tun.recv(2000) == second


def test_padded_records_are_accepted() -> None:
    with raw_tunnel() as (t, client):
        client.send(APPLICATION, frame(DATA, packet(40)), padding=1000)
        t.settle()
        assert len(t.tun.recv(2000)) == 40


def test_empty_records_and_empty_frames_are_nothing() -> None:
    with raw_tunnel() as (t, client):
        client.send(APPLICATION, b"")
        client.send(APPLICATION, frame(DATA))
        client.send(APPLICATION, frame(DATA, packet(30)))
        t.settle()
        assert len(t.tun.recv(2000)) == 30
        assert t.pump.traffic.rx_packets == 1


def test_a_record_may_come_byte_by_byte() -> None:
    with raw_tunnel() as (t, client):
        for byte in client.write.seal(APPLICATION, frame(DPD, b"slow")):
            t.settle()
            client.sock.sendall(bytes([byte]))
        assert t.run() == Frame(DPD, b"slow")


def test_what_came_before_the_pump_is_not_lost() -> None:
    with connect_raw() as (session, client):
        client.send(APPLICATION, b"CONNECT")
        early = client.write.seal(APPLICATION, frame(DPD, b"early"))
        client.sock.sendall(early[:20])
        assert session.recv(100, LIMIT) == b"CONNECT"
        t = Tunnel(session)
        client.sock.sendall(early[20:])
        assert t.run() == Frame(DPD, b"early")
        t.close()


def test_unread_data_in_the_session_refuses_the_pump() -> None:
    with connect_raw() as (session, client):
        client.send(APPLICATION, b"CONNECT and more")
        session.recv(7, LIMIT)
        with pytest.raises(TlsError):
            Tunnel(session)


def test_packets_longer_than_the_mtu_are_dropped() -> None:
    with tunnel(mtu=1000) as (t, client):
        for size in (1001, 1000, 1400):
            t.tun.send(packet(size))
        t.settle()
        assert len(client.recv(16384)) == 8 + 1000
        assert t.pump.dropped == Dropped(too_long=2)
        t.pump.mtu = 1400
        t.tun.send(packet(1400))
        t.settle()
        assert len(client.recv(16384)) == 8 + 1400


def test_the_longest_packet_goes_both_ways() -> None:
    with tunnel(mtu=PAYLOAD_MAX) as (t, client):
        up, down = packet(PAYLOAD_MAX), packet(PAYLOAD_MAX)
        client.sendall(frame(DATA, up))
        t.tun.send(down)
        t.settle()
        assert t.tun.recv(20000) == up
        assert client.recv(20000) == frame(DATA, down)


# ---- counters and times -----------------------------------------------------------------------------------------


def test_the_page_counts_on() -> None:
    with connect_plainly() as connection:
        page = mmap.mmap(-1, 4096)
        struct.pack_into("=4Q", page, 0, 1000, 2000, 10, 20)
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with near, far, page:
            pump = Pump(connection.session, near.fileno(), page, mtu=1400)
            connection.client.sendall(frame(DATA, packet(100)))
            far.send(packet(300))
            pump.run(time.monotonic() + 0.02)
            values = [struct.unpack_from("=Q", page, at)[0] for at in (RX_BYTES, TX_BYTES, RX_PACKETS, TX_PACKETS)]
            assert values == [1100, 2300, 11, 21]
            assert pump.traffic == Traffic(1100, 2300, 11, 21)
            pump.close()


IDLE = {
    "icmp": packet(60, 1),
    "igmp": packet(60, 2),
    "icmpv6": packet6(60, 58),
    "mld": packet6(76, 0, 58),
    "runt": b"\x45",
    "no ip": b"\x10" * 40,
}
BUSY = {"tcp": packet(60, 6), "udp": packet(60, 17), "tcp6": packet6(60, 6), "options6": packet6(60, 0, 6)}


@pytest.mark.parametrize(("name", "data"), [*((n, False) for n in IDLE), *((n, True) for n in BUSY)])
def test_what_counts_as_use(name: str, data: bool) -> None:
    one = {**IDLE, **BUSY}[name]
    with tunnel() as (t, client):
        before = time.monotonic()
        client.sendall(frame(DATA, one))
        t.tun.send(one)
        t.settle()
        assert t.pump.last_rx > before
        assert (t.pump.last_data_rx > before) == data
        assert (t.pump.last_data_tx > before) == data


def test_times_and_drops_outlive_the_pump() -> None:
    with tunnel() as (t, _):
        seen = t.pump.last_rx
        t.pump.close()
        assert t.pump.last_rx == seen
        assert t.pump.dropped == Dropped()


# ---- control frames ---------------------------------------------------------------------------------------------


def test_control_frames_are_records_of_their_own() -> None:
    with tunnel() as (t, client):
        t.pump.send(DPD_ANSWER, b"echo")
        t.pump.send(KEEPALIVE)
        assert t.pump.flush(LIMIT)
        assert client.recv(100) == frame(DPD_ANSWER, b"echo")
        assert client.recv(100) == frame(KEEPALIVE)


def test_run_sends_what_is_queued() -> None:
    with tunnel() as (t, client):
        t.pump.send(DPD)
        t.settle()
        assert client.recv(100) == frame(DPD)


def test_the_longest_probe_is_echoed() -> None:
    with tunnel() as (t, client):
        client.sendall(frame(DPD, bytes(PAYLOAD_MAX)))
        event = t.run()
        assert isinstance(event, Frame)
        t.pump.send(DPD_ANSWER, event.payload)
        t.pump.flush(LIMIT)
        assert client.recv(20000) == frame(DPD_ANSWER, bytes(PAYLOAD_MAX))


def test_a_longer_payload_is_a_bug() -> None:
    with tunnel() as (t, _), pytest.raises(ValueError, match="16377"):
        t.pump.send(DPD, bytes(PAYLOAD_MAX + 1))


def test_a_client_that_never_reads_fills_up_and_is_told() -> None:
    with tunnel() as (t, _):
        with pytest.raises(TlsTimeout):
            _send_often(t.pump, 1000)
        assert not t.pump.flush(0.01)


def _send_often(pump: Pump, times: int) -> None:
    for _ in range(times):
        pump.send(DPD, bytes(PAYLOAD_MAX))


def test_probes_without_reading_stop_being_read() -> None:
    with tunnel() as (t, client):
        client.settimeout(0.2)
        flood = threading.Thread(target=_flood, args=(client, frame(DPD, bytes(16000))))
        flood.start()
        answered = 0
        while isinstance(event := t.run(0.3), Frame):
            t.pump.send(DPD_ANSWER, event.payload)
            answered += 1
        flood.join(LIMIT)
        assert event == Deadline()
        assert 0 < answered < 200


def _flood(client: ssl.SSLSocket, data: bytes) -> None:
    try:
        for _ in range(10000):
            client.sendall(data)
    except OSError:  # the client gave up, or the tunnel ended
        return


def test_a_backlog_of_probes_is_answered_once_the_client_reads() -> None:
    with raw_tunnel() as (t, client):
        probes = 40
        burst = b"".join(client.write.seal(APPLICATION, frame(DPD, bytes([i]) * 16000)) for i in range(probes))
        writer = threading.Thread(target=client.sock.sendall, args=(burst,))
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.extend(client.receive()[1][8:9] for _ in range(probes)))
        writer.start()
        time_to_read = time.monotonic() + 0.2
        answered = 0
        while answered < probes and time.monotonic() < time_to_read + LIMIT:
            if time.monotonic() > time_to_read and reader.ident is None:
                reader.start()
            event = t.run(0.1)
            if isinstance(event, Frame):
                t.pump.send(DPD_ANSWER, event.payload)
                answered += 1
        assert t.pump.flush(LIMIT)
        reader.join(LIMIT)
        writer.join(LIMIT)
        assert got == [bytes([i]) for i in range(probes)]


# ---- waiting ----------------------------------------------------------------------------------------------------


def test_the_deadline_is_kept() -> None:
    with tunnel() as (t, _):
        begun = time.monotonic()
        assert t.run(0.1) == Deadline()
        assert 0.09 < time.monotonic() - begun < 1


def test_a_past_deadline_still_moves_what_is_there() -> None:
    with tunnel() as (t, client):
        t.tun.send(packet(100))
        events = [t.run(-1), t.run(-1)]
        assert events == [Deadline(), Deadline()]
        assert len(client.recv(2000)) == 108


def test_a_deadline_comes_in_the_middle_of_traffic() -> None:
    with tunnel() as (t, client):
        client.settimeout(0.5)
        flood = threading.Thread(target=_flood, args=(client, frame(DATA, packet(1000))))
        drain = threading.Thread(target=_drain, args=(t.tun,))
        flood.start()
        drain.start()
        begun = time.monotonic()
        assert t.run(0.2) == Deadline()
        assert time.monotonic() - begun < 2
        client.close()
        t.tun.shutdown(socket.SHUT_RDWR)
        flood.join(LIMIT)
        drain.join(LIMIT)


def _drain(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def test_a_watched_descriptor_wakes_the_pump() -> None:
    with tunnel() as (t, _):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            t.pump.watch([ours.fileno()])
            theirs.send(b"message")
            assert t.run() == Readable(ours.fileno())
            ours.recv(100)
            t.settle()
            theirs.close()
            assert t.run() == Readable(ours.fileno())
            t.pump.watch([])
            t.settle()


def test_too_many_descriptors_are_a_bug() -> None:
    with tunnel() as (t, _), pytest.raises(ValueError, match="15"):
        t.pump.watch(range(15))


def test_a_signal_interrupts() -> None:
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        with tunnel() as (t, _):
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            assert t.run() == Interrupted()
            assert seen == [signal.SIGUSR1]
            timer.join(LIMIT)
    finally:
        signal.signal(signal.SIGUSR1, before)


# ---- congestion -------------------------------------------------------------------------------------------------


def test_a_full_tun_is_waited_for() -> None:
    with tunnel() as (t, client):
        t.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        packets = [packet(1000) for _ in range(50)]
        for begin in range(0, 50, 10):
            client.sendall(b"".join(frame(DATA, one) for one in packets[begin : begin + 10]))
        t.settle()
        assert t.pump.traffic.rx_packets < 50
        for one in packets:
            t.settle()
            assert t.tun.recv(2000) == one


def _read_until_bye(client: RawClient) -> None:
    while client.receive() != (APPLICATION, frame(BYE)):
        pass


def test_a_client_that_does_not_read_stops_the_tun() -> None:
    with raw_tunnel() as (t, client):
        t.tun.setblocking(False)
        sent: list[bytes] = []
        for _ in range(20):
            try:
                while len(sent) < 5000:
                    sent.append(packet(1000))
                    t.tun.send(sent[-1])
            except BlockingIOError:
                sent.pop()
            t.settle()
        assert t.pump.traffic.tx_packets < len(sent) < 5000
        reader = threading.Thread(target=_read_until_bye, args=(client,))
        reader.start()
        while t.pump.traffic.tx_packets + t.pump.dropped.total < len(sent):
            assert t.run(0.05) == Deadline()
        t.pump.send(BYE)
        while reader.is_alive():
            t.run(0.01)
        reader.join(LIMIT)
        # A queue that stands is shortened, a little; nothing else is lost.
        assert t.pump.traffic.tx_packets + t.pump.dropped.shed == len(sent)
        assert t.pump.dropped.total == t.pump.dropped.shed < 20


def test_little_of_a_stream_waits_unsent_in_the_kernel() -> None:
    ends: list[socket.socket] = []

    def pair() -> tuple[socket.socket, socket.socket]:
        ends.extend(tcp_pair())
        return ends[0], ends[1]

    with tls_sessions(pair=pair) as (session, _):
        t = Tunnel(session)
        # What waits there cannot be shed, and a ping waits behind it.
        assert ends[0].getsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT) == 65536
        t.close()


# ---- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tls13-aes256", "tls12-aes256", "tls12-cbc"])
def test_close_notify_of_the_client_is_a_clean_end(kind: str) -> None:
    with tunnel(KINDS[kind]) as (t, client):
        client.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        assert t.run() == Closed(clean=True)
        assert t.run() == Closed(clean=True)


def test_the_end_of_tcp_is_not_clean() -> None:
    with raw_tunnel() as (t, client):
        client.sock.shutdown(socket.SHUT_WR)
        assert t.run() == Closed(clean=False)


def test_what_came_before_the_end_is_delivered() -> None:
    with raw_tunnel() as (t, client):
        client.send(APPLICATION, frame(DPD, b"last") + frame(DATA, packet(99)))
        client.sock.shutdown(socket.SHUT_WR)
        assert t.run() == Frame(DPD, b"last")
        assert t.run() == Closed(clean=False)
        assert len(t.tun.recv(2000)) == 99


def test_a_fatal_alert_is_not_clean() -> None:
    with raw_tunnel() as (t, client):
        client.send(ALERT, b"\2\x28")
        assert t.run() == Closed(clean=False)


def test_user_canceled_is_no_end() -> None:
    with raw_tunnel() as (t, client):
        client.send(ALERT, b"\1\x5a")
        client.send(APPLICATION, frame(KEEPALIVE))
        assert t.run() == Frame(KEEPALIVE, b"")


@pytest.mark.parametrize("kind", ["tls13-aes256", "tls12-aes256", "tls12-cbc"])
def test_closing_says_close_notify(kind: str) -> None:
    with tunnel(KINDS[kind]) as (t, client):
        t.pump.send(BYE, b"\xb0bye")
        t.pump.close()
        assert client.recv(100) == frame(BYE, b"\xb0bye")
        assert client.recv(100) == b""
        t.pump.close()


def test_closing_the_session_closes_the_pump() -> None:
    with connect_plainly() as connection:
        t = Tunnel(connection.session)
        connection.session.close()
        assert connection.client.recv(100) == b""
        t.close()


def test_a_lost_tun_is_told() -> None:
    with tunnel() as (t, _):
        t.tun.close()
        assert t.run() == TunLost(0)


def test_a_tun_that_cannot_be_written_is_lost() -> None:
    with tunnel() as (t, client):
        t.near.shutdown(socket.SHUT_WR)
        client.sendall(frame(DATA, packet(40)))
        assert t.run() == TunLost(errno.EPIPE)


# ---- bad input --------------------------------------------------------------------------------------------------

BAD_FRAMES = {
    "magic": b"STX\1\0\0\3\0",
    "byte 7": b"STF\1\0\0\3\1",
    "longer than its record": b"STF\1\0\5\3\0ab",
    "a piece of a frame": b"STF\1\0",
    "bytes left over": frame(DATA, b"E" * 20) + b"\0",
}


@pytest.mark.parametrize("content", BAD_FRAMES.values(), ids=BAD_FRAMES)
@pytest.mark.parametrize("kind", ["tls13-aes256", "tls12-cbc"])
def test_a_bad_frame_is_a_violation_and_bye_still_goes(content: bytes, kind: str) -> None:
    with tunnel(KINDS[kind]) as (t, client):
        client.sendall(content)
        event = t.run()
        assert isinstance(event, Violation)
        assert "CSTP" in event.text
        assert t.run() == event
        t.pump.send(BYE)
        t.pump.flush(LIMIT)
        assert client.recv(100) == frame(BYE)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (20, b"\1"),
        (24, b"heartbeat"),
        (ALERT, b"\2"),
        (HANDSHAKE, b"\1\0\0\0"),
        (HANDSHAKE, b"\x18\0\0\1\2"),
        (HANDSHAKE, b"\x18\0\0\1"),
        (HANDSHAKE, b"\x18\0\0\1\0\x18\0\0\1\0"),
        (0, b""),
    ],
)
def test_a_record_that_may_not_come_is_a_violation(kind: int, content: bytes) -> None:
    with raw_tunnel() as (t, client):
        client.send(kind, content)
        assert isinstance(t.run(), Violation)


@pytest.mark.parametrize(
    "record",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x17\x03\x03\x00\x20" + bytes(32),
        b"\x17\x03\x03\x00\x10" + bytes(16),
        b"\x17\x03\x03\xff\xff",
        b"\x17\x03\x01\x00\x20" + bytes(32),
        b"\x16\x03\x03\x00\x20" + bytes(32),
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x14\x03\x03\x00\x01\x01",
    ],
    ids=["http", "wrong key", "too short", "too long", "version", "plain handshake", "plain alert", "ccs"],
)
@pytest.mark.parametrize("kind", ["tls13-aes256", "tls12-aes256", "tls12-chacha", "tls12-cbc"])
def test_a_broken_record_ends_the_tunnel(record: bytes, kind: str) -> None:
    with connect_plainly(KINDS[kind], client_context(ciphers="ALL:@SECLEVEL=0")) as connection:
        t = Tunnel(connection.session)
        connection.raw.sendall(record)
        connection.raw.shutdown(socket.SHUT_WR)
        assert isinstance(t.run(), Violation | Closed)
        t.close()


def test_tls12_cannot_be_rekeyed() -> None:
    with tunnel(TLS12) as (t, _):
        assert not t.pump.can_rekey
        with pytest.raises(TlsError):
            t.pump.rekey()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from([0, 20, 21, 22, 23, 24]), st.binary(max_size=64)), max_size=6), st.binary())
def test_no_records_and_no_bytes_crash_it(records: list[tuple[int, bytes]], rest: bytes) -> None:
    with raw_tunnel() as (t, client):
        for kind, content in records:
            client.send(kind, content)
        client.sock.sendall(rest)
        client.sock.shutdown(socket.SHUT_WR)
        for _ in range(20):
            if isinstance(event := t.run(), Violation | Closed):
                break
        assert isinstance(event, Violation | Closed)


# ---- KeyUpdate --------------------------------------------------------------------------------------------------


def exchange(t: Tunnel, client: RawClient) -> None:
    """A packet each way."""
    up, down = packet(77), packet(78)
    client.send(APPLICATION, frame(DATA, up))
    t.tun.send(down)
    t.settle()
    assert t.tun.recv(2000) == up
    assert client.receive() == (APPLICATION, frame(DATA, down))


@pytest.mark.parametrize("suite", [SUITES[0], SUITES[1], SUITES[6]], ids=lambda suite: suite.name)
def test_a_requested_key_update_is_answered(suite: Suite) -> None:
    with connect_raw(suite) as (session, client):
        t = Tunnel(session)
        for _ in range(4):
            client.send_key_update(1)
            t.settle()
            assert client.receive() == (HANDSHAKE, b"\x18\0\0\1\0")
            exchange(t, client)
        t.close()


def test_a_key_update_that_asks_for_nothing_is_not_answered() -> None:
    with raw_tunnel() as (t, client):
        client.send_key_update(0)
        exchange(t, client)


def test_our_rekey_asks_for_theirs() -> None:
    with raw_tunnel() as (t, client):
        for _ in range(3):
            t.pump.rekey()
            t.settle()
            assert client.receive() == (HANDSHAKE, b"\x18\0\0\1\1")
            client.send_key_update(0)
            exchange(t, client)


def test_updates_that_cross_are_tolerated() -> None:
    with raw_tunnel() as (t, client):
        t.pump.rekey()
        client.send_key_update(1)
        t.settle()
        assert client.receive() == (HANDSHAKE, b"\x18\0\0\1\1")
        assert client.receive() == (HANDSHAKE, b"\x18\0\0\1\0")
        client.send_key_update(0)
        exchange(t, client)


def test_a_real_client_follows_our_rekey() -> None:
    with tunnel(NORMAL) as (t, client):
        for _ in range(3):
            t.pump.rekey()
            t.tun.send(packet(500))
            t.settle()
            assert len(client.recv(2000)) == 508
            client.sendall(frame(DATA, packet(40)))
            t.settle()
            assert len(t.tun.recv(2000)) == 40


def test_keys_are_renewed_before_they_are_worn_out() -> None:
    with raw_tunnel() as (t, client):
        t.pump._pump.write.seq = client.read.seq = lib.OC_RECORDS_PER_KEY - 1
        t.tun.send(packet(20))
        t.settle()
        assert client.receive()[0] == APPLICATION
        assert client.receive() == (HANDSHAKE, b"\x18\0\0\1\0")
        exchange(t, client)


def test_updates_during_http_are_known_to_the_pump() -> None:
    with connect_raw() as (session, client):
        client.send_key_update(1)
        client.send(APPLICATION, b"CONNECT")
        assert session.recv(100, LIMIT) == b"CONNECT"
        session.send(b"200")
        assert client.receive() == (HANDSHAKE, b"\x18\0\0\1\0")
        assert client.receive() == (APPLICATION, b"200")
        t = Tunnel(session)
        client.send_key_update(0)
        exchange(t, client)
        t.close()


# ---- memory -----------------------------------------------------------------------------------------------------


def test_buffers_go_back_when_the_tunnel_is_idle() -> None:
    with tunnel() as (t, client):
        client.sendall(frame(DATA, packet(1400)) * 11)
        for _ in range(8):
            t.tun.send(packet(1400))
        t.pump.mtu = PAYLOAD_MAX
        for _ in range(3):
            t.tun.send(packet(PAYLOAD_MAX))
            t.settle()
        assert _resident_kib(t.pump) > 60
        assert t.run(1.5) == Deadline()
        assert _resident_kib(t.pump) == 0


def _resident_kib(pump: Pump) -> int:
    """How much of the pump's buffers is in memory: bit 63 of each page's entry (proc(5), pagemap)."""
    page, start = mmap.PAGESIZE, int(ffi.cast("uintptr_t", pump._pump.memory))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(start // page * 8)
        entries = array.array("Q", pagemap.read(lib.OC_MEMORY_SIZE // page * 8))
    return sum(entry >> 63 for entry in entries) * page // 1024
