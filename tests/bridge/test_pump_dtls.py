"""The pump with DTLS beside TLS: which way packets take, what of a datagram is believed, and what is lost when."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ocserv_core.bridge._native import lib
from ocserv_core.bridge.dtls import DtlsSession
from ocserv_core.bridge.events import Deadline, DtlsClosed, Frame, Handshake, Hello, Readable, TooBig
from ocserv_core.bridge.pump import Dropped, Network, PumpOptions

if TYPE_CHECKING:
    from ocserv_core.bridge._native import CData

from .dtls_model import EPOCH, records
from .dtls_peers import (
    SUITES,
    LibraryClient,
    Path,
    RawClient,
    forged,
    nonces,
    random_packet,
    sessions,
    shake,
    shake_over,
    udp_pair,
)
from .packet_model import HOP_BY_HOP, Ip, Step, Tcp, conversation, udp
from .record_model import ALERT, HANDSHAKE
from .tunnels import ClientSession, End, tls_sessions

DATA, DPD, DPD_ANSWER, KEEPALIVE = 0, 3, 4, 7
RECEIVED_AT_ONCE = 32
"""OC_RECEIVE: a socket that gave so many datagrams may have more."""

UDP_GRO, SO_TIMESTAMPNS = 104, 35
"""linux/udp.h and asm-generic/socket.h: not in the socket module."""

PLAIN = PumpOptions()


def frame(kind: int, payload: bytes = b"") -> bytes:
    return b"STF\1" + len(payload).to_bytes(2, "big") + bytes([kind, 0]) + payload


@dataclass
class Site:
    """A pump whose client speaks TLS by hand, and DTLS by a path that the test carries."""

    end: End
    tls: ClientSession
    stack: ExitStack

    def session(self, priorities: str = SUITES["aes256"]) -> tuple[DtlsSession, DtlsSession, Path]:
        """A server's and a client's, before their handshake."""
        path = Path(self.stack)
        return (*sessions(self.stack, path, priorities), path)

    def join(self, path: Path | None = None, priorities: str = SUITES["aes256"]) -> Client:
        """An established session, that is attached; with the path of an earlier one it shares that one's socket."""
        made = Path(self.stack) if path is None else path
        server, client = sessions(self.stack, made, priorities)
        shake(server, client, made)
        slot = self.end.pump.attach(server)
        assert slot is not None
        # Its socket is the test's to give datagrams into, and never blocks the pump.
        self.end.pump._pump.batch.way = lib.OC_MANY
        return Client(self.end, server, RawClient(client), made, slot)

    def active(self) -> int | None:
        """The slot by which packets go now."""
        return self.end.pump.active

    def by_tls(self, packet: bytes) -> None:
        content = frame(DATA, packet)
        assert lib.gnutls_record_send(self.tls.native, content, len(content)) == len(content)

    def from_tls(self) -> bytes:
        return self.tls.receive(16384)


@dataclass
class Client:
    """The client's end of a session."""

    end: End
    server: DtlsSession
    raw: RawClient
    path: Path
    slot: int

    def send(self, kind: int, payload: bytes = b"", number: int | None = None) -> bytes:
        datagram = self.raw.seal(bytes([kind]) + payload, number=number)
        self.path.to_server(datagram)
        return datagram

    def speak(self) -> None:
        """Be heard: packets go by this session from now on."""
        self.send(KEEPALIVE)
        assert self.end.run() == Frame(KEEPALIVE, b"", self.slot)

    def heard(self) -> list[bytes]:
        """The contents of all that has come since."""
        return [content for one in self.path.from_server() for _, content in self.raw.open(one)]


@contextmanager
def site(options: PumpOptions = PLAIN, mtu: int = 1400) -> Iterator[Site]:
    with ExitStack() as stack:
        session, client = stack.enter_context(tls_sessions())
        end = End(session, options, mtu)
        stack.callback(end.close)
        yield Site(end, client, stack)


# ---- which way --------------------------------------------------------------------------------------------------


def test_packets_go_by_tls_until_the_client_is_heard_by_dtls() -> None:
    with site() as s:
        client = s.join()
        first, second = random_packet(100), random_packet(100)
        s.end.feed(first)
        s.end.settle()
        assert s.from_tls() == frame(DATA, first)
        client.speak()
        assert s.active() == client.slot
        s.end.feed(second)
        s.end.settle()
        assert client.heard() == [b"\0" + second]


