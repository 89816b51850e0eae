"""What a receiver allows, by phase: the security argument of the program is its tables of permits.

A table maps a message's type to a `Permit`: the handler, the phases in which the message may come, whether it may
come once only, and how many descriptors belong to it. A `Gate` holds one peer to a table. Whatever a table does
not allow is a PeerViolation, and the peer is ended: never answered, never guessed.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import PeerViolation
from .foreign import close_foreign
from .messages import Message

Handler = TypeVar("Handler")


@dataclass(frozen=True, slots=True)
class Permit(Generic[Handler]):
    """Leave for one type of message. `phases` empty: in every phase."""

    handler: Handler
    phases: frozenset[enum.Enum] = frozenset()
    once: bool = False
    fds: int = 0


class Gate(Generic[Handler]):
    """One peer's way through a table of permits: its phase, and what it has used up."""

    def __init__(self, table: Mapping[type[Message], Permit[Handler]], phase: enum.Enum) -> None:
        self._table = table
        self._used: set[type[Message]] = set()
        self.phase = phase

    def admit(self, message: Message, fds: Sequence[int] = ()) -> Handler:
        """The handler for `message`; PeerViolation (and `fds` closed) where there is no permit."""
        try:
            return self._check(message, len(fds))
        except PeerViolation:
            close_foreign(fds)
            raise

    def _check(self, message: Message, fds: int) -> Handler:
        kind = type(message)
        permit = self._table.get(kind)
        if permit is None:
            raise PeerViolation(f"{kind.__name__} is not permitted from this peer")
        if permit.phases and self.phase not in permit.phases:
            raise PeerViolation(f"{kind.__name__} is not permitted in phase {self.phase.name}")
        if permit.once and kind in self._used:
            raise PeerViolation(f"{kind.__name__} came a second time")
        if fds != permit.fds:
            raise PeerViolation(f"{kind.__name__} came with {fds} descriptors, not {permit.fds}")
        self._used.add(kind)
        return permit.handler


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that nobody took, our own or a trusted peer's."""
    for fd in fds:
        os.close(fd)
