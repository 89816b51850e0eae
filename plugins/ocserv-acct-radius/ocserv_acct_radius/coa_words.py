"""The messages between secmod and the child that hears strangers: checked structs, over a socket pair, bounded."""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

MAX_MESSAGE = 65536

Client = tuple[str, bytes]
"""An address in its canonical text, and the secret that is shared with it."""


class ErrorCause(enum.IntEnum):
    """RFC 5176 3.5; NONE is an ACK."""

    NONE = 0
    UNSUPPORTED_ATTRIBUTE = 401
    MISSING_ATTRIBUTE = 402
    NAS_IDENTIFICATION_MISMATCH = 403
    UNSUPPORTED_SERVICE = 405
    INVALID_ATTRIBUTE_VALUE = 407
    SESSION_CONTEXT_NOT_FOUND = 503
    RESOURCES_UNAVAILABLE = 506


class Setup(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """secmod → child, first: whom it hears, and what is too old (seconds; 0: nothing is)."""

    clients: tuple[Client, ...]
    window: int
    require_timestamp: bool

    def __repr__(self) -> str:
        return f"Setup(of {len(self.clients)} clients)"


class Asked(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """child → secmod: a request that a client has signed. `names` say which sessions are meant, by attribute;
    `changes` are the numbers that shall hold; `unsupported` is the first attribute that means nothing here."""

    number: int
    disconnect: bool
    client: str
    names: dict[str, str]
    changes: dict[str, int]
    nas_identifier: str = ""
    unsupported: str = ""


class Answered(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """secmod → child: what became of it."""

    number: int
    cause: ErrorCause


class Told(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """child → secmod: a datagram was dropped, and why; at a bounded rate."""

    client: str
    why: str


ToChild: TypeAlias = Setup | Answered
FromChild: TypeAlias = Asked | Told