def test_an_older_session_that_is_heard_carries_packets_while_no_other_does() -> None:
    with site() as s:
        old = s.join()
        s.join()
        old.speak()
        assert s.active() == old.slot
        s.end.pump.deactivate()
        old.speak()
        assert s.active() == old.slot


def test_data_by_tls_says_that_the_client_has_left_and_a_record_that_it_is_back() -> None:
    with site() as s:
        client = s.join()
        client.speak()
        up, down, back = random_packet(60), random_packet(70), random_packet(80)
        s.by_tls(up)
        s.end.settle()
        assert s.active() is None
        s.end.feed(down)
        s.end.settle()
        assert s.from_tls() == frame(DATA, down)
        client.send(DATA, up)
        s.end.settle()
        assert s.active() == client.slot
        s.end.feed(back)
        s.end.settle()
        assert client.heard() == [b"\0" + back]
        assert s.end.packets() == [up, up]


def test_control_by_tls_leaves_dtls_as_it_is() -> None:
    with site() as s:
        client = s.join()
        client.speak()
        content = frame(DPD)
        lib.gnutls_record_send(s.tls.native, content, len(content))
        assert s.end.run() == Frame(DPD, b"")
        assert s.active() == client.slot


def test_silence_sends_packets_by_tls_once_there_are_some() -> None:
    with site(PumpOptions(udp_patience=0.05)) as s:
        client = s.join()
        client.speak()
        packet = random_packet(100)
        assert s.end.run(0.08) == Deadline()
        assert s.active() == client.slot
        s.end.feed(packet)
        s.end.settle()
        assert s.active() is None
        assert s.from_tls() == frame(DATA, packet)


def test_nobody_listening_sends_packets_by_tls() -> None:
    with site() as s, ExitStack() as stack:
        ours, theirs = udp_pair(stack)
        server, client = shake_over(ours, theirs, SUITES["aes256"])
        s.end.pump.attach(server)
        theirs.send(RawClient(client).seal(bytes([KEEPALIVE])))
        s.end.run()
        theirs.close()
        lost, kept = random_packet(50), random_packet(60)
        s.end.feed(lost)
        s.end.settle()
        assert s.active() is None
        s.end.feed(kept)
        s.end.settle()
        assert s.from_tls() == frame(DATA, kept)
        client.close()


def test_deactivated_by_the_worker_packets_go_by_tls_until_the_client_is_heard() -> None:
    with site() as s:
        client = s.join()
        client.speak()
        s.end.pump.deactivate()
        packet = random_packet(100)
        s.end.feed(packet)
        s.end.settle()
        assert s.from_tls() == frame(DATA, packet)
        client.speak()
        assert s.active() == client.slot


# ---- control packets --------------------------------------------------------------------------------------------


def test_a_probe_is_answered_in_full() -> None:
    with site() as s:
        client = s.join()
        client.send(DPD, b"\x5a" * 1399)
        assert s.end.run() == Frame(DPD, b"\x5a" * 1399, client.slot)
        assert s.end.pump.send_datagram(client.slot, DPD_ANSWER, b"\x5a" * 1399) == 0
        assert client.heard() == [bytes([DPD_ANSWER]) + b"\x5a" * 1399]


def test_packets_come_before_what_was_said_after_them() -> None:
    with site() as s:
        client = s.join()
        up = random_packet(90)
        client.send(DATA, up)
        client.send(DPD)
        client.send(DATA, up)
        assert s.end.run() == Frame(DPD, b"", client.slot)
        assert s.end.packets() == [up]
        s.end.settle()
        assert s.end.packets() == [up]


def test_several_records_in_a_datagram_are_taken() -> None:
    with site() as s:
        client = s.join()
        first, second = random_packet(90), random_packet(70)
        sealed = [client.raw.seal(content) for content in (b"\0" + first, bytes([DPD]), b"\0" + second)]
        client.path.to_server(b"".join(sealed))
        assert s.end.run() == Frame(DPD, b"", client.slot)
        s.end.settle()
        assert s.end.packets() == [first, second]


def test_empty_contents_are_nothing() -> None:
    with site() as s:
        client = s.join()
        client.path.to_server(client.raw.seal(b""), client.raw.seal(b"\0"))
        s.end.settle()
        assert s.end.packets() == []
        assert s.end.pump.dropped == Dropped()


