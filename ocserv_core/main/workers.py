"""The workers: forked by a nursery, known by a record, ended for certain. What a worker asks is in requests.py."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import PeerLost, PeerViolation, SystemFailure
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import FromWorkerToMain, Message, SecmodAttach, Spawn, Terminate, WorkerAttach
from ..ipc.permits import Gate
from ..model import CLIENT_CUT_OFF, DisconnectReason, Endpoint, SessionId, Traffic
from ..system.children import wait_exit
from ..system.memfd import map_page, read_traffic, shared_page
from ..system.sockets import Accepted
from .nursery import Nurseries
from .records import ConnectionState, WorkerRecord
from .secmod import Secmod
from .tasks import Tasks

_log = logging.getLogger(__name__)

GRACE = 3.0
"""Seconds from the end of a worker's channel, or from Terminate, to SIGKILL."""

_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS})


@dataclass(slots=True)
class Handles:
    """What of a worker is no plain data: its channel and permits, the page of its counters, its end, secmod's end of
    their channel until secmod can be told whose it is, and its pidfd (-1 until the nursery has forked)."""

    channel: AsyncChannel[FromWorkerToMain]
    gate: Gate[Callable[[WorkerRecord, Message], None]]
    page: mmap.mmap
    ended: asyncio.Event
    secmod_end: socket.socket | None = None
    pidfd: int = -1


