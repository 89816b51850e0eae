"""secmod as main sees it: the process, its channel, the configuration that it prepares. keeper.py starts another when
it dies; questions.py knows what it was asked."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from ..config.tree import ServerConfig
from ..errors import ConfigError, ConfigErrors, PeerLost, PeerViolation, StartError
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    BanPoints,
    Commit,
    ConfigRefused,
    Configure,
    Configured,
    Discard,
    DisconnectSession,
    DisconnectWorker,
    FinalStats,
    FromSecmodToMain,
    ListPlugins,
    ListSessions,
    Message,
    OpenSessions,
    PluginList,
    SecmodStats,
    SessionClose,
    SessionList,
    SessionOpen,
    SessionReply,
    SessionRow,
    SessionStart,
    SessionStarted,
    UpdateSession,
)
from ..ipc.permits import close_all
from ..model import PluginReport, SessionId
from ..system.children import end_child
from ..system.memfd import sealed_memfd
from ..system.process import Child, spawn_module
from .questions import Questions

_log = logging.getLogger(__name__)

CONFIGURE_TIMEOUT = 60.0
OPEN_SESSIONS_PART = 512

_NO_CACHE = {"XDG_CACHE_HOME": os.devnull}
"""stevedore would keep a cache of entry points in root's home and believe what it finds there."""


