"""The table of workers, with processes that are only these tests: what a worker says, does, and leaves behind."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import PeerViolation
from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.messages import (
    AuthCookieRequest,
    ClientAddress,
    DtlsEstablished,
    FromMainToWorker,
    LatencyStats,
    Message,
    ResumeDelete,
    ResumeFetch,
    ResumeReply,
    ResumeStore,
    SecmodAttach,
    SessionInfo,
    Sign,
    Spawn,
    Terminate,
    TunMtu,
    UdpVerdict,
    WorkerAttach,
)
from ocserv_core.main import workers as workers_module
from ocserv_core.main.latency import ServerLatency
from ocserv_core.main.nursery import Nurseries
from ocserv_core.main.records import ConnectionState, TunnelRecord, WorkerRecord
from ocserv_core.main.requests import Requests
from ocserv_core.main.searcher import Searcher
from ocserv_core.main.secmod import Secmod
from ocserv_core.main.workers import Workers
from ocserv_core.model import ClientInfo, Cookie, DisconnectReason, Endpoint, Lease, SessionId, Traffic
from ocserv_core.state.associations import Associations
from ocserv_core.state.latency import LatencyTotals
from ocserv_core.state.resumption import ResumptionCache
from ocserv_core.system.memfd import COUNTERS, map_page
from ocserv_core.system.sockets import Accepted
from tests.config.texts import config
from tests.ipc.pairs import open_descriptors, settled_descriptors
from tests.loop import on_loop, turn, until

ASKS = AuthCookieRequest("default", Cookie("c"), ClientInfo(), True, True)
INFO = SessionInfo("suite", 1400, ClientInfo("agent"))
ORDER = Terminate(DisconnectReason.SERVER, "the end")
MEASURED = LatencyStats(LatencyTotals(10.0, 12.0, 2.0, 1))
CONFIG = config("latency-stats = true\n[vhost:b.example]\n")
HERE, CLIENT = Endpoint("192.0.2.1", 443), Endpoint("192.0.2.7", 40000)


class FakeNursery:
    """Keeps what it is to fork a worker from."""

    def __init__(self) -> None:
        self.generation = 1
        self.proxied = False
        self.spawned: list[tuple[Spawn, list[socket.socket], int]] = []
        self.retired: list[int] = []
        self.crashed: list[int] = []

    def spawn(self, message: Spawn, fds: list[int]) -> None:
        connection, main, secmod = (socket.socket(fileno=os.dup(fd)) for fd in fds[:3])
        self.spawned.append((message, [connection, main, secmod], os.dup(fds[3])))

    async def retire(self, generation: int) -> None:
        self.retired.append(generation)

    def on_crash(self, generation: int) -> None:
        self.crashed.append(generation)


class FakeSecmod:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.attached: list[Message] = []

    def attach(self, message: Message, _fd: int) -> None:
        self.attached.append(message)


class FakeSessions:
    """Opens no tunnel, but says that it was asked to."""

    def __init__(self) -> None:
        self.opened: list[WorkerRecord] = []
        self.mtus: list[int] = []

    def start_open(self, worker: WorkerRecord, _request: AuthCookieRequest) -> None:
        self.opened.append(worker)

    def start_set_mtu(self, _worker: WorkerRecord, mtu: int) -> None:
        self.mtus.append(mtu)


class FakeLatency:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.reports: list[LatencyTotals] = []

    def add(self, totals: LatencyTotals) -> None:
        self.reports.append(totals)


class FakeWorker:
    """A worker's ends."""

    def __init__(self, spawn: Spawn, sockets: list[socket.socket], page: int) -> None:
        self.number = spawn.worker
        self.sockets = sockets
        self.main = Channel[FromMainToWorker](sockets[1], FromMainToWorker, trusted=True)
        self.page = map_page(page, writable=True)
        os.close(page)

    def count(self, traffic: Traffic) -> None:
        COUNTERS.pack_into(self.page, 0, traffic.rx_bytes, traffic.tx_bytes, traffic.rx_packets, traffic.tx_packets)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.page.close()


