"""What accounting back ends hear of sessions: the start, statistics on the way, the end.

For each session one thing after another; a session whose back end is slow holds up no other, and no tunnel but at its
start. An end is told until the back end has taken it, or a day has passed; until then the session stays in the store
(sessions.py), so that it is told again after a crash or a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ..model import DisconnectReason, SessionId, Traffic, short
from ..plugin.backends import Session, Unavailable
from .instance import Instance

_log = logging.getLogger(__name__)

GIVE_UP_AFTER = 86400.0
"""Seconds after the end of a session during which it is told again and again."""

FIRST_RETRY, LONGEST_RETRY = 5.0, 300.0
"""Seconds between two tries: each time twice as long."""

InstanceOf = Callable[[str], Instance | None]
"""The accounting of a vhost as the configuration of the moment has it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a session, as accounting is told of it: `at` is time.time()."""

    session: Session
    traffic: Traffic
    reason: DisconnectReason
    at: float


@dataclass(slots=True)
class _Line:
    """What a session's back end is still to be told, in this order. `turn` is held by who tells it something."""

    report: tuple[Session, Traffic, float] | None = None
    ending: Ending | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[None] | None = None


class Accounting:
    """All sessions'. clock: time.time. on_told: this session's end was taken, or given up. first_retry: seconds."""

    def __init__(
        self,
        instance_of: InstanceOf,
        clock: Callable[[], float],
        on_told: Callable[[SessionId], None],
        first_retry: float = FIRST_RETRY,
    ) -> None:
        self._instance_of = instance_of
        self._clock = clock
        self._on_told = on_told
        self._first_retry = first_retry
        self._lines: dict[SessionId, _Line] = {}

    def wants(self, vhost: str) -> bool:
        """Whether there is anybody to tell."""
        return self._instance_of(vhost) is not None

    async def start(self, session: Session) -> None:
        """The session gets its first tunnel. Denied or Unavailable: it shall get none; whatever a plugin may raise."""
        instance = self._instance_of(session.vhost)
        if instance is None:
            return
        line = self._line(session.sid)
        try:
            async with line.turn:
                await instance.call("ocserv_session_open", session=session)
        finally:
            self._tidy(session.sid, line)

    def report(self, session: Session, traffic: Traffic, at: float) -> None:
        """Statistics on the way; a report that was not told yet is replaced."""
        if self.wants(session.vhost):
            line = self._line(session.sid)
            line.report = (session, traffic, at)
            self._work(session.sid, line)

    def end(self, ending: Ending) -> None:
        """The session is over."""
        line = self._line(ending.session.sid)
        line.ending = ending
        line.report = None  # the end says it all
        self._work(ending.session.sid, line)

    async def close(self, seconds: float) -> None:
        """At the end of the process: what is being told may be finished for a while; the rest is told by the next."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=seconds)
        for task in left:
            task.cancel()
        if left:
            _log.warning("%d ends of sessions could not be accounted yet: the next start goes on with them", len(left))

    # ---- one session's

    def _line(self, sid: SessionId) -> _Line:
        return self._lines.setdefault(sid, _Line())

    def _work(self, sid: SessionId, line: _Line) -> None:
        if line.task is None:
            line.task = asyncio.create_task(self._tell_all(sid, line))

    async def _tell_all(self, sid: SessionId, line: _Line) -> None:
        try:
            while line.report is not None or line.ending is not None:
                async with line.turn:
                    if line.report is not None:
                        report, line.report = line.report, None
                        await self._tell_report(*report)
                    elif line.ending is not None:
                        ending = line.ending
                        await self._tell_end(ending)
                        line.ending = None
                        self._on_told(sid)
        finally:
            line.task = None
            self._tidy(sid, line)

    def _tidy(self, sid: SessionId, line: _Line) -> None:
        idle = line.task is None and line.report is None and line.ending is None and not line.turn.locked()
        if idle and self._lines.get(sid) is line:
            del self._lines[sid]

    async def _tell_report(self, session: Session, traffic: Traffic, at: float) -> None:
        instance = self._instance_of(session.vhost)
        if instance is not None:
            call = instance.call("ocserv_session_stats", session=session, traffic=traffic, at=at)
            await _told(instance, session, call, logging.WARNING)

    async def _tell_end(self, ending: Ending) -> None:
        pause = self._first_retry
        session = ending.session
        level = logging.WARNING
        while True:
            instance = self._instance_of(session.vhost)
            if instance is None:
                _log.warning(
                    "session %s: its end is not accounted, for there is no `acct` any more", short(session.sid)
                )
                return
            call = instance.call(
                "ocserv_session_close",
                session=session,
                traffic=ending.traffic,
                reason=ending.reason,
                at=ending.at,
            )
            if await _told(instance, session, call, level):
                if level != logging.WARNING:
                    _log.info("session %s of '%s': its end is accounted now", short(session.sid), session.username)
                return
            level = logging.DEBUG  # said once: a server that is dead for hours is asked by every session
            if self._clock() - ending.at > GIVE_UP_AFTER:
                _log.error(
                    "session %s of '%s': its end is not accounted: given up", short(session.sid), session.username
                )
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY)


async def _told(instance: Instance, session: Session, call: Awaitable[object], level: int) -> bool:
    """Whether the back end has taken it; why not, the log says at this level."""
    sid, name = short(session.sid), session.username
    try:
        await call
    except Unavailable as silence:
        _log.log(
            level, "session %s of '%s': '%s' is not available for accounting: %s", sid, name, instance.name, silence
        )
    except Exception:  # noqa: BLE001 (a plugin's fault is this session's, and nobody else's)
        _log.log(level, "session %s of '%s': '%s' failed in accounting", sid, name, instance.name, exc_info=True)
    else:
        return True
    return False
