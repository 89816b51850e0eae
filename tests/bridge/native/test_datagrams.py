"""native/datagrams.c over loopback: every way to send and receive, and each refusal of the kernel's for real."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from ocserv_core.bridge._native import ffi, lib

from ...system.forked import in_child
from ..peers import LIMIT
from ..refusals import NUMBERS, refuse

SEGMENT, MANY, SINGLE = lib.OC_SEGMENT, lib.OC_MANY, lib.OC_SINGLE
WAYS = pytest.mark.parametrize("way", [SEGMENT, MANY, SINGLE], ids=["segment", "many", "single"])
FAMILIES = pytest.mark.parametrize("host", ["127.0.0.1", "::1"], ids=["ipv4", "ipv6"])
REFUSAL = pytest.mark.skipif(not NUMBERS, reason="needs the numbers of this machine's system calls")

SO_NO_CHECK = 11
UDP_GRO = 104


@contextmanager
def pair(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two UDP sockets that are connected to each other."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as ours, socket.socket(family, socket.SOCK_DGRAM) as theirs:
        ours.bind((host, 0))
        theirs.bind((host, 0))
        ours.connect(theirs.getsockname())
        theirs.connect(ours.getsockname())
        theirs.settimeout(LIMIT)
        yield ours, theirs


class Batch:
    """What is sent in one call."""

    def __init__(self, way: int = SEGMENT) -> None:
        self._memory = ffi.new("uint8_t[]", lib.OC_DATAGRAM_MAX + 1)
        self.native = ffi.new("struct oc_batch *")
        self.native.data, self.native.way = self._memory, way
        self._lost = ffi.new("uint64_t *")

    def fits(self, n: int) -> bool:
        return bool(lib.oc_batch_fits(self.native, n))

    def add(self, *datagrams: bytes) -> None:
        for one in datagrams:
            assert self.fits(len(one))
            ffi.buffer(self._memory, lib.OC_DATAGRAM_MAX)[self.native.size : self.native.size + len(one)] = one
            lib.oc_batch_add(self.native, len(one))

    def send(self, sock: socket.socket) -> int:
        """0, or an errno."""
        return int(lib.oc_batch_send(self.native, sock.fileno(), self._lost))

    @property
    def way(self) -> int:
        return int(self.native.way)

    @property
    def lost(self) -> int:
        return int(self._lost[0])


class Received:
    """What was received in one call."""

    def __init__(self, way: int = SEGMENT) -> None:
        self._memory = ffi.new("uint8_t[]", lib.OC_RECEIVED_SIZE)
        self.native = ffi.new("struct oc_received *")
        lib.oc_received_open(self.native, self._memory)
        self.native.way = way
        self.stamps: list[int] = []

    def receive(self, sock: socket.socket) -> int:
        """How many messages, 0 for none now, or minus an errno."""
        return int(lib.oc_receive(self.native, sock.fileno()))

    def take(self) -> Iterator[bytes]:
        n, stamp = ffi.new("size_t *"), ffi.new("uint64_t *")
        while (at := lib.oc_received_next(self.native, n, stamp)) != ffi.NULL:
            self.stamps.append(stamp[0])
            yield bytes(ffi.buffer(at, n[0]))

    def all_of(self, sock: socket.socket) -> list[bytes]:
        found: list[bytes] = []
        while self.receive(sock) > 0:
            found += self.take()
        return found


def numbered(sizes: Iterable[int]) -> list[bytes]:
    return [bytes([i % 256]) * size for i, size in enumerate(sizes)]


# ---- what is in a batch -----------------------------------------------------------------------------------------


def test_datagrams_of_one_size_fit_and_a_shorter_one_ends_the_batch() -> None:
    batch = Batch()
    batch.add(bytes(100), bytes(100))
    assert not batch.fits(101)
    batch.add(bytes(99))
    assert not batch.fits(99)
    lib.oc_batch_clear(batch.native)
    assert batch.fits(1400)


def test_a_batch_holds_what_the_kernel_takes_at_once() -> None:
    batch = Batch()
    batch.add(*[bytes(1)] * lib.OC_BATCH_COUNT)
    assert not batch.fits(1)
    batch = Batch()
    batch.add(*[bytes(1472)] * 44)
    assert not batch.fits(1472)
    assert batch.fits(65507 - 44 * 1472)


def test_the_first_always_fits() -> None:
    assert Batch().fits(lib.OC_DATAGRAM_MAX)


# ---- sending ----------------------------------------------------------------------------------------------------


@WAYS
@FAMILIES
def test_each_way_sends_the_same(way: int, host: str) -> None:
    with pair(host) as (ours, theirs):
        batch = Batch(way)
        for sizes in ([1000] * 44, [500] * 9 + [3], [1400], [70] * 64):
            datagrams = numbered(sizes)
            batch.add(*datagrams)
            assert batch.send(ours) == 0
            assert [theirs.recv(65535) for _ in datagrams] == datagrams
        assert (batch.way, batch.lost) == (way, 0)


def test_a_socket_that_has_no_checksums_is_sent_to_without_segmentation() -> None:
    with pair() as (ours, theirs):
        ours.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        batch = Batch()
        batch.add(*numbered([100] * 5))
        assert batch.send(ours) == 0
        assert [theirs.recv(200) for _ in range(5)] == numbered([100] * 5)
        assert (batch.way, batch.lost) == (MANY, 0)


@REFUSAL
def test_where_sendmmsg_is_refused_too_each_goes_alone() -> None:
    def child() -> list[int]:
        with pair() as (ours, theirs):
            ours.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
            refuse(errno.ENOSYS, "sendmmsg")
            batch = Batch()
            batch.add(*numbered([100] * 5))
            code = batch.send(ours)
            arrived = sum(theirs.recv(200) == one for one in numbered([100] * 5))
            return [code, arrived, batch.way, batch.lost]

    assert in_child(child) == [0, 5, SINGLE, 0]


@REFUSAL
def test_a_firewall_s_word_about_some_datagrams_is_not_the_kernel_s_about_all() -> None:
    def child() -> list[int]:
        with pair() as (ours, _):
            refuse(errno.EPERM, "sendmmsg")
            batch = Batch(MANY)
            batch.add(*numbered([100] * 5))
            return [batch.send(ours), batch.way, batch.lost]

    assert in_child(child) == [errno.EPERM, MANY, 5]


@pytest.mark.parametrize("way", [MANY, SINGLE], ids=["many", "single"])
def test_a_full_socket_keeps_the_rest_for_later(way: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        batch = Batch(way)
        sent: list[bytes] = []
        got: list[bytes] = []
        for _ in range(200):
            more = numbered([1000] * 20)
            batch.add(*more)
            sent += more
            if batch.send(ours) == errno.EAGAIN:
                break
        assert 0 < lib.oc_batch_left(batch.native) <= 20
        while (code := batch.send(ours)) == errno.EAGAIN or len(got) < len(sent):
            got.append(theirs.recv(2000))
        assert (code, got, batch.lost) == (0, sent, 0)


@WAYS
def test_datagrams_that_are_too_big_are_lost_and_counted(way: int) -> None:
    with pair() as (ours, theirs):
        ours.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        batch = Batch(way)
        batch.add(bytes(65520))
        assert batch.send(ours) == errno.EMSGSIZE
        assert (batch.lost, batch.native.count) == (1, 0)
        batch.add(b"next")
        assert batch.send(ours) == 0
        assert theirs.recv(100) == b"next"
        assert batch.way == way


@WAYS
def test_nobody_listens_is_told_and_what_was_sent_after_is_not_lost(way: int) -> None:
    with pair() as (ours, theirs):
        address = theirs.getsockname()
        theirs.close()
        batch = Batch(way)
        batch.add(b"unheard")
        assert batch.send(ours) == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(address)
            again.settimeout(LIMIT)
            batch.add(*numbered([10] * 3))
            assert batch.send(ours) == errno.ECONNREFUSED
            assert [again.recv(100) for _ in range(3)] == numbered([10] * 3)
        assert batch.lost == 0


def test_what_no_way_can_send_is_lost_and_counted() -> None:
    with pair() as (ours, _):
        ours.shutdown(socket.SHUT_WR)
        batch = Batch()
        batch.add(*numbered([10] * 3))
        assert batch.send(ours) == errno.EPIPE
        assert batch.lost == 3
        assert batch.way == SEGMENT


# ---- receiving --------------------------------------------------------------------------------------------------


@WAYS
@FAMILIES
def test_each_way_receives_the_same(way: int, host: str) -> None:
    with pair(host) as (ours, theirs):
        lib.oc_received_ask(ours.fileno(), 0)
        datagrams = numbered([100] * 40 + [1400, 3, 65000])
        for one in datagrams:
            theirs.send(one)
        assert Received(way).all_of(ours) == datagrams


def test_datagrams_that_the_kernel_merged_come_apart() -> None:
    with pair() as (ours, theirs):
        lib.oc_received_ask(ours.fileno(), 0)
        batch = Batch(SEGMENT)
        batch.add(*numbered([1000] * 30 + [7]))
        batch.send(theirs)
        received = Received()
        assert received.receive(ours) == 1
        assert list(received.take()) == numbered([1000] * 30 + [7])


def test_empty_datagrams_are_nothing() -> None:
    with pair() as (ours, theirs):
        for one in (b"", b"a", b"", b"", b"b", b""):
            theirs.send(one)
        assert Received().all_of(ours) == [b"a", b"b"]


def test_stamps_are_of_the_wall_clock() -> None:
    with pair() as (ours, theirs):
        lib.oc_received_ask(ours.fileno(), 1)
        before = time.time_ns()
        theirs.send(b"x")
        received = Received()
        assert received.all_of(ours) == [b"x"]
        assert before <= received.stamps[0] <= time.time_ns()


def test_unasked_there_are_no_stamps() -> None:
    with pair() as (ours, theirs):
        lib.oc_received_ask(ours.fileno(), 0)
        theirs.send(b"x")
        received = Received()
        assert received.all_of(ours) == [b"x"]
        assert received.stamps == [0]


@WAYS
def test_nothing_there_is_no_error(way: int) -> None:
    with pair() as (ours, _):
        assert Received(way).receive(ours) == 0


@WAYS
def test_an_error_of_the_socket_is_told(way: int) -> None:
    with pair() as (ours, theirs):
        theirs.close()
        ours.send(b"unheard")
        received = Received(way)
        assert received.receive(ours) == -errno.ECONNREFUSED
        assert received.receive(ours) == 0
        assert received.native.way == way


@REFUSAL
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM], ids=["unknown", "forbidden"])
def test_where_recvmmsg_is_refused_each_comes_alone(error: int) -> None:
    def child() -> list[int]:
        with pair() as (ours, theirs):
            refuse(error, "recvmmsg")
            for one in numbered([10] * 5):
                theirs.send(one)
            received = Received()
            arrived = received.all_of(ours)
            return [arrived == numbered([10] * 5), received.native.way]

    assert in_child(child) == [True, SINGLE]


@REFUSAL
def test_where_setsockopt_is_refused_datagrams_come_unmerged_and_unstamped() -> None:
    def child() -> list[object]:
        with pair() as (ours, theirs):
            refuse(errno.EPERM, "setsockopt")
            lib.oc_received_ask(ours.fileno(), 1)
            batch = Batch(SEGMENT)
            batch.add(*numbered([100] * 5))
            batch.send(theirs)
            received = Received()
            arrived = received.all_of(ours)
            return [arrived == numbered([100] * 5), received.stamps, ours.getsockopt(socket.IPPROTO_UDP, UDP_GRO)]

    assert in_child(child) == [True, [0] * 5, 0]


def test_one_can_be_put_there() -> None:
    received = Received()
    lib.oc_received_put(received.native, b"datagram", 8)
    assert list(received.take()) == [b"datagram"]
