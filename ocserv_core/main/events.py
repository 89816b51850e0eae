"""Tunnels that come up and end, told to whoever listens (`occtl show events`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from ..ipc.control import SessionEvent

_log = logging.getLogger(__name__)

MAX_BEHIND = 1024
"""Events that a listener may be behind; one that reads no more is let go."""

MAX_LISTENERS = 64


class Events:
    """All listeners. Each hears of everything from when it began to listen."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listener | None]:
        """A listener, or None where there are too many."""
        if len(self._listeners) >= MAX_LISTENERS:
            _log.warning("control socket: %d already listen to events", MAX_LISTENERS)
            yield None
            return
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @property
    def listening(self) -> int:
        """How many do."""
        return len(self._listeners)

    def publish(self, event: SessionEvent) -> None:
        """To everybody."""
        for listener in self._listeners:
            listener.take(event)


class Listener:
    """One who listens."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[SessionEvent | None] = asyncio.Queue(MAX_BEHIND + 1)
        self._lost = False

    def take(self, event: SessionEvent) -> None:
        """It is to hear this. What comes after it was lost would leave a hole that nobody sees."""
        if self._lost:
            return
        self._lost = self._events.qsize() >= MAX_BEHIND
        self._events.put_nowait(None if self._lost else event)

    async def next(self) -> SessionEvent | None:
        """The next event, in order; None where it has fallen behind."""
        return await self._events.get()
