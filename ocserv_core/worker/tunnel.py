"""The tunnel of one client: the answer to CONNECT, then the pump. Everything that is not a data packet comes here;
what to do about it stands in the tables below."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from mmap import mmap
from typing import Any, ClassVar

from ..bridge.events import (
    Closed,
    Deadline,
    DtlsClosed,
    Frame,
    Handshake,
    Hello,
    Interrupted,
    Readable,
    TooBig,
    TunLost,
    Violation,
)
from ..bridge.pump import NETWORKS_MAX, Network, Pump, PumpOptions
from ..bridge.tls import TlsError, TlsInfo, TlsSession
from ..errors import PeerLost
from ..ipc.messages import (
    CliStats,
    DtlsEstablished,
    LatencyStats,
    SessionInfo,
    Terminate,
    TunMtu,
    UdpVerdict,
    UpdateLimits,
)
from ..model import DisconnectReason, Lease
from ..protocol.cstp import FrameType, build_bye, read_bye
from ..protocol.limits import Limits, limits_of
from ..protocol.liveness import Liveness, LivenessAction
from ..protocol.offer import Offer
from ..state.latency import LatencyTotals, WorkerLatency
from .dtls import DtlsSide, DtlsTerms, dtls_secret
from .link import Ended, Link, UdpArrival
from .login import Granted

_log = logging.getLogger(__name__)

FLUSH_TIMEOUT = 2.0
"""Seconds that a client may take to read our good-bye."""


@dataclass(frozen=True, slots=True)
class End:
    """Why the tunnel ends. `bye`: the client is told, in a DISCONNECT with `text`."""

    reason: DisconnectReason
    text: str = ""
    bye: bool = False


class Tunnel:
    """`run` is the tunnel's whole life; it returns why it ended, after everybody was told."""

    def __init__(
        self,
        session: TlsSession,
        info: TlsInfo,
        link: Link,
        granted: Granted,
        offer: Offer,
        page: mmap,
        *,
        mtu_discovery: bool = False,
        latency: bool = False,
        reports: bool = True,
    ) -> None:
        """mtu_discovery, latency: try-mtu-discovery and latency-stats. reports: secmod is told of traffic."""
        self._session = session
        self._info = info
        self._link = link
        self._granted = granted
        self._offer = offer
        self._limits = limits_of(granted.reply.config, offer.link_mtu)
        self._reports = reports
        self._secmod_alive = True
        self._told_mtu = 0
        self._signals, wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        session.send(offer.header)
        now = time.monotonic()
        terms = self._dtls_terms(mtu_discovery)
        options = pump_options(granted, offer, self._limits, latency=latency, mtu_discovery=mtu_discovery)
        self._pump = Pump(session, granted.tun_fd, page, mtu=offer.data_mtu, watch=self._watched(), options=options)
        self._dtls = self._dtls_side(terms)
        self._liveness = Liveness(offer.liveness, now)
        self._latency = WorkerLatency(now) if latency else None

    def _dtls_side(self, terms: DtlsTerms | None) -> DtlsSide | None:
        if terms is None:
            return None
        return DtlsSide(self._pump, terms, on_established=self._tell_established, on_change=self._tell_main)

    def _dtls_terms(self, mtu_discovery: bool) -> DtlsTerms | None:
        plan, offer, reply = self._offer.dtls, self._offer, self._granted.reply
        if plan is None:
            return None
        return DtlsTerms(
            plan=plan,
            session_id=reply.dtls_id,
            secret=dtls_secret(plan, self._session, self._granted.request),
            data_mtu=offer.data_mtu,
            link_mtu=offer.link_mtu,
            inner_ipv6=offer.lease.ipv6 is not None,
            dpd=offer.liveness.dpd,
            limits=self._limits,
            mtu_discovery=mtu_discovery,
        )

    def run(self) -> DisconnectReason:
        """Until one side ends it."""
        try:
            self._tell_main()
            end = self._serve()
        except Ended as order:
            end = _ordered(order.order)
        except PeerLost:
            # main died: the client shall come back with its cookie, so it hears no good-bye.
            end = End(DisconnectReason.SERVER, "main is gone")
        self._say_bye(end)
        self._report(end.reason)
        self._end_latency()
        self._tell_dropped()
        _log.info("the tunnel ends: %s%s", end.reason.text, f" ({end.text})" if end.text else "")
        return end.reason

    def _serve(self) -> End:
        if self._link.main.waiting or self._link.arrivals or self._link.limits:
            # What main said while it was asked for the tunnel: poll does not tell of it any more.
            self._hear_main()
        while True:
            event = self._pump.run(self._next_deadline())
            end = self._ON_EVENT[type(event)](self, event)
            if end is not None:
                return end

    def _next_deadline(self) -> float:
        timers = (self._liveness, self._dtls, self._latency)
        return min(timer.next_deadline() for timer in timers if timer is not None)

    # ---- what the pump comes back with

    def _on_frame(self, frame: Frame) -> End | None:
        if frame.slot is not None:
            assert self._dtls is not None
            self._dtls.on_frame(frame)
            return None
        handler = self._ON_FRAME.get(frame.type)
        # Unknown types are ignored, as the C server does; only known ones may be meant.
        return handler(self, frame.payload) if handler is not None else None

    def _on_readable(self, event: Readable) -> End | None:
        if event.fd == self._signals:
            return End(DisconnectReason.SERVER, "SIGTERM", bye=True)
        if event.fd == self._link.main.fileno():
            self._hear_main()
            return None
        # secmod says nothing to a tunnel: its channel becomes readable when it dies. main will send another.
        self._secmod_alive = False
        self._pump.watch(self._watched())
        return None

    def _hear_main(self) -> None:
        if self._link.hear_main():
            self._secmod_alive = True
            self._pump.watch(self._watched())
        if self._link.limits is not None:
            self._obey(self._link.limits)
            self._link.limits = None
        while self._link.arrivals:
            self._on_arrival(self._link.arrivals.popleft())

    def _obey(self, limits: UpdateLimits) -> None:
        settings = replace(
            self._offer.liveness,
            idle_timeout=limits.idle_timeout,
            session_remaining=limits.session_remaining,
            stats_report_time=limits.stats_report_time,
        )
        self._liveness.update(settings, time.monotonic())
        self._pump.limit(limits.rx_data_per_sec, limits.tx_data_per_sec)

    def _on_arrival(self, arrival: UdpArrival) -> None:
        if self._dtls is None:
            self._link.refuse(arrival)
            return
        opened = self._dtls.on_arrival(arrival)
        if arrival.search:
            self._link.main.send(UdpVerdict(arrival.search, opened))

    def _on_dtls(self, event: Hello | Handshake | DtlsClosed | TooBig) -> End | None:
        assert self._dtls is not None
        self._dtls.on_event(event)
        return None

    def _on_deadline(self, _event: Deadline) -> End | None:
        pump = self._pump
        now = time.monotonic()
        if self._dtls is not None:
            self._dtls.on_deadline(now)
        if self._latency is not None:
            self._tell_latency(self._latency.report(pump.latency, now))
        last_data = max(pump.last_data_rx, pump.last_data_tx)
        for action in self._liveness.on_deadline(now, pump.last_rx, last_data):
            end = self._ON_LIVENESS[action](self)
            if end is not None:
                return end
        return None

    def _on_interrupted(self, _event: Interrupted) -> End | None:
        return None

    def _on_closed(self, event: Closed) -> End | None:
        return End(DisconnectReason.ERROR, "the client closed TLS" if event.clean else "the connection was lost")

    def _on_violation(self, event: Violation) -> End | None:
        return End(DisconnectReason.ERROR, event.text, bye=True)

    def _on_tun_lost(self, event: TunLost) -> End | None:
        return End(DisconnectReason.ERROR, f"the TUN device is gone: {os.strerror(event.errno)}")

    _ON_EVENT: ClassVar[Mapping[type, Callable[[Tunnel, Any], End | None]]] = {
        Frame: _on_frame,
        Readable: _on_readable,
        Deadline: _on_deadline,
        Interrupted: _on_interrupted,
        Closed: _on_closed,
        Violation: _on_violation,
        TunLost: _on_tun_lost,
        Hello: _on_dtls,
        Handshake: _on_dtls,
        DtlsClosed: _on_dtls,
        TooBig: _on_dtls,
    }

    # ---- frames that are no packet

    def _on_dpd_request(self, payload: bytes) -> End | None:
        self._pump.send(FrameType.DPD_RESPONSE, payload)
        return None

    def _on_nothing(self, _payload: bytes) -> End | None:
        return None

    def _on_bye(self, payload: bytes) -> End | None:
        return End(read_bye(payload), "BYE")

    def _on_compressed(self, _payload: bytes) -> End | None:
        return End(DisconnectReason.ERROR, "a compressed packet, which was not agreed upon", bye=True)

    _ON_FRAME: ClassVar[Mapping[int, Callable[[Tunnel, bytes], End | None]]] = {
        FrameType.DPD_REQUEST: _on_dpd_request,
        FrameType.DPD_RESPONSE: _on_nothing,
        FrameType.DISCONNECT: _on_bye,
        FrameType.KEEPALIVE: _on_nothing,
        FrameType.COMPRESSED: _on_compressed,
    }

    # ---- timers

    def _send_dpd(self) -> End | None:
        self._pump.send(FrameType.DPD_REQUEST)
        return None

    def _send_rekey(self) -> End | None:
        if self._pump.can_rekey:
            self._pump.rekey()
        return None

    def _report_stats(self) -> End | None:
        self._report(None)
        return None

    def _on_dpd_timeout(self) -> End | None:
        return End(DisconnectReason.DPD_TIMEOUT)

    def _on_idle_timeout(self) -> End | None:
        return End(DisconnectReason.IDLE_TIMEOUT, "Idle Timeout", bye=True)

    def _on_session_timeout(self) -> End | None:
        return End(DisconnectReason.SESSION_TIMEOUT, "Session Timeout", bye=True)

    _ON_LIVENESS: ClassVar[Mapping[LivenessAction, Callable[[Tunnel], End | None]]] = {
        LivenessAction.SEND_DPD: _send_dpd,
        LivenessAction.SEND_REKEY: _send_rekey,
        LivenessAction.REPORT_STATS: _report_stats,
        LivenessAction.DPD_TIMEOUT: _on_dpd_timeout,
        LivenessAction.IDLE_TIMEOUT: _on_idle_timeout,
        LivenessAction.SESSION_TIMEOUT: _on_session_timeout,
    }

    # ---- telling the others

    def _watched(self) -> list[int]:
        secmod = [self._link.secmod.fileno()] if self._secmod_alive else []
        return [self._link.main.fileno(), self._signals, *secmod]

    def _tell_main(self) -> None:
        """Now, and whenever something of it changes."""
        mtu, offer = self._pump.mtu, self._offer
        if mtu != self._told_mtu:
            self._told_mtu = mtu
            self._link.main.send(TunMtu(mtu))
        self._link.main.send(
            SessionInfo(
                tls_ciphersuite=self._info.ciphersuite,
                mtu=mtu,
                client=self._granted.request.client,
                dtls_cipher=self._dtls.ciphersuite if self._dtls is not None else "",
                cstp_compression=offer.cstp_compression,
                dtls_compression=offer.dtls_compression,
            )
        )

    def _tell_established(self) -> None:
        self._link.main.send(DtlsEstablished())

    def _tell_latency(self, totals: LatencyTotals | None) -> None:
        if totals is not None:
            self._link.main.send(LatencyStats(totals))

    def _say_bye(self, end: End) -> None:
        if end.bye:
            # One who does not read does not hear it; what follows must be told all the same.
            with contextlib.suppress(TlsError):
                self._pump.send(FrameType.DISCONNECT, build_bye(self._granted.request.client_class, end.text))
                self._pump.flush(FLUSH_TIMEOUT)
        self._pump.close()

    def _end_latency(self) -> None:
        if self._latency is not None:
            with contextlib.suppress(PeerLost):
                self._tell_latency(self._latency.last_report(self._pump.latency))

    def _tell_dropped(self) -> None:
        dropped = self._pump.dropped
        if dropped.total:
            words = ", ".join(f"{getattr(dropped, field.name)} {field.name}" for field in fields(dropped))
            _log.info("packets thrown away: %s", words.replace("_", " "))

    def _report(self, reason: DisconnectReason | None) -> None:
        """Statistics to secmod; where it is away main's page still has the exact bytes."""
        if not self._reports or not self._secmod_alive:
            return
        try:
            self._link.secmod.send(CliStats(self._granted.reply.sid, self._pump.traffic, reason))
        except PeerLost:
            self._secmod_alive = False


