"""The DTLS of one tunnel: its handshakes, which never stop the session in use; whether it lives; how large its packets
may be. tunnel.py asks and tells it; packets are the pump's.

Sessions come and go, the tunnel stays: whatever fails here leaves everything to TLS.
"""

from __future__ import annotations

import errno
import logging
import math
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..bridge.dtls import EXPORTER_LABEL, PSK_SIZE, DtlsFailed, DtlsSession, Legacy, Psk
from ..bridge.events import DtlsClosed, Frame, Handshake, Hello, TooBig
from ..bridge.pump import Pump
from ..bridge.stream import TlsStream
from ..protocol.connect import ConnectRequest
from ..protocol.cstp import FrameType
from ..protocol.dtls import DtlsPlan, LegacyPlan
from ..protocol.dtls_liveness import DtlsLiveness
from ..protocol.limits import Limits
from ..protocol.liveness import LivenessAction
from ..protocol.mtu import datagram_max, dtls_data_mtu
from ..protocol.mtu_discovery import MtuDiscovery, floor_of
from ..protocol.udp_peek import Hello as HelloOf
from ..protocol.udp_peek import hello_random, peek
from ..system.client_sockets import forbid_fragments, path_mtu, set_priority
from .link import UdpArrival

_log = logging.getLogger(__name__)

HELLO_INTERVAL = 1.0
"""Seconds between two handshakes that begin on the socket of a session: a client's own patience with one."""

UNHEARD = 3.0
"""Seconds in which a new session that its client has not used yet gives way to nobody."""

RETIREMENT = 10.0
"""Seconds after which an old session goes, when the new one is in use: what was on its way has come by then."""


@dataclass(frozen=True, slots=True)
class DtlsTerms:
    """What was agreed upon at CONNECT. session_id: what the client finds us by. mtu_discovery: try-mtu-discovery."""

    plan: DtlsPlan
    session_id: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    data_mtu: int
    link_mtu: int
    inner_ipv6: bool
    dpd: float
    limits: Limits
    mtu_discovery: bool

    def of_handshake(self) -> Psk | Legacy:
        """For the bridge."""
        if not isinstance(self.plan, LegacyPlan):
            return Psk(self.plan.priorities, self.secret)
        suite = self.plan.suite
        words = (suite.version, suite.kx, suite.cipher, suite.mac)
        return Legacy(self.plan.priorities, *words, master_secret=self.secret, session_id=self.session_id)


def dtls_secret(plan: DtlsPlan, session: TlsStream, request: ConnectRequest) -> bytes:
    """The key that both sides have: of this TLS connection, or the client's own word. Before a pump has taken the
    TLS session over."""
    if not isinstance(plan, LegacyPlan):
        return session.exporter(EXPORTER_LABEL, PSK_SIZE)
    assert request.dtls_master_secret is not None
    return request.dtls_master_secret


