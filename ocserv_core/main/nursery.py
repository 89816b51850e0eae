"""The nurseries as main sees them. The newest one forks workers for new connections; older ones, of an earlier
configuration, stay until their last worker has ended. A nursery that dies leaves its workers to main, the
subreaper, and another takes its place."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import msgspec

from ..config.worker import WorkerConfig
from ..errors import ConfigError, ConfigErrors, PeerLost, PeerViolation, StartError, SystemFailure
from ..ipc.async_channel import AsyncChannel
from ..ipc.foreign import close_foreign
from ..ipc.messages import (
    Exited,
    FromNurseryToMain,
    LogLine,
    Message,
    NurseryReady,
    NurseryRefused,
    Spawn,
    Spawned,
    SpawnFailed,
)
from ..ipc.permits import Gate, Permit
from ..ipc.voices import Voice
from ..system.children import end_child
from ..system.memfd import sealed_memfd
from ..system.process import Child, plain, spawn_module
from .kinship import check_forked
from .tasks import Tasks

_log = logging.getLogger(__name__)

READY_TIMEOUT = 30.0
ANSWER_TIMEOUT = 10.0
"""Seconds without an answer to a Spawn after which a nursery counts as dead."""

RESTART_DELAY = 1.0
"""Seconds before a nursery that dies at once is started again."""


class NurseryPhase(enum.Enum):
    """How far a nursery has come: it forks when it is ready."""

    STARTING = "starting"
    READY = "ready"


_STARTING = frozenset({NurseryPhase.STARTING})
_READY = frozenset({NurseryPhase.READY})


class Nursery:
    """One nursery process and its channel."""

    def __init__(self, config: WorkerConfig, arguments: list[str], environment: Mapping[str, str], owner: Nurseries):
        self.generation = config.generation
        self.config = config
        self.crl_until: Mapping[str, float] = {}
        """By vhost, when its revocation lists are too old; known when it is ready."""
        self.workers = 0
        """How many it was asked for that have not ended."""
        self.ready = asyncio.get_running_loop().create_future()
        self._owner = owner
        self._voice = Voice("nursery")
        self._gate = Gate(self.PERMITS, NurseryPhase.STARTING)
        self._unanswered: set[int] = set()
        self._watchdog: asyncio.TimerHandle | None = None
        self.child, ours = _start(config, arguments, environment)
        self.channel = AsyncChannel[FromNurseryToMain](
            ours, FromNurseryToMain, trusted=False, on_message=self._on_message, on_end=self._on_end
        )

    async def wait_ready(self) -> None:
        """ConfigErrors where the configuration cannot be served, StartError where nobody answers."""
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await self.ready
        except TimeoutError:
            raise StartError("the nursery did not become ready in time") from None

    def ask_spawn(self, message: Spawn, fds: list[int]) -> None:
        """Have a worker forked."""
        self.workers += 1
        self._unanswered.add(message.worker)
        if self._watchdog is None:
            self._watch()
        self.channel.send(message, fds)

    def give_up(self, why: str) -> None:
        """End it as one that is lost: its workers go on, another takes its place. What it has said is heard."""
        self.channel.drain()
        if not self.channel.closed:
            self.channel.close()
            self._on_end(PeerLost(why))

    async def stop(self, timeout: float) -> None:
        """Close the channel, which ends it; its workers go on."""
        self._unwatch()
        self.channel.close()
        await end_child(self.child.pid, timeout)

    def _on_message(self, message: Message, fds: list[int]) -> None:
        self._gate.admit(message, fds)(self, message, fds)

    def _on_ready(self, message: NurseryReady, _fds: list[int]) -> None:
        if message.generation != self.generation:
            raise PeerViolation("the nursery is ready for a configuration that is not its own")
        self._gate.phase = NurseryPhase.READY
        self.crl_until = message.crl_until
        if not self.ready.done():
            self.ready.set_result(None)

    def _on_refused(self, message: NurseryRefused, _fds: list[int]) -> None:
        if not self.ready.done():
            faults = [ConfigError(fault.message, fault.file, fault.line) for fault in message.faults]
            self.ready.set_exception(ConfigErrors(faults))

    def _on_spawned(self, message: Spawned, fds: list[int]) -> None:
        self._owner.on_spawned(self, message.worker, message.pid, fds.pop())
        self._on_answer(message.worker)

    def _on_spawn_failed(self, message: SpawnFailed, _fds: list[int]) -> None:
        self.workers -= 1
        self._owner.on_spawn_failed(self, message.worker, message.error)
        self._on_answer(message.worker)

    def _on_exited(self, message: Exited, _fds: list[int]) -> None:
        self.workers -= 1
        self._owner.on_exited(self, message.pid, message.status)

    def _on_log_line(self, message: LogLine, _fds: list[int]) -> None:
        self._voice.say(message)

    def _on_answer(self, worker: int) -> None:
        self._unanswered.discard(worker)
        self._watch()

    def _watch(self) -> None:
        """As long as it answers anything it lives, however many it was asked for at once."""
        self._unwatch()
        if self._unanswered:
            self._watchdog = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT, self._on_silence)

    def _unwatch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _on_silence(self) -> None:
        self._watchdog = None
        # It may have answered while main itself was held up.
        self.channel.drain()
        if self._watchdog is None and self._unanswered and not self.channel.closed:
            self.channel.close()
            self._on_end(PeerLost(f"it did not answer within {ANSWER_TIMEOUT:.0f} s"))

    def _on_end(self, error: PeerLost | PeerViolation) -> None:
        self._unwatch()
        if not self.ready.done():
            self.ready.set_exception(StartError(f"the nursery ended before it was ready: {error}"))
            return
        self._owner.on_nursery_lost(self, error)

    PERMITS: ClassVar[Mapping[type[Message], Permit[Callable[[Nursery, Any, list[int]], None]]]] = {
        NurseryReady: Permit(_on_ready, _STARTING, once=True),
        NurseryRefused: Permit(_on_refused, _STARTING, once=True),
        Spawned: Permit(_on_spawned, _READY, fds=1),
        SpawnFailed: Permit(_on_spawn_failed, _READY),
        Exited: Permit(_on_exited, _READY),
        LogLine: Permit(_on_log_line),
    }


def _start(config: WorkerConfig, arguments: list[str], environment: Mapping[str, str]) -> tuple[Child, socket.socket]:
    """A new process, and our end of its channel. SystemFailure, OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.ExitStack() as stack, theirs:
        stack.callback(ours.close)
        state = sealed_memfd("worker-configuration", msgspec.msgpack.encode(config))
        try:
            fds = {"main": theirs.fileno(), "config": state}
            child = spawn_module("ocserv_core.worker", fds, environment=environment, inherit=plain, arguments=arguments)
        finally:
            os.close(state)
        stack.pop_all()
    return child, ours


