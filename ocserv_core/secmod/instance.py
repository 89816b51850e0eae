"""One instance of a back end at work, and what it may take: so many logins at once, so long for an answer, and a pause
when what stands behind it does not answer. However it fails, the logins of other instances go on untouched.

A login works from its begin to its first question, and from each answer to the next question or its end; while it waits
for its user it takes no place and no time.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import pluggy

from ..model import Identity, PluginCounters, PluginReport
from ..plugin.backends import Ask, Denied, Login, Prompt, Unavailable
from ..plugin.manager import CHILD, Plugin, alone
from ..state.breaker import Breaker, BreakerState
from .child import ChildFault
from .execution import Execution, InChild, InTask, InThread
from .tasks import ordinary

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Refused(Unavailable):
    """The login was not begun, or not gone on with: no place, or the back end is left alone."""


class Instance:
    """A plugin that is loaded, with its places and its breaker."""

    def __init__(self, plugin: Plugin, manager: pluggy.PluginManager) -> None:
        self.plugin = plugin
        self.name = plugin.name
        self.limits = plugin.limits
        self.counters = PluginCounters()
        self.working = 0
        self.waiting = 0
        self.threads = 0
        self._manager = manager
        self.places = asyncio.Semaphore(self.limits.concurrency)
        self._breaker = Breaker(self.limits.failures, self.limits.pause)
        in_child = plugin.process == CHILD
        self._in_task = InTask(self.name, self._caller)
        self._execution: Execution = InChild(plugin) if in_child else InThread(self.name, self._caller)

    @property
    def breaker(self) -> BreakerState:
        """As of now; of the running loop."""
        return self._breaker.state(asyncio.get_running_loop().time())

    def report(self, vhost: str) -> PluginReport:
        """For occtl."""
        return self.plugin.report(
            vhost,
            self.plugin.process,
            self.counters,
            breaker=self.breaker.value,
            working=self.working,
            waiting=self.waiting,
        )

    async def authenticate(self, login: Login, ask: Ask) -> Identity:
        """One login's conversation. Denied, Unavailable, and whatever a plugin may raise."""
        work = _Work(self)

        async def parked(prompt: Prompt) -> str:
            if prompt.again:  # it was answered: the password was wrong
                self._breaker.on_success(work)
            work.park()
            answer = await ask(prompt)
            await work.go_on()
            return answer

        async def converse() -> Identity:
            return _checked(await self._run("ocserv_authenticate", {"login": login}, work, parked))

        return await self._within_bounds(work, converse)

    async def call(self, hook: str, **arguments: object) -> object:
        """A hook that asks nothing. Denied, Unavailable, and whatever a plugin may raise; None where the plugin does
        not have it."""
        if not self.has(hook):
            return None
        work = _Work(self)
        return await self._within_bounds(work, lambda: self._run(hook, arguments, work, None))

    def retire(self) -> None:
        """Its configuration is not in force any more; what is in progress goes on."""
        self._execution.retire()

    async def end(self) -> None:
        """Its process ends, if it has one of its own, and with it what is in progress there."""
        await self._execution.end()

    async def serve(self) -> None:
        """Let the plugin do what it does of its own, without a place or a limit. Whatever a plugin may raise."""
        if not inspect.iscoroutinefunction(getattr(self.plugin.implementation, "ocserv_serve", None)):
            raise TypeError("ocserv_serve is no `async def`")
        await ordinary(self._caller("ocserv_serve")())

    def has(self, hook: str) -> bool:
        """Whether the plugin implements it."""
        return self.plugin.has(hook)

    async def _within_bounds(self, work: _Work, act: Callable[[], Awaitable[T]]) -> T:
        try:
            async with work.limit:
                await work.go_on()
                result = await act()
        except Denied:
            self._breaker.on_success(work)
            self.counters.denied += 1
            raise
        except Refused:
            self.counters.refused += 1
            raise
        except Unavailable as silence:
            self._note_silence(work, str(silence))
            raise
        except (TimeoutError, ConnectionError) as error:
            if work.limit.expired():
                raise self._on_deadline(work) from None
            # A library's own patience is at its end, or there is nobody at the other end.
            unavailable = Unavailable(str(error) or type(error).__name__)
            self._note_silence(work, str(unavailable))
            raise unavailable from error
        except Exception as error:
            # No word on what stands behind it: one user's name may be what the plugin stumbles over, and the breaker
            # would lock out all others.
            self._note_error(error)
            raise
        else:
            self._breaker.on_success(work)
            self.counters.granted += 1
            return result
        finally:
            work.end()

    async def _run(self, hook: str, arguments: dict[str, object], work: _Work, ask: Ask | None) -> object:
        """`ask`: what it may ask its user by, for a hook that has this argument. A call keeps its place until nothing
        of it is left, though nobody waits for it any more."""
        in_task = inspect.iscoroutinefunction(getattr(self.plugin.implementation, hook, None))
        # Threads and children are scarce; a task that is parked takes a few kilobytes.
        threads = 0 if in_task else 1
        if threads and self.threads >= self.limits.threads:
            raise Refused(f"{self.threads} calls are in progress")

        def done() -> None:
            self.threads -= threads
            work.release()

        execution = self._in_task if in_task else self._execution
        try:
            outcome = execution.begin(hook, arguments, ask, done)
        except RuntimeError as error:
            raise Refused(str(error)) from None
        # `done` comes by the loop, so not before this.
        self.threads += threads
        work.held = True
        return await outcome

    def _caller(self, hook: str) -> Callable[..., Any]:
        return alone(self._manager, self.plugin, hook)

    def begin(self, work: _Work) -> None:
        """A login wants to work, perhaps after a wait in the queue. Refused where it shall not."""
        self.admit(work)
        if self.places.locked() and self.waiting >= self.limits.queue:
            raise Refused(f"{self.waiting} logins wait for it")

    def admit(self, work: _Work) -> None:
        """Refused where the back end is left alone."""
        now = asyncio.get_running_loop().time()
        if not self._breaker.admit(work, now):
            raise Refused(f"left alone for {self._breaker.wait(now):.0f} s more, since: {self.counters.last_error}")

    @property
    def epoch(self) -> int:
        """Of its breaker."""
        return self._breaker.epoch

    def release(self, work: _Work) -> None:
        """It asks nothing at the moment."""
        self._breaker.release(work)

    def _on_deadline(self, work: _Work) -> Unavailable:
        if not work.worked:
            self.counters.refused += 1
            return Refused(f"no place within {self.limits.deadline:g} s")
        silence = Unavailable(f"no answer within {self.limits.deadline:g} s")
        self._note_silence(work, str(silence))
        return silence

    def _note_silence(self, work: _Work, said: str) -> None:
        self.counters.failed += 1
        self.counters.last_error = said
        # Its own patience with the user, or what it makes of a refused place, says nothing of what stands behind it.
        if work.worked and self._breaker.on_failure(work, asyncio.get_running_loop().time(), work.epoch):
            _log.error("the back end '%s' is left alone for %g s: %s", self.name, self.limits.pause, said)

    def _note_error(self, error: Exception) -> None:
        self.counters.failed += 1
        # Not its text, in which there may be a password.
        self.counters.last_error = error.kind if isinstance(error, ChildFault) else type(error).__name__