class Workers:
    """The table of connections. `new_gate` gives a worker its permits; `on_end` is called once for each, when
    its process is gone and its traffic final. `refuses` says whether a client that a PROXY header tells of is not
    served, and logs it; it is told whether this is another's connection than the balancer's own."""

    def __init__(
        self,
        nurseries: Nurseries,
        secmod: Secmod,
        new_gate: Callable[[ConnectionState], Gate[Callable[[WorkerRecord, Message], None]]],
        on_end: Callable[[WorkerRecord, Traffic], None],
        refuses: Callable[[Endpoint, Endpoint, bool], bool],
    ) -> None:
        self.records: dict[int, WorkerRecord] = {}
        self._handles: dict[int, Handles] = {}
        self._nurseries = nurseries
        self._secmod = secmod
        self._new_gate = new_gate
        self._on_end = on_end
        self._refuses = refuses
        self._next_number = 1
        self.clients_cut_off = 0
        self.idle = asyncio.Event()
        """Whether there are no connections."""
        self.idle.set()
        self._tasks = Tasks()

    @property
    def generation(self) -> int:
        """The configuration of the workers that are forked now."""
        return self._nurseries.generation

    @property
    def proxied(self) -> bool:
        """Whether those that are forked now read a PROXY header: before that nobody knows whose a connection is."""
        return self._nurseries.proxied

    # ---- birth

    def spawn(self, accepted: Accepted) -> None:
        """Have a worker forked for a connection; secmod is told first, so that the worker finds it ready, or as soon as
        there is a client's address to be told. The connection is ours from now on. SystemFailure where there are no
        descriptors left."""
        number = self._next_number
        self._next_number += 1
        record = WorkerRecord(number, self._nurseries.generation, accepted.remote, accepted.local, accepted=time.time())
        if self.proxied:
            record.state = ConnectionState.FRONT
        with accepted.connection, contextlib.ExitStack() as passed_on, contextlib.ExitStack() as kept:
            try:
                main_end, worker_main = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                kept.enter_context(main_end)
                passed_on.enter_context(worker_main)
                page = shared_page()
                passed_on.callback(os.close, page)
                mapped = kept.enter_context(map_page(page, writable=False))
                secmod_end, worker_secmod = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                kept.enter_context(secmod_end)
                passed_on.enter_context(worker_secmod)
            except OSError as error:
                raise SystemFailure(f"no worker for {accepted.remote}: {error.strerror}") from error
            kept.pop_all()
            fds = [accepted.connection.fileno(), worker_main.fileno(), worker_secmod.fileno(), page]
            self.records[number] = record
            self.idle.clear()
            self._handles[number] = Handles(
                channel=self._open_channel(record, main_end),
                gate=self._new_gate(record.state),
                page=mapped,
                ended=asyncio.Event(),
                secmod_end=secmod_end,
            )
            if record.state is not ConnectionState.FRONT:
                self._introduce(record)
            self._nurseries.spawn(Spawn(number, accepted.remote, accepted.local), fds)

    def on_address(self, record: WorkerRecord, remote: Endpoint, local: Endpoint) -> None:
        """A PROXY header has told where its client is: it is introduced to secmod, or not served."""
        relayed = remote.ip != record.remote.ip
        record.remote, record.local = remote, local
        if self._refuses(remote, local, relayed):
            self._handles[record.number].channel.close()
            self._on_channel_end(record, PeerLost("it is refused"))
            self._kill(record)
            return
        self.phase(record, ConnectionState.PRE_AUTH)
        self._introduce(record)

    def attach_all(self) -> None:
        """secmod was restarted: every worker gets a channel to the new one, but those that keep the end of their
        first."""
        for number, record in self.records.items():
            if record.state not in (ConnectionState.ENDED, ConnectionState.FRONT):
                self._handles[number].secmod_end, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with worker_end:
                    self._introduce(record)
                    self._handles[number].channel.send(SecmodAttach(), [worker_end.fileno()])

    def _introduce(self, record: WorkerRecord) -> None:
        """Give secmod its end of the worker's channel."""
        handles = self._handles[record.number]
        assert handles.secmod_end is not None
        with handles.secmod_end as end:
            self._secmod.attach(WorkerAttach(record.number, record.remote, record.local, record.sid), end.fileno())
        handles.secmod_end = None

    def _open_channel(self, record: WorkerRecord, sock: socket.socket) -> AsyncChannel[FromWorkerToMain]:
        def on_message(message: FromWorkerToMain, fds: list[int]) -> None:
            self._handles[record.number].gate.admit(message, fds)(record, message)

        def on_end(error: PeerLost | PeerViolation) -> None:
            self._on_channel_end(record, error)

        return AsyncChannel(sock, FromWorkerToMain, trusted=False, on_message=on_message, on_end=on_end)

    # ---- use

    def send(self, record: WorkerRecord, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Tell a worker something; one that is gone does not hear it."""
        handles = self._handles.get(record.number)
        if handles is not None:
            handles.channel.send(message, fds)

    def offer(self, number: int, message: Message, fds: tuple[int, ...]) -> bool:
        """Send to a worker what may as well be lost: nothing where it has no tunnel (any more), or does not read,
        for then it would keep our descriptors. Whether it was sent."""
        record = self.records.get(number)
        if record is None or record.state is not ConnectionState.TUNNEL:
            return False
        channel = self._handles[number].channel
        if channel.backlogged:
            return False
        channel.send(message, fds)
        return True

    def traffic(self, record: WorkerRecord) -> Traffic:
        """Its counters as they stand."""
        handles = self._handles.get(record.number)
        return read_traffic(handles.page) if handles is not None else Traffic()

    def phase(self, record: WorkerRecord, state: ConnectionState) -> None:
        """A worker gets on: other messages are permitted from now on."""
        record.state = state
        self._handles[record.number].gate.phase = state

    def of_session(self, sid: SessionId) -> list[WorkerRecord]:
        """The workers that carry a session, or are being opened for it: one, or more while one replaces another."""
        return [record for record in self.records.values() if record.sid == sid]

    def of_generation(self, generation: int) -> int:
        """How many workers a nursery's configuration still has."""
        return sum(1 for record in self.records.values() if record.generation == generation)

    async def end(self, record: WorkerRecord, message: Terminate) -> None:
        """End a worker and wait until it is gone; after GRACE seconds it is killed."""
        handles = self._handles.get(record.number)
        if handles is None:
            return
        if record.reason is DisconnectReason.UNSPECIFIED:
            record.reason = message.reason
        if record.state is ConnectionState.FRONT:
            # It hears nothing but its balancer, and has no client yet that could be told.
            self._kill(record)
        handles.channel.send(message)
        try:
            async with asyncio.timeout(GRACE):
                await handles.ended.wait()
        except TimeoutError:
            # One in the middle of a handshake hears only its client, of whom there may be thousands.
            level = logging.INFO if record.tunnel is None else logging.WARNING
            _log.log(level, "worker %d did not end when told, it is killed", record.pid)
            self._kill(record)
            await handles.ended.wait()

    async def gone(self, record: WorkerRecord) -> None:
        """Wait until its process is gone."""
        handles = self._handles.get(record.number)
        if handles is not None:
            await handles.ended.wait()

    def cut_off(self, number: int) -> None:
        """It broke its permits at secmod: it is killed, and its tunnel ends with it."""
        record = self.records.get(number)
        if record is not None:
            self._handles[number].channel.close()
            self._on_channel_end(record, PeerViolation("secmod has cut it off"))

    def kill_all(self) -> None:
        """At the end of main: nothing may be left behind."""
        for record in self.records.values():
            self._kill(record)

    # ---- end

    def on_spawned(self, generation: int, number: int, pid: int, pidfd: int) -> None:
        """The nursery has forked it."""
        record = self.records.get(number)
        if record is None or record.generation != generation or record.pid:
            raise PeerViolation(f"Spawned names a worker ({number}) that was not asked for")
        record.pid = pid
        self._handles[number].pidfd = pidfd
        if record.state is ConnectionState.ENDED:
            self._kill(record)

    def on_spawn_failed(self, number: int, error: str) -> None:
        """There is no process; the connection was closed by the nursery's end of it."""
        record = self.records.get(number)
        if record is not None and not record.pid:
            _log.error("no worker for %s: %s", record.remote, error)
            self._finish(record)

    def on_exited(self, generation: int, pid: int, status: int) -> None:
        """A worker's process is gone, says the nursery that forked it."""
        record = next((r for r in self.records.values() if r.pid == pid and r.generation == generation), None)
        if record is not None:
            self._note_status(record, status)
            self._finish(record)

    def on_orphans(self, generation: int) -> None:
        """Their nursery died: main waits for them itself, and those never forked are gone with it."""
        for record in [r for r in self.records.values() if r.generation == generation]:
            if record.pid:
                self._tasks.start(self._wait_orphan(record))
            else:
                self._finish(record)

    async def _wait_orphan(self, record: WorkerRecord) -> None:
        self._note_status(record, await wait_exit(record.pid))
        self._finish(record)

    def _on_channel_end(self, record: WorkerRecord, error: PeerLost | PeerViolation) -> None:
        """The worker ends, or broke its permits and is killed at once. Its process' end is what counts."""
        ended = self._handles[record.number].ended
        if isinstance(error, PeerViolation):
            _log.error("worker %d (%s) is cut off: %s", record.pid, record.remote, error)
            record.reason = DisconnectReason.ERROR
        record.state = ConnectionState.ENDED
        if ended.is_set():
            return
        if isinstance(error, PeerViolation):
            self._kill(record)
        self._tasks.start(self._ensure_ended(record, ended))

    async def _ensure_ended(self, record: WorkerRecord, ended: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(GRACE):
                await ended.wait()
        except TimeoutError:
            self._kill(record)

    def _finish(self, record: WorkerRecord) -> None:
        """Its process is gone and reaped. Its last words are heard."""
        handles = self._handles.get(record.number)
        if handles is None or handles.ended.is_set():
            return
        handles.ended.set()
        handles.channel.drain()
        traffic = read_traffic(handles.page)
        handles.channel.close()
        handles.page.close()
        if handles.secmod_end is not None:
            handles.secmod_end.close()
        if handles.pidfd >= 0:
            os.close(handles.pidfd)
        record.state = ConnectionState.ENDED
        del self._handles[record.number]
        del self.records[record.number]
        if not self.records:
            self.idle.set()
        self._on_end(record, traffic)
        if record.generation != self._nurseries.generation and not self.of_generation(record.generation):
            self._tasks.start(self._nurseries.retire(record.generation))

    def _kill(self, record: WorkerRecord) -> None:
        """By pidfd, which never means another process; what the nursery says of pids is only its word."""
        handles = self._handles.get(record.number)
        if handles is not None and handles.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handles.pidfd, signal.SIGKILL)

    def _note_status(self, record: WorkerRecord, status: int) -> None:
        if status == CLIENT_CUT_OFF:
            self.clients_cut_off += 1
        if status < 0 and -status in _CRASHES:
            _log.error("worker %d (%s) crashed: %s", record.pid, record.remote, signal.Signals(-status).name)
            self._nurseries.on_crash(record.generation)
