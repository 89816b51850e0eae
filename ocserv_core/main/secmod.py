"""secmod as main sees it: kept alive, configured, asked. A question that was under way when secmod died is asked
again of the next one, by the same request number."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from ..config.tree import ServerConfig
from ..errors import ConfigError, ConfigErrors, PeerLost, PeerViolation, StartError, SystemFailure
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    Commit,
    ConfigRefused,
    Configure,
    Configured,
    Discard,
    DisconnectSession,
    FinalStats,
    FromSecmodToMain,
    ListSessions,
    Message,
    OpenSessions,
    SecmodStats,
    SessionClose,
    SessionList,
    SessionOpen,
    SessionReply,
    SessionRow,
)
from ..ipc.permits import close_all
from ..model import SessionId
from ..system.memfd import sealed_memfd
from ..system.process import Child, spawn_module
from .children import end_child

_log = logging.getLogger(__name__)

MAX_DEATHS = 3
DEATHS_WITHIN = 60.0
"""Seconds: three deaths in a minute are no accident; the server drains and ends."""

CONFIGURE_TIMEOUT = 60.0
OPEN_SESSIONS_PART = 512

_NO_CACHE = {"XDG_CACHE_HOME": os.devnull}
"""stevedore would keep a cache of entry points in root's home and believe what it finds there."""

Answer = TypeVar("Answer", bound=Message)