class House:
    """main's table of workers, and all that it touches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.killed: list[int] = []
        monkeypatch.setattr(signal, "pidfd_send_signal", self._kill)
        self.nursery, self.secmod, self.sessions = FakeNursery(), FakeSecmod(), FakeSessions()
        self.resumption = ResumptionCache(8, 300.0)
        self.associations = Associations()
        self.searcher = Searcher(self.associations, lambda: self.workers)
        self.ended: list[tuple[WorkerRecord, Traffic]] = []
        self.config, self.latency = CONFIG, FakeLatency()
        sessions: Any = self.sessions
        latency = cast("ServerLatency", self.latency)
        searcher: Any = self.searcher
        requests = Requests(sessions, self.resumption, lambda: self.workers, lambda: self.config, latency, searcher)
        nursery, secmod = cast("Nurseries", self.nursery), cast("Secmod", self.secmod)
        self.workers: Workers = Workers(nursery, secmod, requests.new_gate, self._on_end, self._refuses)
        self.asked_about: list[tuple[Endpoint, Endpoint]] = []
        self.refused = False
        self.relayed = False
        self.fakes: list[FakeWorker] = []

    def _refuses(self, remote: Endpoint, local: Endpoint, relayed: bool) -> bool:
        self.relayed = relayed
        self.asked_about.append((remote, local))
        return self.refused

    def _on_end(self, record: WorkerRecord, traffic: Traffic) -> None:
        self.ended.append((record, traffic))

    def _kill(self, pidfd: int, number: signal.Signals) -> None:
        assert number is signal.SIGKILL
        self.killed.append(int(os.pread(pidfd, 20, 0)))

    def on_spawned(self, generation: int, number: int, pid: int) -> None:
        """What a nursery says; a file that names the pid takes the pidfd's place."""
        pidfd = os.memfd_create("pidfd")
        os.write(pidfd, str(pid).encode())
        try:
            self.workers.on_spawned(generation, number, pid, pidfd)
        except PeerViolation:
            os.close(pidfd)
            raise

    def spawn(self, *, pid: int = 0) -> tuple[WorkerRecord, FakeWorker]:
        """A connection, and the worker that is forked for it (with a pid: the nursery has said so)."""
        ours, theirs = socket.socketpair()
        theirs.close()
        self.workers.spawn(Accepted(ours, CLIENT, HERE))
        worker = FakeWorker(*self.nursery.spawned[-1])
        self.fakes.append(worker)
        record = self.workers.records[worker.number]
        if pid:
            self.on_spawned(1, worker.number, pid)
        return record, worker

    def tunnel(self, record: WorkerRecord, sid: str = "sid") -> None:
        record.sid = SessionId(sid)
        record.sid = SessionId(sid)
        record.tunnel = TunnelRecord(SessionId(sid), "alice", "", Lease(), "vpns0", 5, 0.0, SessionConfig(mtu=1400))
        self.workers.phase(record, ConnectionState.TUNNEL)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(monkeypatch)
    yield made
    for worker in made.fakes:
        worker.close()


async def cut_off(house: House, record: WorkerRecord) -> None:
    """Wait for the end of a worker that broke its permits."""
    await until(lambda: house.killed)
    assert (house.killed, record.reason) == ([record.pid], DisconnectReason.ERROR)
    house.workers.on_exited(1, record.pid, -9)


def test_a_connection_becomes_a_worker_that_secmod_knows(house: House) -> None:
    async def dialogue() -> None:
        record, _ = house.spawn(pid=100)
        assert house.nursery.spawned[0][0] == Spawn(record.number, CLIENT, HERE)
        assert house.secmod.attached == [WorkerAttach(record.number, CLIENT, HERE)]
        assert (record.pid, record.state) == (100, ConnectionState.PRE_AUTH)
        house.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


TELLS = ClientAddress(Endpoint("203.0.113.7", 51234), Endpoint("192.0.2.2", 443))


@pytest.fixture
def front(house: House) -> House:
    """Behind a balancer."""
    house.nursery.proxied = True
    return house


def test_behind_a_balancer_secmod_hears_of_a_worker_when_its_client_is_known(front: House) -> None:
    async def dialogue() -> None:
        record, worker = front.spawn(pid=100)
        assert (front.secmod.attached, front.asked_about) == ([], [])
        worker.main.send(TELLS)
        await until(lambda: front.secmod.attached)
        assert front.secmod.attached == [WorkerAttach(record.number, TELLS.remote, TELLS.local)]
        assert front.asked_about == [(TELLS.remote, TELLS.local)]
        assert (record.remote, record.local, record.state) == (TELLS.remote, TELLS.local, ConnectionState.PRE_AUTH)
        front.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


@pytest.mark.parametrize(("told", "relayed"), [(TELLS, True), (ClientAddress(CLIENT, HERE), False)])
def test_a_balancer_s_own_connection_is_told_from_those_of_its_clients(
    front: House, told: ClientAddress, relayed: bool
) -> None:
    async def dialogue() -> None:
        record, worker = front.spawn(pid=100)
        assert record.remote == CLIENT
        worker.main.send(told)
        await until(lambda: front.secmod.attached)
        assert front.relayed is relayed
        front.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