class _Work:
    """One login, as the places see it. `limit` ends a wait for a place, and a stretch of work, that take too long;
    `worked` is whether it was at work until now: not where it waits, for a place or for its user."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.limit = asyncio.timeout(None)
        self.worked = False
        self.epoch = 0
        self.held = False
        self._over = False
        self._has_place = False
        self._began = 0.0

    async def go_on(self) -> None:
        """A stretch of work begins, when there is a place. Refused."""
        instance = self._instance
        instance.begin(self)
        self._reschedule(asyncio.get_running_loop().time() + instance.limits.deadline)
        instance.waiting += 1
        try:
            await instance.places.acquire()
        finally:
            instance.waiting -= 1
        self._has_place = True
        self.epoch = instance.epoch
        instance.working += 1
        self._began = asyncio.get_running_loop().time()
        # The queue was no work of the back end's, and what it does with others may have been seen meanwhile.
        self._reschedule(self._began + instance.limits.deadline)
        try:
            instance.admit(self)
        except Refused:
            self._leave()
            raise
        self.worked = True

    def park(self) -> None:
        """It waits for its user."""
        self.worked = False
        self._instance.release(self)
        self._leave()
        self._reschedule(None)

    def end(self) -> None:
        """It is over; a call that still works goes on to take its place."""
        self._instance.release(self)
        self._over = True
        if not self.held:
            self._leave()

    def release(self) -> None:
        """Nothing of the call is left. Whoever waits for it notes what came of it before its place is another's."""
        self.held = False
        if self._over:
            self._leave()

    def _leave(self) -> None:
        if self._has_place:
            self._has_place = False
            self._instance.working -= 1
            self._instance.counters.note_stretch(asyncio.get_running_loop().time() - self._began)
            self._instance.places.release()

    def _reschedule(self, when: float | None) -> None:
        with contextlib.suppress(RuntimeError):  # the stretch is ending by its limit already
            self.limit.reschedule(when)


def _checked(identity: object) -> Identity:
    """What a back end returned, such as a store and a channel can carry. TypeError, ValidationError, and what an
    encoder raises (a number of more than 64 bits, half a character)."""
    if not isinstance(identity, Identity):
        raise TypeError(f"it returned a {type(identity).__name__}, which is no Identity")
    return msgspec.msgpack.decode(msgspec.msgpack.encode(identity), type=Identity)
