"""The host of an instance whose back end runs in children (ocserv_core/host): started when it is first needed, and
again when it is gone; ended with its configuration, and with secmod."""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import ClassVar

from ..errors import PeerLost, PeerViolation, SystemFailure
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    ChildEnded,
    ChildFailed,
    ChildStart,
    ChildStarted,
    FromHostToSecmod,
    HostLoad,
    HostReady,
    HostRefused,
    LogLine,
    Message,
)
from ..ipc.permits import Gate, Permit
from ..ipc.voices import Voice
from ..plugin.backends import Unavailable
from ..plugin.manager import Plugin
from ..system.children import end_child, kill
from .child import Child, ended_by, spawn_for_secmod

_log = logging.getLogger(__name__)

MODULE = "ocserv_core.host"

END_WITHIN = 2.0
"""Seconds from the end of its channel to the end of a host; after them it is killed."""


class HostPhase(enum.Enum):
    """A host's life as secmod sees it."""

    LOADING = enum.auto()
    READY = enum.auto()


class Host:
    """One instance's. It has a process while it is needed."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._process: HostProcess | None = None
        self._retired = False

    @property
    def process(self) -> HostProcess | None:
        """The one that runs now."""
        return self._process if self._process is not None and not self._process.ending else None

    async def new_child(self, done: Callable[[], None]) -> Child:
        """A child for one call; `done` is called when it has ended. Unavailable where there is no host for it, after
        which `done` is not called."""
        process = self.process
        if process is None:
            process = self._process = HostProcess(self._plugin, self._on_idle)
        return await process.new_child(done)

    def retire(self) -> None:
        """The configuration is not in force any more: what is in progress goes on, and then the process ends."""
        self._retired = True
        self._on_idle()

    async def closed(self) -> None:
        """Whatever is in progress ends with the process."""
        if self._process is not None:
            await self._process.closed()

    def _on_idle(self) -> None:
        if self._retired and self.process is not None and not self.process.busy:
            self.process.close()


class HostProcess:
    """One run of a host, from its start to its end. on_idle: called when its last child has ended."""

    running: ClassVar[set[HostProcess]] = set()
    """All of this process, until they have ended."""

    def __init__(self, plugin: Plugin, on_idle: Callable[[], None]) -> None:
        self._plugin = plugin
        self._on_idle = on_idle
        self._children: dict[int, Child] = {}
        self._numbers = itertools.count(1)
        self._voice = Voice(f"{plugin.name}-host")
        self._gate = Gate(self.PERMITS, HostPhase.LOADING)
        self._loaded = asyncio.Event()
        self._waiting = 0
        self._refused = ""
        self._end: asyncio.Task[None] | None = None
        self._channel, self.pid = self._start()
        HostProcess.running.add(self)
        level = logging.getLogger().getEffectiveLevel()
        self._channel.send(HostLoad(plugin.group, plugin.spec, plugin.vhost, level))

    def _start(self) -> tuple[AsyncChannel[FromHostToSecmod], int]:
        """Unavailable where the machine has no place for it."""
        try:
            ours, pid = spawn_for_secmod(MODULE)
        except SystemFailure as error:
            raise Unavailable(str(error)) from error
        channel = AsyncChannel[FromHostToSecmod](
            ours, FromHostToSecmod, trusted=False, on_message=self._on_message, on_end=self._on_channel_end
        )
        return channel, pid

    @property
    def ending(self) -> bool:
        """Whether it takes no call any more."""
        return self._end is not None

    @property
    def busy(self) -> bool:
        """Whether it has children, or will have one as soon as it is loaded."""
        return bool(self._children or self._waiting)

    async def new_child(self, done: Callable[[], None]) -> Child:
        """See Host."""
        self._waiting += 1
        try:
            await self._loaded.wait()
        finally:
            self._waiting -= 1
        if self._refused or self.ending:
            raise Unavailable(f"its host {self._refused or 'has ended'}")
        return self._fork(done)

    def _fork(self, done: Callable[[], None]) -> Child:
        number = next(self._numbers)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def ended() -> None:
            del self._children[number]
            done()
            if not self.busy:
                self._on_idle()

        with theirs:
            child = Child(ours, Voice(self._plugin.name), ended)
            self._children[number] = child
            self._channel.send(ChildStart(number), [theirs.fileno()])
        return child

    def close(self) -> None:
        """Its end, and that of its children: by itself, or it is killed."""
        self._channel.close()
        if self._end is None:
            self._end = asyncio.create_task(self._await_end())

    async def closed(self) -> None:
        """Close it, and wait until it is gone."""
        self.close()
        if self._end is not None:
            await self._end

    async def _await_end(self) -> None:
        how = ended_by(await end_child(self.pid, END_WITHIN))
        HostProcess.running.discard(self)
        self._refused = self._refused or how
        self._loaded.set()
        for child in list(self._children.values()):
            child.on_ended(f"its host {how}", host_lost=True)

    # ---- what it says

    def _on_message(self, message: Message, fds: list[int]) -> None:
        handle = self._gate.admit(message, fds)
        taken = fds.copy()
        fds.clear()
        handle(self, message, *taken)

    def _on_host_ready(self, _ready: HostReady) -> None:
        self._gate.phase = HostPhase.READY
        self._loaded.set()

    def _on_host_refused(self, refused: HostRefused) -> None:
        _log.error("the back end '%s' cannot be loaded by its host: %s", self._plugin.name, refused.text)
        self._refused = f"cannot load it: {refused.text}"

    def _on_child_started(self, started: ChildStarted, pidfd: int) -> None:
        child = self._children.get(started.number)
        if child is None:
            os.close(pidfd)
            return
        child.on_started(pidfd)

    def _on_child_failed(self, failed: ChildFailed) -> None:
        if (child := self._children.get(failed.number)) is not None:
            child.on_ended(f"it cannot be started: {failed.error}", host_lost=True)

    def _on_child_ended(self, ended: ChildEnded) -> None:
        if (child := self._children.get(ended.number)) is not None:
            child.on_ended(f"its process {ended_by(ended.status)}")

    def _on_log_line(self, line: LogLine) -> None:
        self._voice.say(line)

    def _on_channel_end(self, error: PeerLost | PeerViolation) -> None:
        if isinstance(error, PeerViolation):
            _log.error("the host of the back end '%s' is cut off: %s", self._plugin.name, error)
            kill(self.pid, signal.SIGKILL)
        elif not self._refused:
            _log.error("the host of the back end '%s' has ended; it is started again when needed", self._plugin.name)
        self.close()

    PERMITS: ClassVar[Mapping[type[Message], Permit[Callable[..., None]]]] = {
        HostReady: Permit(_on_host_ready, frozenset({HostPhase.LOADING})),
        HostRefused: Permit(_on_host_refused, frozenset({HostPhase.LOADING})),
        ChildStarted: Permit(_on_child_started, frozenset({HostPhase.READY}), fds=1),
        ChildFailed: Permit(_on_child_failed, frozenset({HostPhase.READY})),
        ChildEnded: Permit(_on_child_ended, frozenset({HostPhase.READY})),
        LogLine: Permit(_on_log_line),
    }


async def end_hosts() -> None:
    """At the end of secmod: all of them, at once."""
    await asyncio.gather(*(process.closed() for process in HostProcess.running))