class DtlsSide:
    """`on_established` is called when the client has a new session, `on_change` when ciphersuite or data MTU are others
    than before."""

    def __init__(
        self, pump: Pump, terms: DtlsTerms, *, on_established: Callable[[], None], on_change: Callable[[], None]
    ) -> None:
        self._pump = pump
        self._terms = terms
        self._tell_established = on_established
        self._on_change = on_change
        self._liveness = DtlsLiveness(terms.dpd)
        self._ceiling = terms.data_mtu
        self._discovery: MtuDiscovery | None = None
        self._retry: dict[int, float] = {}
        """When a handshake has to be gone on with, by slot."""
        self._hellos: dict[int, bytes] = {}
        """The random of the hello that a session began with, by slot."""
        self._newest: int | None = None
        """The slot of the session that was established last, and since when."""
        self._newest_since = -math.inf
        self._retire_at = math.inf
        self._last_hello = -math.inf
        self.ciphersuite = ""
        """Of the newest session; empty where there is none."""

    # ---- what main and the pump bring

    def on_arrival(self, arrival: UdpArrival) -> bool:
        """A socket of main's, with its first datagram. Whether it was ours."""
        sock = socket.socket(fileno=arrival.fd)
        self._prepare(sock)
        if arrival.hello:
            self._begin(sock, arrival.datagram)
            return True
        slot = self._pump.adopt(sock, arrival.datagram)
        if slot is not None:
            _log.info("DTLS: the client comes from another address now")
            self._restart_discovery()
        return slot is not None

    def _on_hello(self, event: Hello) -> None:
        """The client begins anew from where it was; or somebody repeats its hello, so that is not done all the time."""
        now = time.monotonic()
        if now - self._last_hello < HELLO_INTERVAL or peek(event.datagram) != HelloOf(self._terms.session_id):
            return
        self._last_hello = now
        self._begin(self._pump.sessions[event.slot].socket, event.datagram)

    def _on_handshake(self, event: Handshake) -> None:
        """A datagram of a handshake under way. Or the hello of another: somebody may have repeated an old one."""
        random = hello_random(event.datagram)
        if random is not None and random != self._hellos.get(event.slot):
            self._on_hello(Hello(event.slot, event.datagram))
        else:
            self._go_on(event.slot, event.datagram)

    def _on_closed(self, event: DtlsClosed) -> None:
        """The client has ended a session; packets go by TLS unless it has another."""
        _log.info("DTLS: the client closed its session")
        self._drop(event.slot)

    def _on_too_big(self, event: TooBig) -> None:
        """The kernel says what the path carries."""
        if self._discovery is not None:
            self._discovery.on_too_big(event.path_mtu, time.monotonic())
            self._follow_discovery()

    _ON_EVENT: ClassVar[Mapping[type, Callable[[DtlsSide, Any], None]]] = {
        Hello: _on_hello,
        Handshake: _on_handshake,
        DtlsClosed: _on_closed,
        TooBig: _on_too_big,
    }

    def on_event(self, event: Hello | Handshake | DtlsClosed | TooBig) -> None:
        """What the pump comes back with."""
        self._ON_EVENT[type(event)](self, event)

    # ---- handshakes

    def _prepare(self, sock: socket.socket) -> None:
        try:
            set_priority(sock, socket_priority=self._terms.limits.socket_priority, tos=self._terms.limits.tos)
            if self._terms.mtu_discovery:
                forbid_fragments(sock)
        except OSError as error:
            _log.warning("the UDP socket cannot be set up as configured: %s", error.strerror)

    def _begin(self, sock: socket.socket, hello: bytes) -> None:
        """A new handshake beside the session in use. Of handshakes only the newest counts: the client has given the
        one before up."""
        room = self._to_make_room()
        if room is None:
            return
        for given_up in room:
            self._drop(given_up)
        try:
            most = datagram_max(self._terms.link_mtu, outer_ipv6=sock.family == socket.AF_INET6)
            session = DtlsSession(sock, self._terms.of_handshake(), most)
        except DtlsFailed as failure:
            _log.warning("no DTLS: %s", failure)
            return
        slot = self._pump.attach(session)
        assert slot is not None
        self._hellos[slot] = hello_random(hello) or b""
        self._go_on(slot, hello)

    def _to_make_room(self) -> list[int] | None:
        """What gives way to a new session: a handshake under way, else the session that is not in use. None where that
        one is so new that its client will speak any moment."""
        sessions, active = self._pump.sessions, self._pump.active
        shaking = [slot for slot, session in sessions.items() if not session.established]
        if shaking or len(sessions) < 2:
            return shaking
        unused = next(slot for slot in sessions if slot != active)
        is_young = unused == self._newest and time.monotonic() - self._newest_since < UNHEARD
        return None if is_young else [unused]

    def _go_on(self, slot: int, datagram: bytes) -> None:
        session = self._pump.sessions[slot]
        try:
            done = session.handshake(datagram)
        except DtlsFailed as failure:
            _log.info("a DTLS handshake failed: %s", failure)
            self._drop(slot)
            return
        if done:
            self._retry.pop(slot, None)
            self._newest, self._newest_since = slot, time.monotonic()
            self._retire_at = self._newest_since + RETIREMENT
            self._on_established(session)
        else:
            self._retry[slot] = time.monotonic() + session.timeout

    def _on_established(self, session: DtlsSession) -> None:
        now = time.monotonic()
        self.ciphersuite = session.ciphersuite
        _log.info("DTLS: %s", self.ciphersuite)
        ipv6 = session.socket.family == socket.AF_INET6
        mtu = dtls_data_mtu(self._terms.link_mtu, outer_ipv6=ipv6, overhead=session.overhead)
        self._ceiling = min(self._terms.data_mtu, mtu)
        self._liveness.restart(now)
        floor = floor_of(inner_ipv6=self._terms.inner_ipv6)
        self._pump.use_datagrams(self._ceiling >= floor)
        if self._ceiling < floor:
            # The kernel would take its IPv6 address from a device with less.
            _log.warning("DTLS carries %d bytes by %s, %d are needed: packets go by TLS", mtu, self.ciphersuite, floor)
            self._discovery = None
        elif self._terms.mtu_discovery:
            overhead = self._terms.link_mtu - mtu
            self._discovery = MtuDiscovery(self._ceiling, overhead=overhead, floor=floor)
            self._discovery.restart(now)
        if self._ceiling >= floor:
            self._use_mtu(self._ceiling)
        self._tell_established()
        self._on_change()

    def _drop(self, slot: int) -> None:
        self._retry.pop(slot, None)
        self._hellos.pop(slot, None)
        if slot == self._newest:
            self._newest = None
        self._pump.detach(slot).close()
        if self.ciphersuite and not any(session.established for session in self._pump.sessions.values()):
            self._on_end()

    def _on_end(self) -> None:
        """The last session is gone."""
        self._liveness.stop()
        if self._discovery is not None:
            self._discovery.stop()
        self.ciphersuite = ""
        self._on_change()

    # ---- packets without data

    def on_frame(self, event: Frame) -> None:
        """A packet by DTLS that carries no data."""
        handler = self._ON_FRAME.get(event.type)
        if handler is not None:
            handler(self, event)

    def _on_dpd_request(self, event: Frame) -> None:
        # Clients find out by these what the path carries: the answer is as long as the question.
        assert event.slot is not None
        self._pump.send_datagram(event.slot, FrameType.DPD_RESPONSE, event.payload)
        if self._discovery is not None:
            self._discovery.on_peer_probe(len(event.payload))
            self._follow_discovery()

    def _on_dpd_response(self, _event: Frame) -> None:
        if self._discovery is not None:
            self._discovery.on_answer(time.monotonic())
            self._follow_discovery()

    def _on_disconnect(self, event: Frame) -> None:
        # Of DTLS alone: the session's end is said by TLS.
        assert event.slot is not None
        self._drop(event.slot)

    _ON_FRAME: ClassVar[Mapping[int, Callable[[DtlsSide, Frame], None]]] = {
        FrameType.DPD_REQUEST: _on_dpd_request,
        FrameType.DPD_RESPONSE: _on_dpd_response,
        FrameType.DISCONNECT: _on_disconnect,
    }

    # ---- time

    def next_deadline(self) -> float:
        """When on_deadline is to be called."""
        discovery = self._discovery.next_deadline() if self._discovery is not None else math.inf
        return min(self._liveness.next_deadline(), discovery, self._retire_at, *self._retry.values())

    def on_deadline(self, now: float) -> None:
        """What is due now."""
        for slot in [slot for slot, due in self._retry.items() if due <= now]:
            self._go_on(slot, b"")
        if now >= self._retire_at:
            self._retire(now)
        established = [session for session in self._pump.sessions.values() if session.established]
        last_rx = max((session.last_rx for session in established), default=0.0)
        if self._pump.active is not None and math.isinf(self._liveness.next_deadline()):
            # It was down, and was heard since.
            self._liveness.restart(now)
        self._on_liveness(self._liveness.on_deadline(now, last_rx))
        if self._discovery is not None:
            self._probe(self._discovery.on_deadline(now, last_rx))

    def _retire(self, now: float) -> None:
        """The old session goes, as soon as the new one is in use."""
        others = [s for s, session in self._pump.sessions.items() if session.established and s != self._newest]
        if others and self._pump.active != self._newest:
            self._retire_at = now + RETIREMENT
            return
        self._retire_at = math.inf
        for slot in others:
            self._drop(slot)

    def _on_liveness(self, action: LivenessAction | None) -> None:
        if action is LivenessAction.DPD_TIMEOUT:
            _log.info("DTLS: the client is not heard any more, packets go by TLS")
            self._pump.deactivate()
        elif action is LivenessAction.SEND_DPD and not (self._discovery and self._discovery.waiting):
            # An answer does not say what it answers: beside a probe of the path there is no other.
            self._ask(b"")

    def _ask(self, payload: bytes) -> int:
        slots = [slot for slot, session in self._pump.sessions.items() if session.established]
        slot = self._pump.active if self._pump.active in slots else slots[-1] if slots else None
        return self._pump.send_datagram(slot, FrameType.DPD_REQUEST, payload) if slot is not None else 0

    # ---- MTU

    def _probe(self, size: int | None) -> None:
        if size is not None and self._ask(bytes(size)) == errno.EMSGSIZE:
            assert self._discovery is not None
            self._discovery.on_too_big(self._path_mtu(), time.monotonic())
        self._follow_discovery()

    def _path_mtu(self) -> int | None:
        known = [path_mtu(session.socket) for session in self._pump.sessions.values()]
        return min((mtu for mtu in known if mtu is not None), default=None)

    def _restart_discovery(self) -> None:
        if self._discovery is not None:
            self._discovery.restart(time.monotonic())

    def _follow_discovery(self) -> None:
        if self._discovery is None:
            return
        self._pump.use_datagrams(not self._discovery.too_narrow)
        if self._discovery.data_mtu != self._pump.mtu:
            self._use_mtu(self._discovery.data_mtu)
            self._on_change()

    def _use_mtu(self, mtu: int) -> None:
        if mtu != self._pump.mtu:
            _log.info("the tunnel's MTU is %d", mtu)
            self._pump.mtu = mtu
