"""secmod's whole: main's messages, by a table; the workers that main introduced; the loop's end."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..config.tree import ServerConfig
from ..errors import ConfigError, ConfigErrors, PeerLost, PeerViolation
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    Commit,
    ConfigFault,
    ConfigRefused,
    Configure,
    Configured,
    Discard,
    FromMainToSecmod,
    FromWorkerToSecmod,
    ListSessions,
    Message,
    OpenSessions,
    Revoke,
    SecmodStats,
    SessionClose,
    SessionLeased,
    SessionList,
    SessionOpen,
    WorkerAttach,
)
from ..ipc.permits import close_all
from ..model import Identity
from ..plugin.backends import Login
from ..system.memfd import read_sealed
from .composition import Method
from .conversation import Conversations
from .prepare import Prepared, prepare
from .requests import WorkerPeer
from .sessions import Sessions
from .store import open_store

_log = logging.getLogger(__name__)

MAX_CONFIGURATION = 64 * 1024 * 1024
SWEEP_EVERY = 30.0
LIST_PART = 128
_WITH_DESCRIPTOR = (Configure, WorkerAttach)


class Service:
    """One object per process. `run` returns when main is gone."""

    def __init__(self, main: socket.socket) -> None:
        self._ended = asyncio.Event()
        self._main = AsyncChannel[FromMainToSecmod](
            main, FromMainToSecmod, trusted=True, on_message=self._on_message, on_end=self._on_main_lost
        )
        self._logins = Conversations(_new_handle, self._grant, self._on_login_failed)
        self._workers: dict[int, WorkerPeer] = {}
        self._prepared: dict[int, Prepared] = {}
        self._current: Prepared | None = None
        self._sessions: Sessions | None = None
        self._preparing: set[asyncio.Task[None]] = set()
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
        if self._sessions is not None:
            self._sessions.close_store()

    @property
    def sessions(self) -> Sessions:
        """Opened with the first configuration."""
        assert self._sessions is not None
        return self._sessions

    # ---- main's messages

    def _on_message(self, message: Message, fds: list[int]) -> None:
        if len(fds) != isinstance(message, _WITH_DESCRIPTOR):
            close_all(fds)
            raise PeerViolation(f"{type(message).__name__} came with {len(fds)} descriptors")
        _HANDLERS[type(message)](self, message, *fds)

    def answer_configure(self, message: Configure, fd: int) -> None:
        """Prepare in a thread; Signs go on meanwhile."""
        task = asyncio.create_task(self._configure(message.generation, fd))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _configure(self, generation: int, fd: int) -> None:
        try:
            data = read_sealed(fd, MAX_CONFIGURATION)
        finally:
            os.close(fd)
        config = msgspec.msgpack.decode(data, type=ServerConfig)
        try:
            prepared = await asyncio.to_thread(prepare, generation, config)
            groups = await asyncio.to_thread(prepared.groups)
        except ConfigErrors as errors:
            self._main.send(ConfigRefused(generation, tuple(_fault(error) for error in errors.errors)))
            return
        self._prepared[generation] = prepared
        self._main.send(Configured(generation, groups))

    def answer_commit(self, message: Commit) -> None:
        """The prepared configuration is in force."""
        self._current = self._prepared.pop(message.generation)
        self._prepared.clear()
        server = self._current.config.server
        if self._sessions is None:
            self._sessions = Sessions(open_store(server.session_store.name, server.state_dir))
        self._sessions.use(self._current.config)

    def answer_discard(self, message: Discard) -> None:
        """It will not be used."""
        self._prepared.pop(message.generation, None)

    def answer_worker_attach(self, message: WorkerAttach, fd: int) -> None:
        """main introduces a worker: its address is main's word, not the worker's claim."""
        assert self._current is not None
        peer = WorkerPeer(message.worker, message.remote, message.local, self._current, self._logins, self.sessions)
        peer.channel = AsyncChannel[FromWorkerToSecmod](
            socket.socket(fileno=fd),
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
        """A cookie asks for its tunnel."""
        reply = self.sessions.open(message)
        peer = self._workers.get(message.worker)
        if not reply.refused and peer is not None:
            peer.enter_tunnel(reply.sid)
        if reply.refused:
            self._failures += 1
            self._send_stats()
        self._main.send(reply)

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

    def _on_worker_end(self, peer: WorkerPeer, error: PeerLost | PeerViolation) -> None:
        peer.on_end(error)
        # A worker with a session is forgotten at its SessionClose, which wants its last word.
        if peer.sid is None:
            self._workers.pop(peer.number, None)

    def _on_main_lost(self, error: PeerLost | PeerViolation) -> None:
        if isinstance(error, PeerViolation):
            _log.critical("main sent what cannot be: %s", error)
        self._ended.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            if self._sessions is not None:
                self._sessions.sweep()


def _new_handle() -> str:
    """The public name of a conversation (webvpncontext): 32 random characters."""
    return base64.urlsafe_b64encode(os.urandom(24)).decode()


def _fault(error: ConfigError) -> ConfigFault:
    return ConfigFault(error.message, error.file, error.line)


_HANDLERS: Mapping[type[Message], Callable[..., None]] = {
    Configure: Service.answer_configure,
    Commit: Service.answer_commit,
    Discard: Service.answer_discard,
    WorkerAttach: Service.answer_worker_attach,
    SessionOpen: Service.answer_session_open,
    SessionLeased: Service.answer_session_leased,
    SessionClose: Service.answer_session_close,
    OpenSessions: Service.answer_open_sessions,
    ListSessions: Service.answer_list_sessions,
    Revoke: Service.answer_revoke,
}
