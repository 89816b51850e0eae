"""The tunnel after CONNECT: packets move natively, without Python and without the GIL, until there is something else.

Called by the worker in one loop: run until an event, handle it, run again. Owns the TLS session from its start on.
Knows no policy: what a frame means, when a client is dead or idle, is the caller's.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

from ..model import Traffic
from .tls import TlsSession

RX_BYTES = 0
TX_BYTES = 8
RX_PACKETS = 16
TX_PACKETS = 24
"""Offsets in the page of counters; each is a native-endian unsigned 64-bit integer."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A CSTP frame that carries no packet (its type is not 0), whole."""

    type: int
    payload: bytes


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


PumpEvent = Frame | Readable | Deadline | Interrupted | Closed | Violation | TunLost


class Pump:
    """Moves packets between a TLS session and a TUN device. One at a time, in one thread.

    Every frame that is sent is one TLS record. `counters` is a page that others may map: RX_BYTES (from the client),
    TX_BYTES (to the client), RX_PACKETS, TX_PACKETS are at the offsets above, as native u64; they count on from what
    they hold.

    A signal that comes between two calls of run() cannot interrupt the next: who must not miss one puts the
    reading end of signal.set_wakeup_fd among `watch`.
    """

    def __init__(
        self,
        session: TlsSession,
        tun_fd: int,
        counters: mmap.mmap | memoryview,
        *,
        mtu: int,
        watch: Sequence[int] = (),
    ) -> None:
        """Take over `session`, whose CONNECT has been answered. mtu: bytes of the longest inner packet sent.

        TlsError when the session cannot be taken over: unread data is left in it, or its records are too small.
        """
        raise NotImplementedError

    def run(self, deadline: float) -> PumpEvent:
        """Move packets until something else happens; deadline in seconds of time.monotonic()."""
        raise NotImplementedError

    def send(self, frame_type: int, payload: bytes = b"") -> None:
        """Queue a control frame behind what waits to be sent; run() or flush() sends it.

        payload ≤ 16376 bytes. TlsTimeout when the client has not read for so long that there is no room.
        """
        raise NotImplementedError

    @property
    def can_rekey(self) -> bool:
        """Whether rekey() can be used: TLS 1.3."""
        raise NotImplementedError

    def rekey(self) -> None:
        """New keys for both directions: KeyUpdate with update_requested. TlsError under TLS 1.2."""
        raise NotImplementedError

    def flush(self, timeout: float) -> bool:
        """Send what is queued; False when it could not all be sent in `timeout` seconds."""
        raise NotImplementedError

    def watch(self, fds: Sequence[int]) -> None:
        """Watch these descriptors from now on, instead of those before."""
        raise NotImplementedError

    @property
    def last_rx(self) -> float:
        """When anything came from the client, time.monotonic()."""
        raise NotImplementedError

    @property
    def last_data_rx(self) -> float:
        """When a packet that is not ICMP, ICMPv6 or IGMP came from the client."""
        raise NotImplementedError

    @property
    def last_data_tx(self) -> float:
        """When such a packet was sent to the client."""
        raise NotImplementedError

    @property
    def traffic(self) -> Traffic:
        """The counters of the page."""
        raise NotImplementedError

    @property
    def dropped(self) -> int:
        """Packets that were thrown away: longer than the MTU, or refused by the TUN device."""
        raise NotImplementedError

    def close(self) -> None:
        """Send close_notify if it can be sent at once, and wipe the keys. The descriptors stay open."""
        raise NotImplementedError
