"""secmod's whole: main's messages, by a table of permits; the workers that main introduced; the loop's end. A message
with a request number is answered whatever happens: main waits for it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import enum
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from ..errors import PeerLost, PeerViolation, StateError
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    BanPoints,
    Commit,
    Configure,
    Discard,
    DisconnectSession,
    DisconnectWorker,
    FinalStats,
    FromMainToSecmod,
    FromWorkerToSecmod,
    ListPlugins,
    ListSessions,
    Message,
    OpenSessions,
    PluginList,
    Revoke,
    SecmodStats,
    SessionClose,
    SessionLeased,
    SessionList,
    SessionOpen,
    SessionReply,
    SessionStart,
    SessionStarted,
    WorkerAttach,
)
from ..ipc.permits import Gate, Permit
from ..model import DisconnectReason, Identity, Offence, SessionId
from ..plugin.backends import Login
from .acts import Acts
from .composition import Method
from .conversation import Conversations
from .hosts import end_hosts
from .instance import Instance
from .kdc import KdcForwarder
from .prepare import Prepared, prepare_sealed
from .requests import WorkerPeer
from .serving import Serving
from .sessions import Sessions
from .signer_process import end_signers
from .store import open_store

_log = logging.getLogger(__name__)

SWEEP_EVERY = 310.0
"""Seconds, where sec-mod-db-cleanup-time says nothing."""
LIST_PART = 128

SIGNERS_AFTER = 1.0
"""Seconds from a commit to the start of its signers: until then main, nursery and first clients have the processors."""


class Phase(enum.Enum):
    """secmod's life as main drives it."""

    UNCONFIGURED = enum.auto()
    SERVING = enum.auto()


