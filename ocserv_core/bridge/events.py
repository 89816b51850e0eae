"""What the pump comes back with: everything that is no packet, as values. pump.py makes them, the worker's tables go by
their types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._native import ffi, lib

if TYPE_CHECKING:
    from ._native import CData


@dataclass(frozen=True, slots=True)
class Frame:
    """A CSTP frame, or a packet by DTLS, that carries no data (its type is not 0). slot: the DTLS session that it came
    by, None for TLS."""

    type: int
    payload: bytes
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Readable:
    """A watched descriptor has something to read, or its peer is gone."""

    fd: int


@dataclass(frozen=True, slots=True)
class Deadline:
    """The deadline has passed."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A signal arrived; its Python handler has run when run() returns."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The client's side has ended. clean: by close_notify, not by the end of TCP or a fatal alert."""

    clean: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke TLS or CSTP; `text` is for the log. Nothing more can be read from it."""

    text: str


@dataclass(frozen=True, slots=True)
class TunLost:
    """The TUN device cannot be used any more; errno 0 is the end of file."""

    errno: int


@dataclass(frozen=True, slots=True)
class Hello:
    """A ClientHello on the socket of an established DTLS session: the client begins anew, from where it was."""

    slot: int
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Handshake:
    """A datagram for a DTLS handshake that is under way."""

    slot: int
    datagram: bytes


@dataclass(frozen=True, slots=True)
class DtlsClosed:
    """The client has closed this DTLS session; TLS goes on."""

    slot: int


@dataclass(frozen=True, slots=True)
class TooBig:
    """The kernel refused a datagram: the path carries outer packets of at most path_mtu bytes, where it knows."""

    path_mtu: int | None


PumpEvent = (
    Frame | Readable | Deadline | Interrupted | Closed | Violation | TunLost | Hello | Handshake | DtlsClosed | TooBig
)

_FAULTS = {
    lib.OC_FAULT_HEADER: "not a TLS record, or one of another version",
    lib.OC_FAULT_LENGTH: "a TLS record of an impossible length",
    lib.OC_FAULT_MAC: "a TLS record that was not sealed with our keys",
    lib.OC_FAULT_EMPTY: "a TLS record with nothing but padding",
    lib.OC_FAULT_TYPE: "a TLS record of a kind that may not come now",
    lib.OC_FAULT_ALERT: "a malformed TLS alert",
    lib.OC_FAULT_HANDSHAKE: "a TLS handshake message that is not KeyUpdate",
    lib.OC_FAULT_RENEGOTIATION: "TLS renegotiation, which is not allowed",
    lib.OC_FAULT_FRAME_MAGIC: "a CSTP frame with a wrong magic or an unknown flag",
    lib.OC_FAULT_FRAME_LENGTH: "a CSTP frame that is longer than its record",
    lib.OC_FAULT_LIBRARY: "a TLS record that GnuTLS refused",
    lib.OC_FAULT_KEYS: "new TLS keys could not be made",
}


def _frame(p: CData) -> Frame:
    return Frame(p.frame_type, _bytes(p), p.frame_slot if p.frame_slot >= 0 else None)


def _bytes(p: CData) -> bytes:
    return bytes(ffi.buffer(p.frame, p.frame_size))


_EVENTS: dict[int, Callable[[CData], PumpEvent]] = {
    lib.OC_EVENT_FRAME: _frame,
    lib.OC_EVENT_READABLE: lambda p: Readable(p.ready_fd),
    lib.OC_EVENT_DEADLINE: lambda _: Deadline(),
    lib.OC_EVENT_INTERRUPTED: lambda _: Interrupted(),
    lib.OC_EVENT_CLOSED: lambda p: Closed(bool(p.clean)),
    lib.OC_EVENT_VIOLATION: lambda p: Violation(_FAULTS[p.fault]),
    lib.OC_EVENT_TUN_LOST: lambda p: TunLost(p.tun_errno),
    lib.OC_EVENT_HELLO: lambda p: Hello(p.frame_slot, _bytes(p)),
    lib.OC_EVENT_HANDSHAKE: lambda p: Handshake(p.frame_slot, _bytes(p)),
    lib.OC_EVENT_DTLS_CLOSED: lambda p: DtlsClosed(p.frame_slot),
    lib.OC_EVENT_TOO_BIG: lambda p: TooBig(p.path_mtu or None),
}


def event_of(code: int, pump: CData) -> PumpEvent:
    """What oc_pump_run returned, with what it left in the pump."""
    return _EVENTS[code](pump)