class Secmod:
    """One process at a time. `environment` is added to the child's: where its log goes.

    `open_sessions`: the sessions that have a connection. `on_fresh` is called when a new process has its first
    configuration: main attaches its workers. `on_disconnect` and `on_update` get secmod's wish to end or to change a
    session, `on_cut_off` the number of a worker that broke its permits, `on_points` points for an address,
    `on_death` the error with which a process ended that was in service.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        open_sessions: Callable[[], Iterable[SessionId]],
        on_fresh: Callable[[], None],
        on_disconnect: Callable[[DisconnectSession], None],
        on_update: Callable[[UpdateSession], None],
        on_cut_off: Callable[[int], None],
        on_points: Callable[[BanPoints], None],
        on_death: Callable[[PeerLost | PeerViolation], None],
    ) -> None:
        self.stats = SecmodStats(0, 0, 0, 0.0, 0.0)
        self.ready = False
        self._environment = environment
        self._open_sessions = open_sessions
        self._on_fresh = on_fresh
        self._on_disconnect = on_disconnect
        self._on_update = on_update
        self._on_cut_off = on_cut_off
        self._on_points = on_points
        self._on_death = on_death
        self._child: Child | None = None
        self._channel: AsyncChannel[FromSecmodToMain] | None = None
        self._questions = Questions(self._put)
        self._untold: list[Message] = []
        self._asked_generation = 0
        self._prepared_generation = 0
        self._configuring: asyncio.Future[Configured] | None = None
        self._serves = False
        self._stopping = False

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self._child.pid if self._child else 0

    @property
    def is_behind(self) -> bool:
        """Whether much of what it was told waits to be read: it has more to do than it can."""
        return self._channel is not None and self._channel.congested

    # ---- life

    def start(self) -> None:
        """Start the process; it knows nothing before `configure` and `commit`. OSError, SystemFailure."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {**self._environment, **_NO_CACHE}
            self._child = spawn_module("ocserv_core.secmod", {"main": theirs.fileno()}, environment=environment)
        self._channel = AsyncChannel(
            ours, FromSecmodToMain, trusted=True, on_message=self._on_message, on_end=self._on_end
        )

    async def stop(self, timeout: float) -> None:
        """Close the channel, which ends the process; kill it after `timeout` seconds."""
        self._stopping = True
        await self.bury(timeout)
        self._questions.close()

    async def bury(self, timeout: float) -> None:
        """Be rid of this process, however it is."""
        self.ready = False
        if self._channel is not None:
            self._channel.close()
        if self._child is not None:
            child, self._child = self._child, None
            await end_child(child.pid, timeout)

    # ---- configuration

    async def configure(self, generation: int, config: ServerConfig) -> Configured:
        """Have a configuration prepared; one at a time. ConfigErrors where it cannot be, StartError where secmod
        is gone, ends meanwhile, or does not answer."""
        if self._channel is None or self._channel.closed:
            raise StartError("secmod is being restarted; try again")
        self._asked_generation = generation
        self._configuring = asyncio.get_running_loop().create_future()
        fd = sealed_memfd("configuration", msgspec.msgpack.encode(config))
        try:
            self._channel.send(Configure(generation), [fd])
            async with asyncio.timeout(CONFIGURE_TIMEOUT):
                configured = await self._configuring
        except TimeoutError:
            raise StartError("secmod did not answer the configuration in time") from None
        finally:
            self._configuring = None
            os.close(fd)
        self._prepared_generation = generation
        return configured

    def commit(self, generation: int) -> None:
        """Everything new uses the prepared configuration. StartError where this process has not prepared it: it
        was started meanwhile."""
        if self._prepared_generation != generation:
            raise StartError("secmod ended while the configuration was prepared; try again")
        self._send(Commit(generation))
        self._serves = True
        if not self.ready:
            self._begin_service()

    def _begin_service(self) -> None:
        """A process with its first configuration: tell it what is, then what it missed, then what it was asked."""
        sids = list({*self._open_sessions(), *self._questions.closing()})
        parts = [tuple(sids[i : i + OPEN_SESSIONS_PART]) for i in range(0, len(sids), OPEN_SESSIONS_PART)] or [()]
        for part in parts:
            self._send(OpenSessions(part, last=part is parts[-1]))
        self.ready = True
        self._on_fresh()
        untold, self._untold = self._untold, []
        for message in untold:
            self._send(message)
        self._questions.repeat()

    def discard(self, generation: int) -> None:
        """Forget a prepared configuration."""
        self._prepared_generation = 0
        self._send(Discard(generation))

    # ---- messages

    def attach(self, message: Message, fd: int) -> None:
        """WorkerAttach: hand secmod its end of a worker's channel. Without a secmod in service nobody gets it:
        `on_fresh` attaches every worker to the next one."""
        if self.ready:
            self._send(message, [fd])

    def tell(self, message: Message) -> None:
        """A message without an answer; kept for the next secmod while there is none in service."""
        if self.ready:
            self._send(message)
        else:
            self._untold.append(message)

    async def open_session(self, build: Callable[[int], SessionOpen]) -> SessionReply:
        """Ask whether a cookie may open a tunnel."""
        return await self._questions.ask(build, SessionReply)

    async def start_session(self, build: Callable[[int], SessionStart]) -> SessionStarted:
        """Have the start of a session accounted."""
        return await self._questions.ask(build, SessionStarted)

    async def close_session(self, build: Callable[[int], SessionClose]) -> FinalStats:
        """Account for the end of a connection."""
        return await self._questions.ask(build, FinalStats)

    async def list_sessions(self) -> list[SessionRow]:
        """All sessions that secmod knows."""
        return list((await self._questions.ask(ListSessions, SessionList)).rows)

    async def list_plugins(self) -> tuple[PluginReport, ...]:
        """The back ends that secmod has loaded."""
        return (await self._questions.ask(ListPlugins, PluginList)).plugins

    def _put(self, question: Message) -> None:
        """A question without a secmod in service is asked of the next one, by `repeat`."""
        if self.ready:
            self._send(question)

    def _send(self, message: Message, fds: Iterable[int] = ()) -> None:
        if self._channel is not None:
            self._channel.send(message, list(fds))

    # ---- what secmod says

    def _on_message(self, message: Message, fds: list[int]) -> None:
        handler = self._HANDLERS.get(type(message))
        if handler is None or fds:
            close_all(fds)
            raise PeerViolation(f"{type(message).__name__} is not permitted from secmod")
        handler(self, message)

    def _on_configured(self, message: Configured) -> None:
        asked = self._configuring
        if asked is not None and not asked.done() and message.generation == self._asked_generation:
            asked.set_result(message)

    def _on_refused(self, message: ConfigRefused) -> None:
        asked = self._configuring
        if asked is not None and not asked.done() and message.generation == self._asked_generation:
            faults = [ConfigError(fault.message, fault.file, fault.line) for fault in message.faults]
            asked.set_exception(ConfigErrors(faults))

    def _on_answer(self, message: SessionReply | FinalStats) -> None:
        self._questions.on_answer(message)

    def _on_session_started(self, message: SessionStarted) -> None:
        self._questions.on_answer(message)

    def _on_plugin_list(self, message: PluginList) -> None:
        self._questions.on_answer(message)

    def _on_list(self, message: SessionList) -> None:
        self._questions.on_list(message)

    def _on_stats(self, message: SecmodStats) -> None:
        self.stats = message

    def _on_disconnect_session(self, message: DisconnectSession) -> None:
        self._on_disconnect(message)

    def _on_update_session(self, message: UpdateSession) -> None:
        self._on_update(message)

    def _on_disconnect_worker(self, message: DisconnectWorker) -> None:
        self._on_cut_off(message.worker)

    def _on_ban_points(self, message: BanPoints) -> None:
        self._on_points(message)

    def _on_end(self, error: PeerLost | PeerViolation) -> None:
        self.ready = False
        self._prepared_generation = 0
        if self._configuring is not None and not self._configuring.done():
            self._configuring.set_exception(StartError(f"secmod ended while it read the configuration: {error}"))
        if self._serves and not self._stopping:
            self._serves = False
            self._on_death(error)

    _HANDLERS: ClassVar[Mapping[type[Message], Callable[[Secmod, Any], None]]] = {
        Configured: _on_configured,
        ConfigRefused: _on_refused,
        SessionReply: _on_answer,
        SessionStarted: _on_session_started,
        FinalStats: _on_answer,
        PluginList: _on_plugin_list,
        SessionList: _on_list,
        SecmodStats: _on_stats,
        DisconnectSession: _on_disconnect_session,
        UpdateSession: _on_update_session,
        DisconnectWorker: _on_disconnect_worker,
        BanPoints: _on_ban_points,
    }