class Service:
    """One object per process. `run` returns when main is gone."""

    def __init__(self, main: socket.socket) -> None:
        self._ended = asyncio.Event()
        self._reconfigured = asyncio.Event()
        self._gate = Gate(PERMITS, Phase.UNCONFIGURED)
        self._main = AsyncChannel[FromMainToSecmod](
            main, FromMainToSecmod, trusted=True, on_message=self._on_message, on_end=self._on_main_lost
        )
        self._logins = Conversations(_new_handle, self._grant, self._on_login_failed, self._on_wrong_password)
        self._serving = Serving()
        self._kdc = KdcForwarder()
        self._workers: dict[int, WorkerPeer] = {}
        self._prepared: dict[int, Prepared] = {}
        self._current: Prepared | None = None
        self._sessions: Sessions | None = None
        self._acts = Acts(lambda: self.sessions, self._main.send)
        self._preparing: set[asyncio.Task[None]] = set()
        # Not the loop's own few threads, which back ends may fill (by names that nobody resolves).
        self._preparer = ThreadPoolExecutor(1, "prepare")
        self._answering: set[asyncio.Task[None]] = set()
        self._started: dict[int, float] = {}
        self._failures = 0
        self._successes = 0
        self._seconds_total = 0.0
        self._seconds_max = 0.0

    async def run(self) -> None:
        """Serve until main closes its channel."""
        sweeper = asyncio.create_task(self._sweep())
        await self._ended.wait()
        sweeper.cancel()
        self._logins.cancel_all()
        self._kdc.end()
        if self._sessions is not None:
            await self._sessions.end()
        await self._serving.end()
        await end_hosts()
        await end_signers()

    @property
    def sessions(self) -> Sessions:
        """Opened with the first configuration. StateError before that."""
        if self._sessions is None:
            raise StateError("there is no configuration in force yet")
        return self._sessions

    @property
    def current(self) -> Prepared:
        """The configuration in force. StateError before the first."""
        if self._current is None:
            raise StateError("there is no configuration in force yet")
        return self._current

    # ---- main's messages

    def _on_message(self, message: Message, fds: list[int]) -> None:
        answer = self._gate.admit(message, fds)
        taken = fds.copy()
        fds.clear()  # they are the handler's from now on
        try:
            answer(self, message, *taken)
        except PeerViolation:
            raise
        except Exception:
            failure = _FAILURES.get(type(message))
            if failure is None:
                raise
            _log.exception("%s could not be answered", type(message).__name__)
            self._main.send(failure(message))

    def _in_background(self, asked: Message, answering: Coroutine[Any, Any, Message]) -> None:
        """Back ends are asked before main has its answer."""

        async def answer() -> None:
            try:
                reply = await answering
            except Exception:  # noqa: BLE001 (the top of a task: main waits for a reply)
                _log.exception("%s could not be answered", type(asked).__name__)
                reply = _FAILURES[type(asked)](asked)
            self._main.send(reply)

        task = asyncio.create_task(answer())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def answer_configure(self, message: Configure, fd: int) -> None:
        """Prepare in a thread; Signs go on meanwhile."""
        task = asyncio.create_task(self._configure(message.generation, fd))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _configure(self, generation: int, fd: int) -> None:
        loop = asyncio.get_running_loop()
        prepared, answer = await loop.run_in_executor(self._preparer, prepare_sealed, generation, fd, self._acts)
        if prepared is not None:
            self._prepared[generation] = prepared
        self._main.send(answer)

    def answer_commit(self, message: Commit) -> None:
        """The prepared configuration is in force."""
        prepared = self._prepared.pop(message.generation, None)
        if prepared is None:
            raise PeerViolation(f"configuration {message.generation} was not prepared")
        if self._current is not None:
            self._current.retire()
        self._current = prepared
        self._prepared.clear()
        prepared.signers.start(after=SIGNERS_AFTER)
        self._reconfigured.set()
        server = prepared.config.server
        if self._sessions is None:
            store = open_store(server.session_store.name, server.state_dir)
            self._sessions = Sessions(store, self._end_session, self._accounting_of)
        self._sessions.use(prepared.config)
        self._gate.phase = Phase.SERVING
        self._serving.use([instance for vhost in prepared.vhosts.values() for instance in vhost.instances()])

    def answer_discard(self, message: Discard) -> None:
        """It will not be used."""
        self._prepared.pop(message.generation, None)

    def answer_worker_attach(self, message: WorkerAttach, fd: int) -> None:
        """main introduces a worker: its address is main's word, not the worker's claim."""
        sock = socket.socket(fileno=fd)
        peer = WorkerPeer(
            message.worker,
            message.remote,
            message.local,
            self.current,
            self._logins,
            self.sessions,
            self._kdc,
            self._on_kerberos,
        )
        peer.channel = AsyncChannel[FromWorkerToSecmod](
            sock,
            FromWorkerToSecmod,
            trusted=False,
            on_message=peer.on_message,
            on_end=lambda error: self._on_worker_end(peer, error),
        )
        self._workers[message.worker] = peer
        if message.sid is not None:
            self.sessions.attach(message.sid, message.worker)
            peer.enter_tunnel(message.sid)

    def answer_session_open(self, message: SessionOpen) -> None:
        """A cookie asks for its tunnel, by a worker that is there and of the vhost that it claims."""
        peer = self._workers.get(message.worker)
        if peer is None:
            self._main.send(SessionReply(message.request, refused="the worker is gone", status=503))
            return
        if peer.vhost not in (None, message.vhost):
            self._cut_off(peer, PeerViolation(f"it asks for a tunnel of '{message.vhost}', and is of '{peer.vhost}'"))
            self._main.send(SessionReply(message.request, refused="a worker of another vhost", status=503))
            return
        self._in_background(message, self._open_session(message, peer))

    async def _open_session(self, message: SessionOpen, peer: WorkerPeer) -> SessionReply:
        vhost = self.current.vhosts.get(message.vhost)
        reply = await self.sessions.open(message, peer.local.ip, vhost.configuration if vhost else ())
        if reply.refused:
            self._failures += 1
            self._send_stats()
        else:
            peer.enter_tunnel(reply.sid)
        return reply

    def answer_session_start(self, message: SessionStart) -> None:
        """Its accounting."""
        self._in_background(message, self.sessions.start(message))

    def answer_session_leased(self, message: SessionLeased) -> None:
        """Its addresses."""
        self.sessions.note_lease(message)

    def answer_session_close(self, message: SessionClose) -> None:
        """A worker is gone. What it still said lies in its channel: it is read first."""
        peer = self._workers.pop(message.worker, None)
        if peer is not None and peer.channel is not None:
            peer.channel.drain()
            peer.channel.close()
            if peer.last_reason is not None:
                self.sessions.note_word(message.sid, message.worker, peer.last_reason)
        self._send_stats()
        self._main.send(self.sessions.close(message))

    def answer_open_sessions(self, message: OpenSessions) -> None:
        """The tunnels that are up."""
        self.sessions.reconcile(message)

    def answer_list_plugins(self, message: ListPlugins) -> None:
        """For occtl."""
        vhosts = self.current.vhosts.values()
        reports = [instance.report(vhost.name) for vhost in vhosts for instance in vhost.instances()]
        self._main.send(PluginList(message.request, tuple(reports)))

    def answer_list_sessions(self, message: ListSessions) -> None:
        """For occtl."""
        rows = self.sessions.rows()
        parts = [tuple(rows[i : i + LIST_PART]) for i in range(0, len(rows), LIST_PART)] or [()]
        for number, part in enumerate(parts, 1):
            self._main.send(SessionList(message.request, part, last=number == len(parts)))

    def answer_revoke(self, message: Revoke) -> None:
        """The session's cookie opens nothing more."""
        self.sessions.revoke(message.sid)

    # ---- logins

    async def _grant(self, login: Login, method: Method, identity: Identity) -> Any:
        granted = await self.sessions.grant(login, method, identity)
        seconds = time.monotonic() - login.began
        self._successes += 1
        self._seconds_total += seconds
        self._seconds_max = max(self._seconds_max, seconds)
        self._send_stats()
        return granted

    def _on_login_failed(self, _login: Login) -> None:
        self._failures += 1
        self._send_stats()

    def _on_wrong_password(self, login: Login) -> None:
        self._main.send(BanPoints(login.remote_ip, Offence.PASSWORD))

    def _on_kerberos(self, ip: str) -> None:
        self._main.send(BanPoints(ip, Offence.KKDCP))

    def _accounting_of(self, vhost: str) -> Instance | None:
        named = self.current.vhosts.get(vhost)
        return None if named is None else named.accounting

    def _end_session(self, sid: SessionId, reason: DisconnectReason, text: str) -> None:
        self._main.send(DisconnectSession(sid, reason, text))

    def _send_stats(self) -> None:
        self._main.send(
            SecmodStats(
                sessions=len(self.sessions),
                auth_failures=self._failures,
                auth_successes=self._successes,
                auth_seconds_total=self._seconds_total,
                auth_seconds_max=self._seconds_max,
            )
        )

    # ---- ends

    def _cut_off(self, peer: WorkerPeer, violation: PeerViolation) -> None:
        if peer.channel is not None:
            peer.channel.close()
        self._on_worker_end(peer, violation)

    def _on_worker_end(self, peer: WorkerPeer, error: PeerLost | PeerViolation) -> None:
        peer.on_end(error)
        if isinstance(error, PeerViolation):
            # Without its channel to secmod it could still carry a tunnel.
            self._main.send(DisconnectWorker(peer.number))
        # A worker with a session is forgotten at its SessionClose, which wants its last word.
        if peer.sid is None and self._workers.get(peer.number) is peer:
            del self._workers[peer.number]

    def _on_main_lost(self, error: PeerLost | PeerViolation) -> None:
        if isinstance(error, PeerViolation):
            _log.critical("main sent what cannot be: %s", error)
        self._ended.set()

    async def _sweep(self) -> None:
        while True:
            wanted = self._current.config.server.sec_mod_db_cleanup_time if self._current is not None else 0
            self._reconfigured.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wanted or SWEEP_EVERY):
                    await self._reconfigured.wait()
                    continue
            if self._sessions is not None:
                self._sessions.sweep()


