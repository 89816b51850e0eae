"""The tunnel after CONNECT: packets move natively, without Python and without the GIL, until there is something else.

Called by the worker in one loop: run until an event, handle it, run again. Owns the TLS session from its start on.
Knows no policy: what a frame means, when a client is dead or idle, is the caller's.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model import Traffic
from ._native import ffi, lib
from .errors import TlsError, TlsTimeout, text_of
from .tls import TlsSession

if TYPE_CHECKING:
    from ._native import CData

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


PAYLOAD_MAX: int = lib.OC_FRAME_MAX - lib.OC_FRAME_HEADER
"""Bytes of the longest payload of a CSTP frame."""

_COUNTERS = struct.Struct("=4Q")

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
        if not 0 < mtu <= PAYLOAD_MAX:
            raise ValueError(f"mtu {mtu}")
        self._page = ffi.from_buffer("uint8_t[]", counters, require_writable=True)
        if len(self._page) < _COUNTERS.size:
            raise ValueError("the page of counters is too small")
        os.set_blocking(tun_fd, False)
        error = ffi.new("int *")
        pump = lib.oc_pump_open(session.native, session.transport, tun_fd, mtu, self._page, error)
        if pump == ffi.NULL:
            raise TlsError(f"The session cannot carry a tunnel: {text_of(error[0])}")
        self._session = session
        self._fd = session.fd
        self._native: CData | None = pump
        self._final = (0.0, 0.0, 0.0, 0)
        session.on_close = self.close
        self.watch(watch)

    @property
    def _pump(self) -> CData:
        assert self._native is not None, "the pump is closed"
        return self._native

    def run(self, deadline: float) -> PumpEvent:
        """Move packets until something else happens; deadline in seconds of time.monotonic().

        After Closed, Violation and TunLost the same event comes again.
        """
        return _EVENTS[lib.oc_pump_run(self._pump, deadline)](self._pump)

    def send(self, frame_type: int, payload: bytes = b"") -> None:
        """Queue a control frame behind what waits to be sent; run() or flush() sends it.

        payload ≤ 16376 bytes. TlsTimeout when the client has not read for so long that there is no room.
        """
        if len(payload) > PAYLOAD_MAX:
            raise ValueError(f"a payload of {len(payload)} bytes")
        self._queue(lambda: lib.oc_put_frame(self._pump, frame_type, payload, len(payload)))

    @property
    def can_rekey(self) -> bool:
        """Whether rekey() can be used: TLS 1.3."""
        return self._session.info.version == "TLS1.3"

    def rekey(self) -> None:
        """New keys for both directions: KeyUpdate with update_requested. TlsError under TLS 1.2."""
        if not self.can_rekey:
            raise TlsError("TLS 1.2 has no KeyUpdate.")
        self._queue(lambda: lib.oc_put_key_update(self._pump, 1))

    def _queue(self, put: Callable[[], int]) -> None:
        code = put()
        if code == -1:
            lib.oc_pump_send(self._pump)
            code = put()
        if code == -1:
            raise TlsTimeout("The client does not read.")
        if code < 0:
            raise TlsError("The frame cannot be sealed.")

    def flush(self, timeout: float) -> bool:
        """Send what is queued; False when it could not all be sent in `timeout` seconds."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        deadline = time.monotonic() + timeout
        while lib.oc_pump_send(self._pump) == 0:
            if lib.oc_pump_queued(self._pump) == 0:
                return True
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return False
        return False

    def watch(self, fds: Sequence[int]) -> None:
        """Watch these descriptors from now on, instead of those before. At most 14."""
        if lib.oc_pump_watch(self._pump, list(fds), len(fds)) < 0:
            raise ValueError(f"{len(fds)} descriptors to watch")

    @property
    def last_rx(self) -> float:
        """When anything came from the client, time.monotonic()."""
        return self._state()[0]

    @property
    def last_data_rx(self) -> float:
        """When a packet that is not ICMP, ICMPv6 or IGMP came from the client."""
        return self._state()[1]

    @property
    def last_data_tx(self) -> float:
        """When such a packet was sent to the client."""
        return self._state()[2]

    @property
    def dropped(self) -> int:
        """Packets that were thrown away: longer than the MTU, or refused by the TUN device."""
        return self._state()[3]

    @property
    def traffic(self) -> Traffic:
        """The counters of the page. Not after close(), which gives the page back."""
        return Traffic(*_COUNTERS.unpack_from(ffi.buffer(self._page)))

    @property
    def mtu(self) -> int:
        """Bytes of the longest packet that is sent; may be changed."""
        return int(self._pump.mtu)

    @mtu.setter
    def mtu(self, value: int) -> None:
        if not 0 < value <= PAYLOAD_MAX:
            raise ValueError(f"mtu {value}")
        self._pump.mtu = value

    def _state(self) -> tuple[float, float, float, int]:
        p = self._native
        return self._final if p is None else (p.last_rx, p.last_data_rx, p.last_data_tx, p.dropped)

    def close(self) -> None:
        """Send close_notify if it can be sent at once, and wipe the keys. The descriptors stay open."""
        if self._native is None:
            return
        if lib.oc_put_alert(self._native, lib.GNUTLS_AL_WARNING, lib.GNUTLS_A_CLOSE_NOTIFY) == 0:
            lib.oc_pump_send(self._native)
        self._final = self._state()
        lib.oc_pump_close(self._native)
        self._native = None
        ffi.release(self._page)


_EVENTS: dict[int, Callable[[CData], PumpEvent]] = {
    lib.OC_EVENT_FRAME: lambda p: Frame(p.frame_type, bytes(ffi.buffer(p.frame, p.frame_size))),
    lib.OC_EVENT_READABLE: lambda p: Readable(p.ready_fd),
    lib.OC_EVENT_DEADLINE: lambda _: Deadline(),
    lib.OC_EVENT_INTERRUPTED: lambda _: Interrupted(),
    lib.OC_EVENT_CLOSED: lambda p: Closed(bool(p.clean)),
    lib.OC_EVENT_VIOLATION: lambda p: Violation(_FAULTS[p.fault]),
    lib.OC_EVENT_TUN_LOST: lambda p: TunLost(p.tun_errno),
}