def test_a_control_packet_needs_an_established_session() -> None:
    with site() as s:
        server, _, _ = s.session()
        slot = s.end.pump.attach(server)
        assert slot is not None
        assert s.end.pump.send_datagram(slot, DPD) != 0
        assert s.end.pump.send_datagram(5, DPD) != 0


def test_the_client_s_farewell_is_told() -> None:
    with site() as s:
        client = s.join()
        client.path.to_server(client.raw.seal(b"\1\0", ALERT))
        assert s.end.run() == DtlsClosed(client.slot)


def test_a_warning_is_nothing() -> None:
    with site() as s:
        client = s.join()
        client.path.to_server(client.raw.seal(b"\1\x64", ALERT))
        s.end.settle()


def test_closing_says_farewell() -> None:
    with site() as s:
        client = s.join()
        s.end.pump.close()
        (datagram,) = client.path.from_server()
        assert client.raw.open(datagram) == [(ALERT, b"\1\0")]


# ---- what is believed -------------------------------------------------------------------------------------------


def test_a_replayed_record_is_refused_and_counted() -> None:
    with site() as s:
        client = s.join()
        up = random_packet(60)
        datagram = client.send(DATA, up)
        client.path.to_server(datagram, datagram)
        s.end.settle()
        assert s.end.packets() == [up]
        assert client.server.refused == 2


def test_forged_records_are_refused_and_tell_nothing() -> None:
    with site() as s:
        client = s.join()
        good = client.raw.seal(b"\0" + random_packet(60))
        far = client.raw.seal(b"\0" + random_packet(60), number=EPOCH + 2**40)
        client.path.to_server(forged(far), forged(good), good)
        s.end.settle()
        assert len(s.end.packets()) == 1
        assert client.server.refused == 2
        assert s.active() == client.slot


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x17", b"\x17\xfe\xfd\0\1", bytes(1000), b"\x17\xfe\xfd\0\1" + bytes(6) + b"\xff\xff" + bytes(100)],
    ids=["empty", "runt", "cut", "zeros", "too long"],
)
def test_junk_is_passed_over(junk: bytes) -> None:
    with site() as s:
        client = s.join()
        client.path.to_server(junk)
        client.speak()


def test_records_that_are_reordered_by_900_all_arrive() -> None:
    with site() as s:
        client = s.join()
        packets = [random_packet(28) for _ in range(1000)]
        sealed = [client.raw.seal(b"\0" + packet) for packet in packets]
        order = [i for pair in zip(range(900, 1000), range(100), strict=True) for i in pair]
        for i in order:
            client.path.to_server(sealed[i])
            s.end.settle()
        assert s.end.packets() == [packets[i] for i in order]
        assert client.server.refused == 0


@pytest.mark.parametrize(("behind", "arrives"), [(959, True), (960, False), (5000, False)])
def test_the_window_ends_where_it_is_said_to(behind: int, arrives: bool) -> None:
    with site() as s:
        client = s.join()
        client.send(DATA, random_packet(30), number=EPOCH + 6000)
        client.send(DATA, random_packet(30), number=EPOCH + 6000 - behind)
        s.end.settle()
        assert len(s.end.packets()) == 1 + arrives
        assert client.server.refused == 1 - arrives


def test_records_of_other_keys_change_nothing() -> None:
    with site() as s:
        client, stranger = s.join(), s.join()
        client.path.to_server(stranger.raw.seal(b"\0" + random_packet(40)))
        s.end.settle()
        assert s.end.packets() == []
        assert s.active() is None


OURS: tuple[Network, ...] = (
    ipaddress.ip_network("192.0.2.1/32"),
    ipaddress.ip_network("10.9.0.0/16"),
    ipaddress.ip_network("2001:db8::1/128"),
)


@pytest.mark.parametrize("by", ["tls", "dtls"])
def test_packets_from_foreign_addresses_are_dropped_and_counted(by: str) -> None:
    router = Ip("fe80::1", "ff02::2", extension=HOP_BY_HOP).around(58, bytes(8))
    with site(PumpOptions(networks=OURS)) as s:
        client = s.join()
        good = [udp(Ip(), b"a"), udp(Ip("10.9.8.7"), b"b"), udp(Ip("2001:db8::1", "2001:db8:1::7"), b"c")]
        bad = [udp(Ip("192.0.2.2"), b"d"), udp(Ip("2001:db8::2", "2001:db8:1::7"), b"e"), b"\x10" * 30, b"\x45"]
        for packet in (good[0], bad[0], router, bad[1], good[1], bad[2], good[2], bad[3]):
            if by == "tls":
                s.by_tls(packet)
            else:
                client.send(DATA, packet)
        s.end.settle()
        assert s.end.packets() == good
        assert s.end.pump.dropped == Dropped(foreign=4)
        assert s.end.pump.traffic.rx_packets == 3
        assert s.end.pump.traffic.rx_bytes == sum(map(len, good))