def _new_handle() -> str:
    """The public name of a conversation (webvpncontext): 32 random characters."""
    return base64.urlsafe_b64encode(os.urandom(24)).decode()


Answer: TypeAlias = Callable[..., None]
"""(service, message, descriptors …)"""

_SERVING = frozenset({Phase.SERVING})

PERMITS: Mapping[type[Message], Permit[Answer]] = {
    Configure: Permit(Service.answer_configure, fds=1),
    Commit: Permit(Service.answer_commit),
    Discard: Permit(Service.answer_discard),
    WorkerAttach: Permit(Service.answer_worker_attach, _SERVING, fds=1),
    SessionOpen: Permit(Service.answer_session_open, _SERVING),
    SessionLeased: Permit(Service.answer_session_leased, _SERVING),
    SessionStart: Permit(Service.answer_session_start, _SERVING),
    SessionClose: Permit(Service.answer_session_close, _SERVING),
    OpenSessions: Permit(Service.answer_open_sessions, _SERVING),
    ListPlugins: Permit(Service.answer_list_plugins, _SERVING),
    ListSessions: Permit(Service.answer_list_sessions, _SERVING),
    Revoke: Permit(Service.answer_revoke, _SERVING),
}

_FAILURES: Mapping[type[Message], Callable[[Any], Message]] = {
    SessionOpen: lambda asked: SessionReply(asked.request, refused="secmod failed", status=503),
    SessionStart: lambda asked: SessionStarted(asked.request, refused="secmod failed", status=503),
    # The cookie may live: its addresses are better kept too long than given to somebody else.
    SessionClose: lambda asked: FinalStats(asked.request, asked.sid, asked.traffic, asked.reason, cookie_lives=True),
    ListPlugins: lambda asked: PluginList(asked.request, ()),
    ListSessions: lambda asked: SessionList(asked.request, (), last=True),
}
"""What main is answered where a handler failed. Configure has its own answer for that."""