class Secmod:
    """The process, its channel, and the questions that wait for an answer.

    `environment` is added to the child's: where its log goes. `on_restarted` is called when a new secmod is
    configured, after the open sessions were told to it: main attaches its workers to it. `on_disconnect` gets
    secmod's wish to end a session, `on_doomed` that it dies too often.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        open_sessions: Callable[[], Iterable[SessionId]],
        on_restarted: Callable[[], None],
        on_disconnect: Callable[[DisconnectSession], None],
        on_doomed: Callable[[], None],
    ) -> None:
        self.stats = SecmodStats(0, 0, 0, 0.0, 0.0)
        self._environment = environment
        self._open_sessions = open_sessions
        self._on_restarted = on_restarted
        self._on_disconnect = on_disconnect
        self._on_doomed = on_doomed
        self._child: Child | None = None
        self._channel: AsyncChannel[FromSecmodToMain] | None = None
        self._committed: tuple[int, ServerConfig] | None = None
        self._configuring: asyncio.Future[Configured] | None = None
        self._pending: dict[int, tuple[Message, asyncio.Future[Message]]] = {}
        self._rows: dict[int, list[SessionRow]] = {}
        self._prepared: set[int] = set()
        self._untold: list[Message] = []
        self._next_request = 1
        self._deaths: list[float] = []
        self._stopping = False
        self._ready = asyncio.Event()
        self._restarting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self._child.pid if self._child else 0

    # ---- life

    def start(self) -> None:
        """Start the process; it knows nothing before `configure` and `commit`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {**self._environment, **_NO_CACHE}
            self._child = spawn_module("ocserv_core.secmod", {"main": theirs.fileno()}, environment=environment)
        self._channel = AsyncChannel(
            ours,
            FromSecmodToMain,
            trusted=True,
            on_message=self._on_message,
            on_end=self._on_end,
        )

    async def configure(self, generation: int, config: ServerConfig) -> Configured:
        """Have a configuration prepared. ConfigErrors where it cannot be; StartError where nobody answers."""
        if self._restarting is not None and asyncio.current_task() is not self._restarting:
            await asyncio.wait([self._restarting])
        asked: asyncio.Future[Configured] = asyncio.get_running_loop().create_future()
        self._configuring = asked
        fd = sealed_memfd("configuration", msgspec.msgpack.encode(config))
        try:
            self._send(Configure(generation), [fd])
        finally:
            socket.close(fd)
        try:
            async with asyncio.timeout(CONFIGURE_TIMEOUT):
                configured = await asked
        except TimeoutError:
            raise StartError("secmod did not answer the configuration in time") from None
        finally:
            if self._configuring is asked:
                self._configuring = None
        self._prepared.add(generation)
        return configured

    def has_prepared(self, generation: int) -> bool:
        """Whether the secmod that runs now can commit it: one that was started meanwhile cannot."""
        return generation in self._prepared

    def commit(self, generation: int, config: ServerConfig) -> None:
        """Everything new uses the prepared configuration; open sessions are told, so that secmod can reconcile."""
        self._committed = (generation, config)
        self._send(Commit(generation))
        sids = list(self._open_sessions())
        parts = [tuple(sids[i : i + OPEN_SESSIONS_PART]) for i in range(0, len(sids), OPEN_SESSIONS_PART)] or [()]
        for part in parts:
            self._send(OpenSessions(part, last=part is parts[-1]))
        self._ready.set()
        for message in self._untold:
            self._send(message)
        self._untold.clear()

    def discard(self, generation: int) -> None:
        """Forget a prepared configuration."""
        self._send(Discard(generation))

    async def stop(self, timeout: float) -> None:
        """Close the channel, which ends the process; kill it after `timeout` seconds."""
        self._stopping = True
        if self._restarting is not None:
            self._restarting.cancel()
        if self._channel is not None:
            self._channel.close()
        if self._child is not None:
            await end_child(self._child.pid, timeout)

    # ---- questions

    def attach(self, message: Message, fd: int) -> None:
        """WorkerAttach: hand secmod its end of a worker's channel. While there is none that is configured, nobody
        gets it: `on_restarted` attaches every worker."""
        if self._ready.is_set():
            self._send(message, [fd])

    def tell(self, message: Message) -> None:
        """A message without an answer; kept for the next secmod while there is none that is configured."""
        if self._ready.is_set():
            self._send(message)
        else:
            self._untold.append(message)

    async def open_session(self, build: Callable[[int], SessionOpen]) -> SessionReply:
        """Ask whether a cookie may open a tunnel."""
        return await self._ask(build, SessionReply)

    async def close_session(self, build: Callable[[int], SessionClose]) -> FinalStats:
        """Account for the end of a connection."""
        return await self._ask(build, FinalStats)

    async def list_sessions(self) -> list[SessionRow]:
        """All sessions that secmod knows."""
        return list((await self._ask(ListSessions, SessionList)).rows)

    async def _ask(self, build: Callable[[int], Message], answer: type[Answer]) -> Answer:
        request = self._next_request
        self._next_request += 1
        message = build(request)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pending[request] = (message, future)
        try:
            if self._ready.is_set():
                self._send(message)
            reply = await future
        finally:
            del self._pending[request]
        assert isinstance(reply, answer)
        return reply

    def _send(self, message: Message, fds: list[int] | None = None) -> None:
        if self._channel is not None:
            self._channel.send(message, fds or [])

    # ---- what secmod says

    def _on_message(self, message: Message, fds: list[int]) -> None:
        handler = self._HANDLERS.get(type(message))
        if handler is None or fds:
            close_all(fds)
            raise PeerViolation(f"{type(message).__name__} is not permitted from secmod")
        handler(self, message)

    def _on_configured(self, message: Configured) -> None:
        if self._configuring is not None and not self._configuring.done():
            self._configuring.set_result(message)

    def _on_refused(self, message: ConfigRefused) -> None:
        if self._configuring is not None and not self._configuring.done():
            faults = [ConfigError(fault.message, fault.file, fault.line) for fault in message.faults]
            self._configuring.set_exception(ConfigErrors(faults))

    def _on_answer(self, message: SessionReply | FinalStats | SessionList) -> None:
        pending = self._pending.get(message.request)
        if pending is not None and not pending[1].done():
            pending[1].set_result(message)

    def _on_list(self, message: SessionList) -> None:
        rows = self._rows.setdefault(message.request, [])
        rows.extend(message.rows)
        if message.last:
            del self._rows[message.request]
            self._on_answer(SessionList(message.request, tuple(rows), last=True))

    def _on_stats(self, message: SecmodStats) -> None:
        self.stats = message

    def _on_disconnect_session(self, message: DisconnectSession) -> None:
        self._on_disconnect(message)

    # ---- its death

    def _on_end(self, error: PeerLost | PeerViolation) -> None:
        self._ready.clear()
        self._prepared.clear()
        self._rows.clear()
        if self._configuring is not None and not self._configuring.done():
            self._configuring.set_exception(StartError(f"secmod ended while it read the configuration: {error}"))
        restarts = self._restarting is not None and not self._restarting.done()
        if self._stopping or self._committed is None or restarts:
            return
        now = time.monotonic()
        self._deaths = [when for when in self._deaths if now - when < DEATHS_WITHIN] + [now]
        _log.error("secmod (pid %d) ended: %s; it is restarted, tunnels go on", self.pid, error)
        if len(self._deaths) >= MAX_DEATHS:
            _log.critical("secmod died %d times within %.0f s: the server ends", MAX_DEATHS, DEATHS_WITHIN)
            self._on_doomed()
            return
        self._restarting = asyncio.create_task(self._restart())

    async def _restart(self) -> None:
        assert self._committed is not None
        generation, config = self._committed
        if self._child is not None:
            await end_child(self._child.pid, 1.0)
        try:
            self.start()
            await self.configure(generation, config)
        except (ConfigErrors, StartError, SystemFailure) as error:
            _log.critical("secmod cannot be restarted: %s", error)
            self._on_doomed()
            return
        self.commit(generation, config)
        self._on_restarted()
        for message, _ in list(self._pending.values()):
            self._send(message)
        _log.warning("secmod is back (pid %d)", self.pid)

    _HANDLERS: ClassVar[Mapping[type[Message], Callable[[Secmod, Any], None]]] = {
        Configured: _on_configured,
        ConfigRefused: _on_refused,
        SessionReply: _on_answer,
        FinalStats: _on_answer,
        SessionList: _on_list,
        SecmodStats: _on_stats,
        DisconnectSession: _on_disconnect_session,
    }
