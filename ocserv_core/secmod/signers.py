"""Who signs: the signers of one configuration (signer.py), or secmod itself as long as none of them is ready.

Replies come later, and nothing delays secmod's loop: it gives a task to the signer with the least in flight, and what
needs a token to a thread where it must sign by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ..errors import SystemFailure
from ..ipc.messages import Decrypt, Sign, SignerLoad
from ..state.signers import LIVED_WELL, restart_pause
from .keys import KeyRing, use_key
from .signer_process import SignerProcess, Task

_log = logging.getLogger(__name__)

MAX_TRIES = 2
"""Signers that a task may see dying; then secmod does it, but for a token's: perhaps its module is what they die of."""


class Signers:
    """Those of one configuration. count: how many; less than `least` are not worth it, and secmod signs itself.
    at_once: all are started; else one, and another whenever a task finds none that is idle."""

    def __init__(self, rings: Mapping[str, KeyRing], count: int = 1, *, at_once: bool = True, least: int = 2) -> None:
        self._rings = rings
        self._count = count if count >= least else 0
        self._wanted = self._count if at_once else min(self._count, 1)
        self._processes: list[SignerProcess] = []
        self._thread: ThreadPoolExecutor | None = None
        self._deaths = 0
        self._pause: asyncio.TimerHandle | None = None
        self._retired = False

    def start(self, after: float = 0.0) -> None:
        """The configuration is in force. They start one after another, from so many seconds on."""
        if self._count and after:
            self._pause = asyncio.get_running_loop().call_later(after, self._resume)
        else:
            self._fill()

    def ask(self, asked: Sign | Decrypt, done: Callable[[bytes], None]) -> None:
        """Use a key; `done` may be called at once."""
        self._give(Task(asked, done))

    def retire(self) -> None:
        """Another configuration is in force: what is in flight goes on, and then they end."""
        self._retired = True
        if self._pause is not None:
            self._pause.cancel()
        for process in list(self._processes):
            process.retire()
        self._processes.clear()

    @property
    def ready(self) -> int:
        """How many processes sign now."""
        return sum(process.ready for process in self._processes)

    def _give(self, task: Task) -> None:
        ready = [process for process in self._processes if process.ready]
        if not ready:
            self._sign_here(task)
            return
        idlest = min(ready, key=SignerProcess.in_flight)
        if idlest.in_flight() and self._wanted < self._count and len(ready) == self._wanted:
            self._wanted += 1
            self._fill()
        idlest.give(task)

    def _sign_here(self, task: Task) -> None:
        if not self._is_slow(task):
            task.finish(*use_key(self._rings, task.asked))
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "token")
        signed = asyncio.get_running_loop().run_in_executor(self._thread, use_key, self._rings, task.asked)
        signed.add_done_callback(lambda outcome: _settle(task, outcome))

    def _is_slow(self, task: Task) -> bool:
        ring = self._rings.get(task.asked.vhost)
        return ring is not None and ring.in_token(task.asked.key)

    # ---- the processes

    def _fill(self) -> None:
        if self._retired or self._pause is not None or len(self._processes) >= self._wanted:
            return
        try:
            self._processes.append(SignerProcess(self._load(), self._fill, self._on_death))
        except SystemFailure as failure:
            _log.error("a signer cannot be started: %s", failure)
            self._fill_later()

    def _load(self) -> SignerLoad:
        level = logging.getLogger().getEffectiveLevel()
        return SignerLoad(level, {vhost: ring.export() for vhost, ring in self._rings.items()})

    def _on_death(self, process: SignerProcess, left: list[Task]) -> None:
        if process in self._processes:
            self._processes.remove(process)
        if process.refused:
            # One after another would try the PIN, until the token is locked.
            _log.error("a signer cannot use its keys, and is not started again: %s", process.refused)
            self._wanted = self._count = len(self._processes)
        elif not self._retired:
            _log.error("a signer has ended (pid %d); another is started", process.pid)
            self._deaths = 0 if process.age > LIVED_WELL else self._deaths
            self._fill_later()
        for task in left:
            task.tries += 1
            if task.tries < MAX_TRIES:
                self._give(task)
            elif self._is_slow(task):
                task.finish(b"", "the signers that had it died")
            else:
                self._sign_here(task)

    def _fill_later(self) -> None:
        self._deaths += 1
        if self._pause is None:
            self._pause = asyncio.get_running_loop().call_later(restart_pause(self._deaths), self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._fill()


def _settle(task: Task, outcome: asyncio.Future[tuple[bytes, str]]) -> None:
    if outcome.cancelled():
        return
    if (error := outcome.exception()) is not None:
        _log.error("a key in a token failed", exc_info=error)
        task.finish(b"", "it failed")
        return
    task.finish(*outcome.result())
