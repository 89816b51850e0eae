"""The tunnel after CONNECT: packets move natively, without Python and without the GIL, until there is something else.

Called by the worker in one loop: run until an event, handle it, run again. Owns the TLS session from its start on.
Knows no policy: what a frame means, when a client is dead or idle, is the caller's.
"""

from __future__ import annotations

import ipaddress
import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from ..model import Offloads, Traffic
from ..state.latency import LatencyTotals
from ._native import ffi, lib
from .dtls import DtlsSession
from .errors import TlsError, TlsTimeout, text_of
from .events import PumpEvent, event_of
from .stream import TlsStream

if TYPE_CHECKING:
    from ._native import CData

RX_BYTES = 0
TX_BYTES = 8
RX_PACKETS = 16
TX_PACKETS = 24
"""Offsets in the page of counters; each is a native-endian unsigned 64-bit integer."""

PAYLOAD_MAX: int = lib.OC_FRAME_MAX - lib.OC_FRAME_HEADER
"""Bytes of the longest payload of a CSTP frame."""

NETWORKS_MAX: int = lib.OC_NETWORKS_MAX

_COUNTERS = struct.Struct("=4Q")

_COMPRESSION = {"": lib.OC_COMPRESS_NONE, "oc-lz4": lib.OC_COMPRESS_LZ4, "lzs": lib.OC_COMPRESS_LZS}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class PumpOptions:
    """How a tunnel treats its packets.

    offloads: None for a device of plain packets. networks: where the client's packets may come from, None for
    anywhere. *_compression: "oc-lz4", "lzs" or "" for none; packets of at most no_compress_limit bytes are not
    compressed. udp_patience: seconds of silence by DTLS after which packets go by TLS; 0 for never. *_per_sec: bytes,
    0 for no limit. latency: measure how long what comes by DTLS is here. discover_mtu: tell when
    the kernel finds datagrams too big (TooBig). client: ours is the client's end.
    """

    offloads: Offloads | None = None
    networks: Sequence[Network] | None = None
    tls_compression: str = ""
    dtls_compression: str = ""
    no_compress_limit: int = 256
    udp_patience: float = 0.0
    rx_per_sec: int = 0
    tx_per_sec: int = 0
    latency: bool = False
    discover_mtu: bool = False
    client: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """Packets that were thrown away, by why.

    too_long: than the MTU. refused: by the TUN device. foreign: from an address that is not the client's. limited:
    beyond a rate. shed: from a queue that did not get shorter. malformed: not what its header says, or not to be
    inflated. lost: no socket took it.
    """

    too_long: int = 0
    refused: int = 0
    foreign: int = 0
    limited: int = 0
    shed: int = 0
    malformed: int = 0
    lost: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class _State:
    """What can be asked of a pump that is closed, too."""

    last_rx: float = 0.0
    last_data_rx: float = 0.0
    last_data_tx: float = 0.0
    dropped: Dropped = Dropped()
    latency: LatencyTotals = field(default_factory=LatencyTotals)