def test_a_foreign_packet_in_a_run_does_not_spoil_it() -> None:
    options = PumpOptions(networks=OURS)
    with site(options) as s:
        client = s.join()
        run = conversation([Step(0, 500)] * 4)
        foreign = Tcp().on(Ip("192.0.2.9"), bytes(600))
        for packet in (run[0], foreign, run[1], run[2], foreign, run[3]):
            client.send(DATA, packet)
        s.end.settle()
        assert s.end.packets() == run


def test_what_does_not_inflate_is_lost_alone() -> None:
    with site(PumpOptions(dtls_compression="lzs")) as s:
        client = s.join()
        client.send(8, b"\xff" * 40)
        client.speak()
        assert s.end.pump.dropped == Dropped(malformed=1)


def test_compressed_packets_without_an_agreement_are_python_s() -> None:
    with site() as s:
        client = s.join()
        client.send(8, b"x")
        assert s.end.run() == Frame(8, b"x", client.slot)


# ---- the end of a handshake that was lost -----------------------------------------------------------------------


def lose_finished(s: Site, path: Path, server: DtlsSession, client: DtlsSession) -> tuple[list[bytes], list[bytes]]:
    """Shake hands, but the server's last flight is lost: that, and the client's."""
    client.handshake()
    flight: list[bytes] = []
    while not server.established:
        flight = path.from_client()
        for datagram in flight:
            server.handshake(datagram)
        if not server.established:
            for datagram in path.from_server():
                client.handshake(datagram)
    return path.from_server(), flight


def repeated(path: Path, client: DtlsSession) -> list[bytes]:
    """The client's flight once more, when its patience is over."""
    while not (flight := path.from_client()):
        time.sleep(client.timeout + 0.01)  # no descriptor tells of it: the client's clock is all there is
        client.handshake()
    return [bytes(record) for one in flight for record in records(one)]


@pytest.mark.parametrize("apart", [False, True], ids=["one datagram (GnuTLS)", "three datagrams (OpenSSL)"])
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside an old session on the socket"])
def test_a_lost_finished_is_said_again_in_one_round_and_no_nonce_twice(beside: bool, apart: bool) -> None:
    with site() as s:
        path = Path(s.stack)
        old = s.join(path) if beside else None
        server, client = sessions(s.stack, path)
        lost, _ = lose_finished(s, path, server, client)
        slot = s.end.pump.attach(server)
        assert slot is not None
        # What we say meanwhile by our own records has numbers that GnuTLS knows nothing of.
        for number in range(5):
            assert s.end.pump.send_datagram(slot, DPD, bytes([number])) == 0
        early = path.from_server()
        flight = repeated(path, client)
        assert len(flight) == 3
        path.to_server(*(flight if apart else [b"".join(flight)]))
        s.end.settle()
        answer = path.from_server()
        assert answer
        for datagram in answer:
            client.handshake(datagram)
        assert client.established
        for number in range(5):
            assert s.end.pump.send_datagram(slot, DPD, bytes([number])) == 0
        late = path.from_server()
        used = nonces(lost + early + answer + late)
        assert len(used) == len(set(used)) == 1 + 5 + 1 + 5
        raw = RawClient(client)
        assert [content for one in late for _, content in raw.open(one)] == [bytes([DPD, n]) for n in range(5)]
        path.to_server(raw.seal(bytes([KEEPALIVE])))
        assert s.end.run() == Frame(KEEPALIVE, b"", slot)
        assert s.active() == slot
        if old is not None:
            old.send(DPD)
            assert s.end.run() == Frame(DPD, b"", old.slot)


def test_a_flood_of_repeated_flights_is_answered_now_and_then() -> None:
    with site() as s:
        path = Path(s.stack)
        server, client = sessions(s.stack, path)
        _, flight = lose_finished(s, path, server, client)
        s.end.pump.attach(server)
        path.to_server(*[b"".join(flight)] * 8)
        s.end.settle()
        assert len(path.from_server()) <= 4