class NurseryEvents(Protocol):
    """What main does about its nurseries' news; workers.py implements it."""

    def on_spawned(self, generation: int, worker: int, pid: int, pidfd: int) -> None:
        """A worker runs. `pidfd` is the hearer's, unless this raises PeerViolation."""

    def on_spawn_failed(self, worker: int, error: str) -> None:
        """No worker could be forked."""

    def on_exited(self, generation: int, pid: int, status: int) -> None:
        """A worker ended."""

    def on_orphans(self, generation: int) -> None:
        """A nursery died; its workers are main's own children now."""


class Nurseries:
    """All of them. `arguments` for the process: user, group, empty root. `events` hears their news: the workers,
    which are made after them."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self.events: NurseryEvents
        self._arguments = arguments
        self._environment = environment
        self._all: dict[int, Nursery] = {}
        self._current: Nursery | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._stopping = False

    @property
    def generation(self) -> int:
        """The current one's; 0 while none is ready: no connection is accepted then."""
        return self._current.generation if self._current else 0

    @property
    def proxied(self) -> bool:
        """Whether the current one's workers read a PROXY header."""
        return self._current is not None and self._current.config.server.listen_proxy_proto

    @property
    def pids(self) -> list[int]:
        """Of all nurseries that run."""
        return [nursery.child.pid for nursery in self._all.values()]

    async def prepare(self, config: WorkerConfig) -> Nursery:
        """Start a nursery for a configuration and wait until it is ready. Nothing changes yet."""
        nursery = Nursery(config, self._arguments, self._environment, self)
        try:
            await nursery.wait_ready()
        except (ConfigErrors, StartError, asyncio.CancelledError):
            await nursery.stop(1.0)
            raise
        return nursery

    def commit(self, nursery: Nursery) -> None:
        """New connections go to it from now on. The one before it ends with its last worker; now, if it has none."""
        superseded = self._current
        self._all[nursery.generation] = nursery
        self._current = nursery
        if superseded is not None and not superseded.workers:
            self._tasks.start(self.retire(superseded.generation))

    def spawn(self, message: Spawn, fds: list[int]) -> None:
        """Ask the current nursery for a worker."""
        assert self._current is not None
        self._current.ask_spawn(message, fds)

    def on_crash(self, generation: int) -> None:
        """A worker of it crashed. All that it forks share one address layout, and whoever made that one crash has
        learnt something of it: the next client meets another."""
        nursery = self._all.get(generation)
        if nursery is not None and nursery is self._current:
            asyncio.get_running_loop().call_soon(nursery.give_up, "a worker crashed, and all share its address layout")

    async def retire(self, generation: int) -> None:
        """End an old nursery whose last worker is gone."""
        nursery = self._all.get(generation)
        if nursery is not None and nursery is not self._current:
            del self._all[generation]
            await nursery.stop(5.0)

    async def stop(self, timeout: float) -> None:
        """End all of them."""
        self._stopping = True
        nurseries = list(self._all.values())
        self._all.clear()
        self._current = None
        await asyncio.gather(*(nursery.stop(timeout) for nursery in nurseries), self._stop_restarting())

    async def _stop_restarting(self) -> None:
        """The one that is being started ends too."""
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait([self._restarting])

    # ---- news

    def on_spawned(self, nursery: Nursery, worker: int, pid: int, pidfd: int) -> None:
        """From a nursery. PeerViolation, and the pidfd is closed."""
        try:
            check_forked(pid, pidfd, nursery.child.pid)
            self.events.on_spawned(nursery.generation, worker, pid, pidfd)
        except PeerViolation:
            close_foreign([pidfd])
            raise

    def on_spawn_failed(self, _nursery: Nursery, worker: int, error: str) -> None:
        """From a nursery."""
        self.events.on_spawn_failed(worker, error)

    def on_exited(self, nursery: Nursery, pid: int, status: int) -> None:
        """From a nursery."""
        self.events.on_exited(nursery.generation, pid, status)

    def on_nursery_lost(self, nursery: Nursery, error: PeerLost | PeerViolation) -> None:
        """It died, or broke its permits: it is ended, its workers go on, another takes its place."""
        if self._stopping or self._all.get(nursery.generation) is not nursery:
            return
        _log.error("the nursery (pid %d) ended: %s; its tunnels go on", nursery.child.pid, error)
        del self._all[nursery.generation]
        if nursery is self._current:
            self._current = None
            self._restarting = asyncio.create_task(self._replace(nursery))
        else:
            self._tasks.start(self._bury(nursery))

    async def _bury(self, nursery: Nursery) -> None:
        await end_child(nursery.child.pid, 1.0)
        self.events.on_orphans(nursery.generation)

    async def _replace(self, dead: Nursery) -> None:
        await self._bury(dead)
        while self._current is None and not self._stopping:
            try:
                nursery = await self.prepare(dead.config)
                if not self.generation:
                    self.commit(nursery)
                else:
                    # A reload was quicker, with a newer configuration.
                    await nursery.stop(1.0)
            except (ConfigErrors, StartError, SystemFailure, OSError) as error:
                _log.critical("no new nursery can be started, no client can connect: %s", error)
                await asyncio.sleep(RESTART_DELAY)


CHECK = "--check"
"""The nursery's argument that makes it load the configuration, say what is wrong with it, and exit."""


async def check_worker_config(config: WorkerConfig) -> None:
    """The nursery's half of `--test-config`; needs no privilege. ConfigErrors."""
    nurseries = Nurseries([CHECK], {})
    nursery = await nurseries.prepare(config)
    await nursery.stop(5.0)