def test_one_that_waits_for_its_header_is_ended_without_a_word(front: House) -> None:
    async def dialogue() -> None:
        record, _worker = front.spawn(pid=100)
        end = asyncio.create_task(front.workers.end(record, ORDER))
        await until(lambda: front.killed)
        front.workers.on_exited(1, 100, -9)
        await end

    on_loop(dialogue())


def test_a_client_that_is_not_served_is_ended_when_it_is_known(front: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def dialogue() -> None:
        front.refused = True
        record, worker = front.spawn(pid=100)
        worker.main.send(TELLS)
        await until(lambda: front.killed)
        assert (front.killed, record.state, front.secmod.attached) == ([100], ConnectionState.ENDED, [])
        assert record.reason is DisconnectReason.UNSPECIFIED
        front.workers.on_exited(1, 100, -9)
        assert caplog.messages == []  # whoever refuses says why

    on_loop(dialogue())


def test_one_that_is_refused_before_the_nursery_has_named_it_is_killed_then(front: House) -> None:
    async def dialogue() -> None:
        front.refused = True
        record, worker = front.spawn()
        worker.main.send(TELLS)
        await until(lambda: record.state is ConnectionState.ENDED)
        front.on_spawned(1, record.number, 100)
        assert front.killed == [100]
        front.workers.on_exited(1, 100, -9)

    on_loop(dialogue())


@pytest.mark.parametrize("early", [ASKS, ResumeFetch("default", b"id"), INFO])
def test_before_the_address_nothing_else_is_said(front: House, early: Message) -> None:
    async def dialogue() -> None:
        record, worker = front.spawn(pid=100)
        worker.main.send(early)
        await cut_off(front, record)

    on_loop(dialogue())


def test_an_address_is_told_once(front: House) -> None:
    async def dialogue() -> None:
        record, worker = front.spawn(pid=100)
        worker.main.send(TELLS)
        worker.main.send(TELLS)
        await cut_off(front, record)

    on_loop(dialogue())


def test_where_there_is_no_balancer_no_address_is_told(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.main.send(TELLS)
        await cut_off(house, record)
        assert record.remote == CLIENT

    on_loop(dialogue())


@pytest.mark.parametrize(
    "end",
    [
        Endpoint("localhost", 1),
        Endpoint("", 1),
        Endpoint("2001:DB8::7", 1),
        Endpoint("fe80::1%eth0", 1),
        Endpoint("203.0.113.7", 65536),
        Endpoint("203.0.113.7", -1),
    ],
)
def test_an_address_is_one(front: House, end: Endpoint) -> None:
    async def dialogue() -> None:
        record, worker = front.spawn(pid=100)
        worker.main.send(ClientAddress(end, HERE))
        await cut_off(front, record)
        assert record.remote == CLIENT

    on_loop(dialogue())


def test_a_new_secmod_hears_of_it_when_its_client_is_known(front: House) -> None:
    async def dialogue() -> None:
        record, worker = front.spawn(pid=100)
        front.workers.attach_all()
        assert front.secmod.attached == []
        worker.main.send(TELLS)
        await until(lambda: front.secmod.attached)
        front.workers.attach_all()
        assert len(front.secmod.attached) == 2
        assert isinstance(worker.main.receive(1.0).message, SecmodAttach)
        front.workers.on_exited(1, record.pid, 0)

    on_loop(dialogue())


@pytest.mark.parametrize("proxied", [True, False])
def test_a_worker_and_its_end_leave_no_descriptor(house: House, proxied: bool) -> None:
    house.nursery.proxied = proxied

    async def dialogue() -> None:
        house.spawn(pid=100)
        house.workers.on_exited(1, 100, 0)
        house.fakes.pop().close()

    on_loop(dialogue())
    before = settled_descriptors()
    on_loop(dialogue())
    assert open_descriptors() == before


@pytest.mark.parametrize(("generation", "number"), [(2, 1), (1, 9)])
def test_a_nursery_cannot_name_a_worker_that_it_was_not_asked_for(house: House, generation: int, number: int) -> None:
    async def dialogue() -> None:
        house.spawn()
        with pytest.raises(PeerViolation):
            house.on_spawned(generation, number, 100)
        house.workers.on_spawn_failed(1, "")

    on_loop(dialogue())


def test_a_nursery_cannot_name_a_worker_twice(house: House) -> None:
    async def dialogue() -> None:
        record, _ = house.spawn(pid=100)
        with pytest.raises(PeerViolation):
            house.on_spawned(1, record.number, 1)
        house.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


def test_traffic_is_exact_after_any_death(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.count(Traffic(1, 2, 3, 4))
        assert house.workers.traffic(record) == Traffic(1, 2, 3, 4)
        worker.count(Traffic(5, 6, 7, 8))
        house.workers.on_exited(1, 100, -9)
        assert house.ended == [(record, Traffic(5, 6, 7, 8))]

    on_loop(dialogue())


def test_an_end_is_told_once(house: House) -> None:
    async def dialogue() -> None:
        house.spawn(pid=100)
        house.workers.on_exited(1, 100, 0)
        house.workers.on_exited(1, 100, 0)
        house.workers.on_orphans(1)
        assert len(house.ended) == 1

    on_loop(dialogue())


def test_a_worker_that_could_not_be_forked_is_gone(house: House) -> None:
    async def dialogue() -> None:
        house.spawn()
        house.workers.on_spawn_failed(1, "fork: Cannot allocate memory")
        assert (len(house.ended), house.workers.records) == (1, {})

    on_loop(dialogue())


# ---- permits


def test_a_cookie_is_asked_for_once(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.main.send(ASKS)
        await until(lambda: house.sessions.opened)
        worker.main.send(ASKS)
        await cut_off(house, record)
        assert len(house.sessions.opened) == 1

    on_loop(dialogue())


@pytest.mark.parametrize("message", [INFO, TunMtu(1400), MEASURED, DtlsEstablished(), UdpVerdict(1, opened=True)])
def test_what_belongs_to_a_tunnel_is_not_permitted_before_it(house: House, message: Message) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.main.send(message)
        await cut_off(house, record)

    on_loop(dialogue())


@pytest.mark.parametrize("message", [ASKS, ResumeFetch("default", b"id"), ResumeStore("default", b"id", b"data")])
def test_what_belongs_to_a_login_is_not_permitted_in_the_tunnel(house: House, message: Message) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        worker.main.send(message)
        await cut_off(house, record)

    on_loop(dialogue())


@pytest.mark.parametrize("mtu", [0, 67, 1401, -1, 2**31])
def test_an_mtu_out_of_range_cuts_off(house: House, mtu: int) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        worker.main.send(TunMtu(mtu))
        await cut_off(house, record)
        assert house.sessions.mtus == []

    on_loop(dialogue())


def test_an_mtu_is_followed(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        worker.main.send(TunMtu(1300))
        await until(lambda: house.sessions.mtus)
        house.workers.on_exited(1, 100, 0)
        assert house.sessions.mtus == [1300]

    on_loop(dialogue())


def test_latency_is_added_up(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        worker.main.send(MEASURED)
        await until(lambda: house.latency.reports)
        house.workers.on_exited(1, 100, 0)
        assert house.latency.reports == [MEASURED.totals]

    on_loop(dialogue())


@pytest.mark.parametrize(
    "totals",
    [
        LatencyTotals(),
        LatencyTotals(math.nan, 12.0, 2.0, 1),
        LatencyTotals(10.0, -1.0, 2.0, 1),
        LatencyTotals(10.0, 12.0, math.inf, 1),
        LatencyTotals(10.0, 5e6, 2.0, 1),
        LatencyTotals(10.0, 12.0, 2.0, 2**40),
    ],
    ids=["no set", "NaN", "negative", "infinite", "too long", "too many"],
)
def test_latency_that_cannot_be_cuts_off(house: House, totals: LatencyTotals) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        worker.main.send(LatencyStats(totals))
        await cut_off(house, record)
        assert house.latency.reports == []

    on_loop(dialogue())


def test_latency_that_nobody_asked_for_cuts_off(house: House) -> None:
    house.config = config("latency-stats = false\n")

    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        worker.main.send(MEASURED)
        await cut_off(house, record)

    on_loop(dialogue())


def test_a_worker_of_before_a_reload_may_have_been_asked_for_its_latency(house: House) -> None:
    house.config = config("latency-stats = false\n")

    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        house.nursery.generation = 2
        worker.main.send(MEASURED)
        await until(lambda: house.latency.reports)
        house.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


@pytest.mark.parametrize("message", [Sign("default", 0, "ED25519", b""), ORDER])
def test_a_message_that_is_not_for_main_cuts_off(house: House, message: Message) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.main.send(message)
        await cut_off(house, record)

    on_loop(dialogue())


def test_a_descriptor_from_a_worker_cuts_off_and_is_closed(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        before = settled_descriptors()
        worker.main.send(ResumeDelete("default", b"id"), [0])
        await cut_off(house, record)
        # main's end of the channel is closed, the page that it had mapped, and the pidfd.
        assert open_descriptors() == before - 3

    on_loop(dialogue())


NOWHERE = [
    AuthCookieRequest("nowhere", Cookie("c"), ClientInfo(), True, True),
    ResumeStore("nowhere", b"id", b"data"),
    ResumeFetch("", b"id"),
    ResumeDelete("nowhere", b"id"),
]


@pytest.mark.parametrize("message", NOWHERE)
def test_a_vhost_that_is_not_there_cuts_off(house: House, message: Message) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.main.send(message)
        await cut_off(house, record)
        assert (house.sessions.opened, len(house.resumption)) == ([], 0)

    on_loop(dialogue())


def test_a_vhost_that_a_reload_removed_is_answered_to_a_worker_of_before(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.nursery.generation = 2
        worker.main.send(NOWHERE[0])
        await until(lambda: house.sessions.opened)
        assert (house.sessions.opened, house.killed) == ([record], [])
        house.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


def test_every_vhost_of_the_configuration_is_one(house: House) -> None:
    async def dialogue() -> None:
        _, worker = house.spawn(pid=100)
        worker.main.send(ResumeStore("b.example", b"id", b"data"))
        await until(lambda: len(house.resumption))
        house.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


def test_what_one_worker_stored_another_of_the_same_client_may_fetch(house: House) -> None:
    async def dialogue() -> None:
        _, first = house.spawn(pid=100)
        _, second = house.spawn(pid=101)
        first.main.send(ResumeStore("default", b"id", b"data"))
        await until(lambda: len(house.resumption))
        second.main.send(ResumeFetch("default", b"id"))
        await turn()
        assert second.main.receive(1).message == ResumeReply(b"data")
        house.workers.on_exited(1, 100, 0)
        house.workers.on_exited(1, 101, 0)

    on_loop(dialogue())


# ---- offers


def test_a_worker_in_its_tunnel_is_offered_something(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        assert not house.workers.offer(record.number, ResumeReply(None), ())
        house.tunnel(record)
        assert house.workers.offer(record.number, ResumeReply(None), ())
        assert worker.main.receive(1).message == ResumeReply(None)
        house.workers.on_exited(1, 100, 0)
        assert not house.workers.offer(record.number, ResumeReply(None), ())

    on_loop(dialogue())


def test_a_worker_that_does_not_read_is_offered_nothing(house: House) -> None:
    async def dialogue() -> None:
        record, _ = house.spawn(pid=100)
        house.tunnel(record)
        offered = [house.workers.offer(record.number, ResumeReply(bytes(40_000)), ()) for _ in range(20)]
        assert (offered[0], offered[-1]) == (True, False)
        house.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


# ---- ends


def test_a_worker_that_secmod_cuts_off_is_killed_in_its_tunnel(house: House) -> None:
    async def dialogue() -> None:
        record, _ = house.spawn(pid=100)
        house.tunnel(record)
        house.workers.cut_off(record.number)
        await cut_off(house, record)

    on_loop(dialogue())


def test_a_worker_that_is_cut_off_before_it_was_forked_is_killed_at_birth(house: House) -> None:
    async def dialogue() -> None:
        record, _ = house.spawn()
        house.workers.cut_off(record.number)
        house.on_spawned(1, record.number, 100)
        await cut_off(house, record)

    on_loop(dialogue())


def test_a_worker_that_is_gone_already_is_nobody_to_cut_off(house: House) -> None:
    house.workers.cut_off(7)
    assert house.killed == []


def test_last_words_that_lie_in_the_channel_are_heard_after_the_end(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record)
        worker.main.send(INFO)
        house.workers.on_exited(1, 100, 0)
        assert (record.info, len(house.ended)) == (INFO, 1)

    on_loop(dialogue())


def test_a_worker_that_closed_its_channel_before_its_end_was_told(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.close()
        house.workers.on_exited(1, 100, 0)
        await turn()
        assert (house.ended, house.killed) == ([(record, Traffic())], [])

    on_loop(dialogue())


def test_a_violation_found_after_the_end_kills_no_pid_that_is_somebody_else_s(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.main.send(TunMtu(1400))
        house.workers.on_exited(1, 100, 0)
        await turn()
        assert (record.reason, house.killed) == (DisconnectReason.ERROR, [])

    on_loop(dialogue())


def test_a_request_that_lies_in_the_channel_at_the_end_opens_no_phase(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        worker.main.send(ASKS)
        house.workers.on_exited(1, 100, 0)
        assert (record.state, len(house.ended)) == (ConnectionState.ENDED, 1)

    on_loop(dialogue())


def test_a_worker_that_does_not_end_after_its_channel_is_killed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "GRACE", 0.01)

    async def dialogue() -> None:
        _, worker = house.spawn(pid=100)
        worker.close()
        await until(lambda: house.killed)
        house.workers.on_exited(1, 100, -9)

    on_loop(dialogue())


def test_a_worker_is_told_to_end_and_awaited(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        ending = asyncio.create_task(house.workers.end(record, ORDER))
        await turn()
        assert worker.main.receive(1).message == ORDER
        house.workers.on_exited(1, 100, 0)
        await ending
        assert (record.reason, house.killed) == (DisconnectReason.SERVER, [])

    on_loop(dialogue())


@pytest.mark.parametrize(("in_tunnel", "level"), [(True, "WARNING"), (False, "INFO")])
def test_a_worker_that_does_not_obey_is_killed(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, in_tunnel: bool, level: str
) -> None:
    """Of those in a handshake anybody can make thousands: they do not fill the log."""
    monkeypatch.setattr(workers_module, "GRACE", 0.01)
    caplog.set_level("INFO")

    async def dialogue() -> None:
        record, _ = house.spawn(pid=100)
        if in_tunnel:
            house.tunnel(record)
        ending = asyncio.create_task(house.workers.end(record, ORDER))
        await until(lambda: house.killed)
        house.workers.on_exited(1, 100, -9)
        await ending
        assert [record.levelname for record in caplog.records if "did not end" in record.message] == [level]

    on_loop(dialogue())


def test_a_worker_that_ended_before_it_was_forked_is_killed_at_birth(house: House) -> None:
    async def dialogue() -> None:
        _, worker = house.spawn()
        worker.close()
        await turn()
        house.on_spawned(1, 1, 100)
        assert house.killed == [100]
        house.workers.on_exited(1, 100, -9)

    on_loop(dialogue())


@pytest.mark.parametrize(("status", "told"), [(-11, True), (-6, True), (-31, True), (-9, False), (1, False)])
def test_a_crash_is_told_and_its_nursery_given_up(
    house: House, status: int, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def dialogue() -> None:
        house.spawn(pid=100)
        house.workers.on_exited(1, 100, status)

    on_loop(dialogue())
    assert ("crashed" in caplog.text) is told
    assert house.nursery.crashed == ([1] if told else [])


def test_the_last_worker_of_an_old_nursery_takes_it_along(house: House) -> None:
    async def dialogue() -> None:
        house.spawn(pid=100)
        house.spawn(pid=101)
        house.nursery.generation = 2
        house.workers.on_exited(1, 100, 0)
        await turn()
        assert house.nursery.retired == []
        house.workers.on_exited(1, 101, 0)
        await turn()
        assert house.nursery.retired == [1]

    on_loop(dialogue())


def test_workers_never_forked_go_with_their_nursery(house: House) -> None:
    async def dialogue() -> None:
        house.spawn()
        house.workers.on_orphans(1)
        assert len(house.ended) == 1

    on_loop(dialogue())


def test_after_a_restart_of_secmod_every_worker_gets_a_channel(house: House) -> None:
    async def dialogue() -> None:
        record, worker = house.spawn(pid=100)
        house.tunnel(record, "sid")
        house.workers.attach_all()
        received = worker.main.receive(1)
        assert (received.message, len(received.fds)) == (SecmodAttach(), 1)
        assert house.secmod.attached[-1] == WorkerAttach(record.number, CLIENT, HERE, SessionId("sid"))
        socket.socket(fileno=received.fds[0]).close()
        house.workers.on_exited(1, 100, 0)

    on_loop(dialogue())


def test_workers_are_found_by_their_session(house: House) -> None:
    async def dialogue() -> None:
        record, _ = house.spawn(pid=100)
        house.spawn(pid=101)
        house.tunnel(record, "sid")
        assert house.workers.of_session(SessionId("sid")) == [record]
        house.workers.on_exited(1, 100, 0)
        house.workers.on_exited(1, 101, 0)

    on_loop(dialogue())