def test_a_new_handshake_inside_a_session_is_refused() -> None:
    with site() as s:
        client = s.join()
        hello = b"\1\0\0\x2a\0\0\0\0\0\0\0\x2a" + b"\xfe\xfd" + bytes(32) + b"\0\0\0\2\0\xa9\1\0"
        client.path.to_server(client.raw.seal(hello, HANDSHAKE))
        s.end.settle()
        client.speak()
        assert {r.kind for one in client.path.from_server() for r in records(one)} <= {ALERT}


# ---- two sessions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["aes256", "chacha", "cbc"])
def test_a_new_session_takes_over_on_the_same_socket_while_the_old_carries_data(suite: str) -> None:
    with site() as s:
        path = Path(s.stack)
        server, client = sessions(s.stack, path, SUITES[suite])
        shake(server, client, path)
        old_slot = s.end.pump.attach(server)
        old = RawClient(client) if suite != "cbc" else LibraryClient(client)
        path.to_server(*old.say(path, bytes([KEEPALIVE])))
        assert s.end.run() == Frame(KEEPALIVE, b"", old_slot)

        new_server, new_client = sessions(s.stack, path, SUITES[suite])
        new_client.handshake()
        (hello,) = path.from_client()
        path.to_server(hello)
        assert s.end.run() == Hello(old_slot or 0, hello)
        new_slot = s.end.pump.attach(new_server)
        assert new_slot is not None
        new_server.handshake(hello)
        up = random_packet(90)
        while not new_server.established:
            for datagram in path.from_server():
                new_client.handshake(datagram)
            for datagram in path.from_client():
                path.to_server(*old.say(path, b"\0" + up), datagram)
                event = s.end.run()
                assert event == Handshake(new_slot, datagram)
                assert s.end.packets() == [up]
                new_server.handshake(datagram)
        for datagram in path.from_server():
            new_client.handshake(datagram)
        assert new_client.established
        assert s.active() == old_slot

        new = RawClient(new_client) if suite != "cbc" else LibraryClient(new_client)
        path.to_server(*old.say(path, b"\0" + up), *new.say(path, b"\0" + up), *old.say(path, b"\0" + up))
        s.end.settle()
        assert s.end.packets() == [up] * 3
        assert s.active() == new_slot
        down = random_packet(80)
        s.end.feed(down)
        s.end.settle()
        assert new.hear(path) == [b"\0" + down]
        path.to_server(*new.say(path, b"\0" + up), *new.say(path, b"\0" + up))
        s.end.pump.detach(old_slot or 0)
        s.end.settle()
        assert s.end.packets() == [up] * 2


def test_a_third_session_has_no_place() -> None:
    with site() as s:
        s.join()
        s.join()
        server, _, _ = s.session()
        assert s.end.pump.attach(server) is None
        s.end.pump.detach(0)
        assert s.end.pump.attach(server) == 0


def test_a_handshake_that_fails_leaves_the_session_before_it() -> None:
    with site() as s:
        client = s.join()
        server, _, _ = s.session()
        slot = s.end.pump.attach(server)
        assert slot is not None
        s.end.pump.detach(slot)
        client.speak()
        assert s.active() == client.slot


def test_what_came_for_the_new_session_outlives_the_old_one() -> None:
    with site() as s:
        path = Path(s.stack)
        old, new = s.join(path), s.join(path)
        up = random_packet(77)
        new.send(DPD)
        new.send(DATA, up)
        assert s.end.run() == Frame(DPD, b"", new.slot)
        s.end.pump.detach(old.slot)
        s.end.settle()
        assert s.end.packets() == [up]


def test_a_socket_that_is_read_for_one_session_is_read_for_the_other() -> None:
    """The newer of two on a socket has the lower slot, and it was the older one's when there was much to read."""
    with site() as s, ExitStack() as stack:
        gone = s.join()
        ours, theirs = udp_pair(stack)
        server, client = shake_over(ours, theirs, SUITES["aes256"])
        stack.callback(client.close)
        slot = s.end.pump.attach(server)
        assert slot == gone.slot + 1
        raw = RawClient(client)
        theirs.send(raw.seal(bytes([DPD])))
        for _ in range(RECEIVED_AT_ONCE - 1):
            theirs.send(raw.seal(b"\0" + random_packet(60)))
        assert s.end.run() == Frame(DPD, b"", slot)
        s.end.pump.detach(gone.slot)
        newer, _ = sessions(s.stack, Path(s.stack))
        newer.socket = ours
        assert s.end.pump.attach(newer) == gone.slot
        s.end.settle()
        before = time.thread_time()
        assert s.end.run(0.2) == Deadline()
        assert time.thread_time() - before < 0.1, "the pump does not sleep"


