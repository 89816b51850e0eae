"""One signer (signer.py) as secmod sees it: from its start to its end, and what it has in flight."""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import PeerLost, PeerViolation
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    Decrypt,
    FromSignerToSecmod,
    LogLine,
    Message,
    Sign,
    SignerDone,
    SignerLoad,
    SignerReady,
    SignerRefused,
    SignerTask,
)
from ..ipc.permits import Gate, Permit
from ..ipc.voices import Voice
from ..system.children import end_child, kill
from .child import ended_by, spawn_for_secmod

_log = logging.getLogger(__name__)

MODULE = "ocserv_core.secmod.signer"

END_WITHIN = 2.0
"""Seconds from the end of its channel to the end of a signer; after them it is killed."""


class Phase(enum.Enum):
    """A signer's life as secmod sees it."""

    LOADING = enum.auto()
    READY = enum.auto()


@dataclass(slots=True)
class Task:
    """One use of a key. done: called once, with nothing where it was refused."""

    asked: Sign | Decrypt
    done: Callable[[bytes], None]
    tries: int = 0

    def finish(self, data: bytes, refused: str = "") -> None:
        """Its outcome."""
        if refused:
            what = "signature" if isinstance(self.asked, Sign) else "decryption"
            _log.warning("%s refused (vhost %s, key %d): %s", what, self.asked.vhost, self.asked.key, refused)
        self.done(data)


class SignerProcess:
    """One run of a signer. on_ready: called when it has its keys; on_death: when it ended without being told to, with
    what it had in flight. SystemFailure where it cannot be started."""

    running: ClassVar[set[SignerProcess]] = set()
    """All of this process, until they have ended."""

    def __init__(
        self, load: SignerLoad, on_ready: Callable[[], None], on_death: Callable[[SignerProcess, list[Task]], None]
    ) -> None:
        self._on_ready = on_ready
        self._on_death = on_death
        self._tasks: dict[int, Task] = {}
        self._numbers = itertools.count(1)
        self._voice = Voice("signer")
        self._gate = Gate(self.PERMITS, Phase.LOADING)
        self._retired = False
        self.refused = ""
        """Why it cannot use its keys."""
        self._end: asyncio.Task[None] | None = None
        self._born = time.monotonic()
        self._channel, self.pid = self._start()
        SignerProcess.running.add(self)
        self._channel.send(load)

    def _start(self) -> tuple[AsyncChannel[FromSignerToSecmod], int]:
        ours, pid = spawn_for_secmod(MODULE)
        channel = AsyncChannel[FromSignerToSecmod](
            ours, FromSignerToSecmod, trusted=False, on_message=self._on_message, on_end=self._on_channel_end
        )
        return channel, pid

    @property
    def ready(self) -> bool:
        """Whether it has its keys, and takes tasks."""
        return self._gate.phase is Phase.READY and self._end is None and not self._retired

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._born

    def in_flight(self) -> int:
        """Tasks that it has not done."""
        return len(self._tasks)

    def give(self, task: Task) -> None:
        """One more."""
        number = next(self._numbers)
        self._tasks[number] = task
        self._channel.send(SignerTask(number, task.asked))

    def retire(self) -> None:
        """It ends when it has done what it has."""
        self._retired = True
        if not self._tasks:
            self.close()

    def close(self) -> None:
        """Its end: by itself, or it is killed."""
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
        SignerProcess.running.discard(self)
        _log.debug("the signer %d %s", self.pid, how)

    # ---- what it says

    def _on_message(self, message: Message, fds: list[int]) -> None:
        self._gate.admit(message, fds)(self, message)

    def _on_signer_ready(self, _ready: SignerReady) -> None:
        self._gate.phase = Phase.READY
        _log.info("a signer is ready (pid %d)", self.pid)
        self._on_ready()

    def _on_signer_refused(self, refused: SignerRefused) -> None:
        self.refused = refused.text

    def _on_signer_done(self, done: SignerDone) -> None:
        task = self._tasks.pop(done.number, None)
        if task is None:
            raise PeerViolation(f"an answer that nobody asked for ({done.number})")
        task.finish(done.data, done.refused)
        if self._retired and not self._tasks:
            self.close()

    def _on_log_line(self, line: LogLine) -> None:
        self._voice.say(line)

    def _on_channel_end(self, error: PeerLost | PeerViolation) -> None:
        if isinstance(error, PeerViolation):
            _log.error("the signer %d is cut off: %s", self.pid, error)
            kill(self.pid, signal.SIGKILL)
        self.close()
        left = list(self._tasks.values())
        self._tasks.clear()
        self._on_death(self, left)

    PERMITS: ClassVar[Mapping[type[Message], Permit[Callable[..., None]]]] = {
        SignerReady: Permit(_on_signer_ready, frozenset({Phase.LOADING})),
        SignerRefused: Permit(_on_signer_refused, frozenset({Phase.LOADING})),
        SignerDone: Permit(_on_signer_done, frozenset({Phase.READY})),
        LogLine: Permit(_on_log_line),
    }


async def end_signers() -> None:
    """At the end of secmod: all of them, at once."""
    await asyncio.gather(*(process.closed() for process in SignerProcess.running))