def pump_options(granted: Granted, offer: Offer, limits: Limits, *, latency: bool, mtu_discovery: bool) -> PumpOptions:
    """How the packets of this session are treated."""
    config = granted.reply.config
    return PumpOptions(
        offloads=granted.reply.offloads,
        networks=client_networks(offer.lease, config.iroutes),
        tls_compression=offer.cstp_compression,
        dtls_compression=offer.dtls_compression,
        no_compress_limit=config.no_compress_limit,
        udp_patience=config.switch_to_tcp_timeout,
        rx_per_sec=limits.rx_rate,
        tx_per_sec=limits.tx_rate,
        latency=latency,
        discover_mtu=mtu_discovery,
    )


def client_networks(lease: Lease, iroutes: Sequence[str]) -> list[Network]:
    """Where packets of this client may come from: its addresses, and the networks behind it. Of very many only the
    first count."""
    own: list[Network] = []
    if lease.ipv4 is not None:
        own.append(ipaddress.IPv4Network(lease.ipv4.remote))
    if lease.ipv6 is not None:
        own.append(ipaddress.IPv6Network((lease.ipv6.remote, lease.ipv6.prefix), strict=False))
    networks = [*own, *(ipaddress.ip_network(route, strict=False) for route in iroutes)]
    if len(networks) > NETWORKS_MAX:
        _log.warning("%d networks behind the client, only %d of them can send", len(networks), NETWORKS_MAX)
    return networks[:NETWORKS_MAX]


def _ordered(order: Terminate) -> End:
    return End(order.reason, order.text, bye=not order.reconnect)