def test_a_socket_that_the_client_has_left_says_nothing_of_the_one_it_uses() -> None:
    with site() as s, ExitStack() as stack:
        ours, theirs = udp_pair(stack)
        server, old_client = shake_over(ours, theirs, SUITES["aes256"])
        old_slot = s.end.pump.attach(server)
        assert old_slot is not None
        client = s.join()
        client.speak()
        theirs.close()
        s.end.pump.send_datagram(old_slot, DPD)
        s.end.settle()
        assert s.active() == client.slot
        old_client.close()


# ---- the client moves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["aes256", "cbc"])
def test_a_datagram_that_the_keys_open_moves_the_session_to_its_socket(suite: str) -> None:
    with site() as s:
        path, moved = Path(s.stack), Path(s.stack)
        server, client_session = sessions(s.stack, path, SUITES[suite])
        shake(server, client_session, path)
        slot = s.end.pump.attach(server)
        client = LibraryClient(client_session) if suite == "cbc" else RawClient(client_session)
        up = random_packet(88)
        (datagram,) = client.say(path, b"\0" + up)
        assert s.end.pump.adopt(moved.server, datagram) == slot
        s.end.settle()
        assert s.end.packets() == [up]
        assert s.active() == slot
        down = random_packet(99)
        s.end.feed(down)
        s.end.settle()
        assert client.hear(moved) == [b"\0" + down]
        moved.to_server(*client.say(path, b"\0" + up))
        s.end.settle()
        assert s.end.packets() == [up]


@pytest.mark.parametrize("latency", [False, True])
def test_a_socket_that_the_client_moves_to_is_asked_for_what_the_first_one_was(*, latency: bool) -> None:
    with site(PumpOptions(latency=latency)) as s:
        client = s.join()
        ours, _ = udp_pair(s.stack)
        assert s.end.pump.adopt(ours, client.raw.seal(b"\0" + random_packet(40))) == client.slot
        # Without GRO each datagram costs a message of its own, without stamps nothing is measured.
        assert ours.getsockopt(socket.IPPROTO_UDP, UDP_GRO) == 1
        assert ours.getsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS) == latency


def test_a_datagram_of_strangers_moves_nothing() -> None:
    with site() as s:
        client = s.join()
        elsewhere = Path(s.stack)
        good = client.raw.seal(b"\0" + random_packet(40))
        assert s.end.pump.adopt(elsewhere.server, forged(good)) is None
        client.path.to_server(good)
        s.end.settle()
        assert s.end.pump.adopt(elsewhere.server, good) is None
        assert s.end.pump.adopt(elsewhere.server, b"") is None
        client.speak()


def test_a_datagram_that_was_held_up_moves_nothing() -> None:
    with site() as s:
        client = s.join()
        elsewhere = Path(s.stack)
        held = client.raw.seal(b"\0" + random_packet(40))
        client.speak()
        assert s.end.pump.adopt(elsewhere.server, held) is None
        client.path.to_server(held)
        s.end.settle()
        assert len(s.end.packets()) == 1, "late, but where it belongs"


# ---- nobody waits for somebody else -----------------------------------------------------------------------------


@contextmanager
def asking(s: Site, times: int) -> Iterator[None]:
    """A client that has asked so often whether the server is alive, and heard nothing yet."""
    with ExitStack() as stack:
        ours, theirs = udp_pair(stack)
        server, client = shake_over(ours, theirs, SUITES["aes256"])
        stack.callback(client.close)
        s.end.pump.attach(server)
        raw = RawClient(client)
        for _ in range(times):
            theirs.send(raw.seal(bytes([DPD])))
        yield


def test_a_client_that_asks_without_end_does_not_stop_the_clock() -> None:
    with site() as s, asking(s, 120):
        events = [s.end.pump.run(time.monotonic()) for _ in range(40)]
        assert Deadline() in events
        assert Frame(DPD, b"", 0) in events