class Pump:
    """Moves packets between a TLS session, its DTLS sessions, and a TUN device. One at a time, in one thread.

    Every frame that is sent is one TLS record. `counters` is a page that others may map: RX_BYTES (from the client),
    TX_BYTES (to the client), RX_PACKETS, TX_PACKETS are at the offsets above, as native u64; they count on from what
    they hold.

    A signal that comes between two calls of run() cannot interrupt the next: who must not miss one puts the
    reading end of signal.set_wakeup_fd among `watch`.
    """

    def __init__(
        self,
        session: TlsStream,
        tun_fd: int,
        counters: mmap.mmap | memoryview,
        *,
        mtu: int,
        watch: Sequence[int] = (),
        options: PumpOptions = PumpOptions(),
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
        pump = lib.oc_pump_open(session.native, session.transport, tun_fd, mtu, options.client, self._page, error)
        if pump == ffi.NULL:
            raise TlsError(f"The session cannot carry a tunnel: {text_of(error[0])}")
        self._session = session
        self._fd = session.fd
        self._native: CData | None = pump
        self._final = _State()
        self._sessions: dict[int, DtlsSession] = {}
        session.on_close = self.close
        _configure(pump, options)
        self.watch(watch)

    @property
    def _pump(self) -> CData:
        assert self._native is not None, "the pump is closed"
        return self._native

    def run(self, deadline: float) -> PumpEvent:
        """Move packets until something else happens; deadline in seconds of time.monotonic().

        After Closed, Violation and TunLost the same event comes again.
        """
        return event_of(lib.oc_pump_run(self._pump, deadline), self._pump)

    # ---- what is said by TLS

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
        return self._session.version == "TLS1.3"

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

    # ---- DTLS

    def attach(self, session: DtlsSession) -> int | None:
        """Carry this DTLS session too, from its handshake on: its slot; None where two are attached already. Packets
        go by the one that was attached last, once its client has been heard there."""
        slot = int(lib.oc_pump_attach(self._pump, session.native, session.socket.fileno()))
        if slot < 0:
            return None
        self._sessions[slot] = session
        return slot

    def detach(self, slot: int) -> DtlsSession:
        """Carry it no more. It stays open."""
        lib.oc_pump_detach(self._pump, slot)
        return self._sessions.pop(slot)

    @property
    def sessions(self) -> dict[int, DtlsSession]:
        """What is attached, by slot."""
        return dict(self._sessions)

    @property
    def active(self) -> int | None:
        """The slot by which packets go to the client now; None for TLS."""
        pump = self._pump
        return int(pump.active) if pump.udp_up and pump.active >= 0 else None

    def deactivate(self) -> None:
        """Packets go by TLS, until the client is heard by DTLS again."""
        self._pump.udp_up = 0

    def limit(self, rx_per_sec: float, tx_per_sec: float) -> None:
        """Other bounds hold from now on, in bytes a second from and to the client; 0 for none."""
        self._pump.rx_limit.rate = rx_per_sec
        self._pump.tx_limit.rate = tx_per_sec

    def use_datagrams(self, use: bool) -> None:
        """Whether packets may go by DTLS at all."""
        self._pump.udp_off = not use
        if not use:
            self._pump.udp_up = 0

    def send_datagram(self, slot: int, packet_type: int, payload: bytes = b"") -> int:
        """Send a packet without data by DTLS, now. 0, or an errno: it is lost then. payload < 20480 bytes."""
        return int(lib.oc_put_datagram(self._pump, slot, packet_type, payload, len(payload)))

    def adopt(self, sock: socket.socket, datagram: bytes) -> int | None:
        """The client's address may have changed: where an established session's keys open this datagram, it is that
        session's, whose socket is `sock` from now on. Its slot, else None."""
        slot = int(lib.oc_pump_adopt(self._pump, sock.fileno(), datagram, len(datagram)))
        if slot < 0:
            return None
        self._sessions[slot].socket = sock
        return slot

    # ---- the rest

    def watch(self, fds: Sequence[int]) -> None:
        """Watch these descriptors from now on, instead of those before. At most 14."""
        if lib.oc_pump_watch(self._pump, list(fds), len(fds)) < 0:
            raise ValueError(f"{len(fds)} descriptors to watch")

    @property
    def last_rx(self) -> float:
        """When anything came from the client by TLS, time.monotonic()."""
        return self._state().last_rx

    @property
    def last_data_rx(self) -> float:
        """When a packet that is not ICMP, ICMPv6 or IGMP came from the client."""
        return self._state().last_data_rx

    @property
    def last_data_tx(self) -> float:
        """When such a packet was sent to the client."""
        return self._state().last_data_tx

    @property
    def dropped(self) -> Dropped:
        """Packets that were thrown away."""
        return self._state().dropped

    @property
    def latency(self) -> LatencyTotals:
        """The statistics of latency since the begin."""
        return self._state().latency

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

    def _state(self) -> _State:
        return self._final if self._native is None else _state_of(self._native)

    def close(self) -> None:
        """Send close_notify if it can be sent at once, and wipe the keys, those of DTLS too. The descriptors of client
        and TUN stay open."""
        if self._native is None:
            return
        for slot in list(self._sessions):
            session = self.detach(slot)
            session.bye()
            session.close()
        if lib.oc_put_alert(self._native, lib.GNUTLS_AL_WARNING, lib.GNUTLS_A_CLOSE_NOTIFY) == 0:
            lib.oc_pump_send(self._native)
        self._final = self._state()
        lib.oc_pump_close(self._native)
        self._native = None
        ffi.release(self._page)


def _configure(pump: CData, options: PumpOptions) -> None:
    if options.offloads is not None:
        lib.oc_pump_use_vnet(pump, options.offloads.tcp, options.offloads.udp)
    for network in options.networks or ():
        if lib.oc_pump_allow(pump, network.version, network.network_address.packed, network.prefixlen) < 0:
            raise ValueError(f"more than {NETWORKS_MAX} networks")
    pump.any_source = options.networks is None
    pump.tls_compression = _COMPRESSION[options.tls_compression]
    pump.dtls_compression = _COMPRESSION[options.dtls_compression]
    pump.no_compress_limit = options.no_compress_limit
    pump.udp_patience = options.udp_patience
    pump.rx_limit.rate = options.rx_per_sec
    pump.tx_limit.rate = options.tx_per_sec
    pump.discover_mtu = options.discover_mtu
    if options.latency and lib.oc_pump_measure(pump) < 0:
        raise MemoryError


def _state_of(p: CData) -> _State:
    dropped = Dropped(p.too_long, p.refused_by_tun, p.foreign, p.over_limit, p.shed, p.malformed, p.lost)
    return _State(p.last_rx, p.last_data_rx, p.last_data_tx, dropped, _latency_of(p.latency))


def _latency_of(latency: CData) -> LatencyTotals:
    if latency == ffi.NULL:
        return LatencyTotals()
    return LatencyTotals(latency.median_total, latency.mean_total, latency.rms_total, latency.sets)
