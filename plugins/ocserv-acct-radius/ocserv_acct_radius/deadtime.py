"""Which servers are asked, and in which order. Time is an argument; nothing here sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Order(Generic[T]):
    """The servers of a list, in the order of the configuration. One that has not answered is passed over for
    `deadtime` seconds, unless none is left."""

    def __init__(self, servers: Sequence[T], deadtime: float) -> None:
        self._servers = tuple(servers)
        self._deadtime = deadtime
        self._dead_until: dict[T, float] = {}

    def at(self, now: float) -> tuple[T, ...]:
        """Those to be asked, the first first."""
        alive = tuple(server for server in self._servers if self._dead_until.get(server, now) <= now)
        return alive or self._servers

    def silent(self, server: T, now: float) -> None:
        """It has not answered."""
        self._dead_until[server] = now + self._deadtime

    def answered(self, server: T) -> bool:
        """It has; whether that is news."""
        return self._dead_until.pop(server, None) is not None