def test_a_client_that_asks_without_end_lets_others_speak() -> None:
    with site() as s, asking(s, 120), ExitStack() as stack:
        here, there = socket.socketpair()
        stack.enter_context(here)
        stack.enter_context(there)
        s.end.pump.watch([here.fileno()])
        there.send(b"!")
        assert Readable(here.fileno()) in [s.end.run() for _ in range(40)]


def test_a_client_that_asks_without_end_is_sent_what_comes_for_it() -> None:
    with site() as s, asking(s, 120):
        down = random_packet(100)
        s.end.run()
        s.end.feed(down)
        events = [s.end.run() for _ in range(40)]
        assert set(events) == {Frame(DPD, b"", 0)}
        assert s.end.pump.traffic.tx_packets == 1


# ---- nothing is lost where something is full --------------------------------------------------------------------


SPARED = 600
"""Bytes of a packet that is too small to be shed from a queue that stands, as it does here."""


def test_a_full_datagram_socket_is_waited_for() -> None:
    with site() as s:
        client = s.join()
        client.speak()
        packets = [random_packet(SPARED - i % 7) for i in range(600)]
        sent = 0
        got: list[bytes] = []
        while len(got) < len(packets):
            with contextlib.suppress(BlockingIOError):
                while sent < len(packets):
                    s.end.feed(packets[sent])
                    sent += 1
            s.end.settle()
            if sent == len(packets) or s.end.pump._pump.udp_full:
                got += client.heard()
        assert got == [b"\0" + packet for packet in packets]
        assert s.end.pump.dropped == Dropped()
        assert s.end.pump.traffic.tx_packets == 600
        assert s.end.pump.traffic.tx_bytes == sum(map(len, packets))


def stuff(s: Site, client: Client, packet: bytes) -> int:
    """As many as the way to the client takes, and the rest of them waits on the TUN; how many."""
    client.speak()
    client.path.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    fed = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            s.end.feed(packet)
            fed += 1
    s.end.settle()
    assert s.end.pump._pump.udp_full
    return fed


@pytest.mark.parametrize(
    ("packet", "shed"),
    [
        (Tcp().on(Ip(), bytes(1000)), True),
        (udp(Ip(), bytes(1000)), True),
        (udp(Ip(), bytes(1000), (40000, 5004)), False),
        (Tcp().on(Ip(), bytes(100)), False),
    ],
    ids=["tcp", "quic", "a call", "a small one"],
)
def test_a_queue_that_stands_loses_of_what_slows_down(packet: bytes, *, shed: bool) -> None:
    with site() as s:
        client = s.join()
        fed = stuff(s, client, packet)
        assert s.end.run(2 * lib.OC_QUEUE_PATIENCE) == Deadline()
        while client.heard():
            s.end.settle()
        dropped = s.end.pump.dropped
        assert (dropped.shed > 0, dropped.total) == (shed, dropped.shed)
        assert s.end.pump.traffic.tx_packets == fed - dropped.shed


def test_time_without_a_processor_is_not_the_queue_s() -> None:
    with site() as s:
        client = s.join()
        stuff(s, client, Tcp().on(Ip(), bytes(1000)))
        sheds_at = s.end.pump._pump.queue.next
        time.sleep(2 * lib.OC_QUEUE_PATIENCE)  # what a scheduler does where others want the processor
        s.end.settle()
        assert s.end.pump._pump.queue.next - sheds_at >= 2 * lib.OC_QUEUE_PATIENCE


def test_a_session_that_goes_while_its_socket_is_full_hands_the_rest_to_tls() -> None:
    with site() as s:
        client = s.join()
        client.speak()
        packets = [random_packet(SPARED) for _ in range(600)]
        sent = 0
        for _ in range(30):
            with contextlib.suppress(BlockingIOError):
                while sent < len(packets):
                    s.end.feed(packets[sent])
                    sent += 1
            s.end.settle()
        assert s.end.pump._pump.udp_full
        s.end.pump.detach(client.slot)
        s.end.settle()
        by_dtls, lost = len(client.heard()), s.end.pump.dropped.lost
        assert 0 < lost <= lib.OC_BATCH_COUNT
        first = s.from_tls()
        assert first == frame(DATA, packets[by_dtls + lost])


@pytest.mark.parametrize("by", ["tls", "dtls"])
def test_a_full_tun_is_waited_for(by: str) -> None:
    with site(PumpOptions(networks=OURS)) as s:
        client = s.join()
        s.end.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        packets = [udp(Ip(), bytes([i]) * 900) for i in range(60)]
        got: list[bytes] = []
        for at in range(0, 60, 20):
            for packet in packets[at : at + 20]:
                if by == "tls":
                    s.by_tls(packet)
                else:
                    client.send(DATA, packet)
            s.end.settle()
            while more := s.end.packets():
                got += more
                s.end.settle()
        assert got == packets
        assert s.end.pump.traffic.rx_packets == 60


def test_datagrams_that_the_path_does_not_carry_are_told_and_the_next_goes() -> None:
    with site(replace(PLAIN, discover_mtu=True), mtu=16000) as s:
        client = s.join()
        client.speak()
        client.path.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        # The second ends the batch of the first; the third is at hand when that batch is refused.
        s.end.feed(random_packet(15000), random_packet(100), last := random_packet(100))
        assert s.end.run() == TooBig(None)
        s.end.settle()
        assert client.heard() == [b"\0" + last]
        assert s.end.pump.dropped == Dropped(lost=2)
        assert s.end.pump.traffic.tx_packets == 3
        assert s.active() == client.slot


# ---- limits -----------------------------------------------------------------------------------------------------


def fill(limit: CData) -> None:
    """As after a long rest; at a byte a second nothing is added while a test runs."""
    limit.level, limit.last = 32768, time.monotonic()


def test_what_comes_faster_than_it_may_is_dropped() -> None:
    with site(PumpOptions(rx_per_sec=1)) as s:
        client = s.join()
        fill(s.end.pump._pump.rx_limit)
        for _ in range(40):
            client.send(DATA, random_packet(1000))
        s.end.settle()
        assert s.end.pump.dropped == Dropped(limited=8)
        assert s.end.pump.traffic.rx_packets == 32


@pytest.mark.parametrize("by", ["tls", "dtls"])
def test_what_goes_faster_than_it_may_is_dropped(by: str) -> None:
    with site(PumpOptions(tx_per_sec=1)) as s:
        client = s.join()
        fill(s.end.pump._pump.tx_limit)
        if by == "dtls":
            client.speak()
        for _ in range(40):
            s.end.feed(random_packet(1000))
            s.end.settle()
        assert s.end.pump.dropped == Dropped(limited=8)
        assert s.end.pump.traffic.tx_packets == 32


def test_other_rates_hold_at_once_in_their_direction() -> None:
    with site() as s:
        client = s.join()
        client.speak()
        limits = s.end.pump._pump.rx_limit, s.end.pump._pump.tx_limit
        for rates, limit in zip(((1, 0), (0, 1)), limits, strict=True):
            before = s.end.pump.dropped.limited, s.end.pump.traffic
            s.end.pump.limit(*rates)
            fill(limit)
            for _ in range(40):
                client.send(DATA, random_packet(1000))
                s.end.feed(random_packet(1000))
                s.end.settle()
            after = s.end.pump.traffic
            passed = after.rx_packets - before[1].rx_packets, after.tx_packets - before[1].tx_packets
            assert s.end.pump.dropped.limited - before[0] == 8
            assert passed == ((32, 40) if limit is limits[0] else (40, 32))


# ---- statistics -------------------------------------------------------------------------------------------------


def test_the_time_that_packets_are_here_is_measured_in_sets() -> None:
    with site(PumpOptions(latency=True)) as s, ExitStack() as stack:
        ours, theirs = udp_pair(stack)
        server, client_session = shake_over(ours, theirs, SUITES["aes256"])
        s.end.pump.attach(server)
        client = RawClient(client_session)
        for _ in range(103):
            for _ in range(20):
                theirs.send(client.seal(b"\0" + random_packet(100)))
            s.end.settle()
            assert len(s.end.packets()) == 20
        latency = s.end.pump.latency
        assert latency.sets == 2
        assert 0 < latency.median_total < 2e6
        assert 0 < latency.mean_total < 2e6
        client_session.close()


def test_unasked_nothing_is_measured() -> None:
    with site() as s:
        client = s.join()
        client.send(DATA, random_packet(100))
        s.end.settle()
        assert s.end.pump.latency.sets == 0


def test_the_last_word_by_dtls_is_remembered() -> None:
    with site() as s:
        client = s.join()
        before = time.monotonic()
        client.speak()
        assert client.server.last_rx > before
