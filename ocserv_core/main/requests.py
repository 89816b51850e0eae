"""What a worker may ask of main, and the answers: the permits of one worker."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..config.tree import ServerConfig
from ..errors import PeerViolation
from ..ipc.messages import (
    AuthCookieRequest,
    ClientAddress,
    DtlsEstablished,
    LatencyStats,
    LogLine,
    Message,
    ResumeDelete,
    ResumeFetch,
    ResumeReply,
    ResumeStore,
    SessionInfo,
    TunMtu,
    UdpVerdict,
)
from ..ipc.permits import Gate, Permit
from ..model import Endpoint
from ..state.resumption import ResumptionCache
from .latency import ServerLatency
from .records import ConnectionState, WorkerRecord
from .searcher import Searcher
from .sessions import Sessions
from .voices import WorkerVoice
from .workers import Workers

_log = logging.getLogger(__name__)

Answer: TypeAlias = Callable[[WorkerRecord, Message], None]

_FRONT = frozenset({ConnectionState.FRONT})
_LOGIN = frozenset({ConnectionState.PRE_AUTH})
_TUNNEL = frozenset({ConnectionState.TUNNEL})

MIN_TUN_MTU = 68
MAX_MTU_CHANGES = 1024
"""In an hour: each is work of the kernel that holds up everybody's."""


class Requests:
    """The answers to workers; one object for all of them."""

    def __init__(
        self,
        sessions: Sessions,
        resumption: ResumptionCache,
        workers: Callable[[], Workers],
        config: Callable[[], ServerConfig],
        latency: ServerLatency,
        searcher: Searcher,
    ) -> None:
        self._sessions = sessions
        self._resumption = resumption
        self._workers = workers
        self._config = config
        self._latency = latency
        self._searcher = searcher
        self._table: Mapping[type[Message], Permit[Any]] = {
            ClientAddress: Permit(self.answer_client_address, _FRONT, once=True),
            AuthCookieRequest: Permit(self.answer_auth_cookie_request, _LOGIN, once=True),
            ResumeStore: Permit(self.answer_resume_store, _LOGIN, once=True),
            ResumeFetch: Permit(self.answer_resume_fetch, _LOGIN, once=True),
            ResumeDelete: Permit(self.answer_resume_delete, _LOGIN, once=True),
            SessionInfo: Permit(self.answer_session_info, _TUNNEL),
            TunMtu: Permit(self.answer_tun_mtu, _TUNNEL),
            LatencyStats: Permit(self.answer_latency_stats, _TUNNEL),
            DtlsEstablished: Permit(self.answer_dtls_established, _TUNNEL),
            UdpVerdict: Permit(self.answer_udp_verdict, _TUNNEL),
        }

    def new_gate(self, phase: ConnectionState = ConnectionState.PRE_AUTH) -> Gate[Answer]:
        """The permits of a new worker in its first phase. What it may log is measured for each of them."""
        lines: Permit[Any] = Permit(WorkerVoice("worker").answer_log_line)
        return Gate({**self._table, LogLine: lines}, phase)

    def answer_client_address(self, worker: WorkerRecord, message: ClientAddress) -> None:
        """Whose connection it is: from now on for everybody. What was not known before the fork is decided now."""
        if not (_is_canonical(message.remote) and _is_canonical(message.local)):
            raise PeerViolation("a client's address that is none")
        self._workers().on_address(worker, message.remote, message.local)

    def answer_auth_cookie_request(self, worker: WorkerRecord, message: AuthCookieRequest) -> None:
        """CONNECT: open a tunnel for a cookie. One at a time, and one only."""
        self._check_vhost(worker, message.vhost)
        worker.vhost = message.vhost
        worker.client = message.client
        self._workers().phase(worker, ConnectionState.OPENING)
        self._sessions.start_open(worker, message)

    def answer_session_info(self, worker: WorkerRecord, message: SessionInfo) -> None:
        """What occtl shows."""
        worker.info = message
        worker.client = message.client
        if message.dtls_cipher:
            # As the C server: the first report comes too early for scripts that look for the connection.
            self._sessions.on_info(worker)

    def answer_tun_mtu(self, worker: WorkerRecord, message: TunMtu) -> None:
        """Follow the tunnel's MTU with the device's."""
        assert worker.tunnel is not None
        self._count_mtu_change(worker)
        if not MIN_TUN_MTU <= message.mtu <= (worker.tunnel.config.mtu or 16384):
            raise PeerViolation(f"an MTU of {message.mtu} is out of range")
        self._sessions.start_set_mtu(worker, message.mtu)

    def _count_mtu_change(self, worker: WorkerRecord) -> None:
        hour = int(time.time() // 3600)
        if worker.mtu_hour != hour:
            worker.mtu_hour, worker.mtu_changes = hour, 0
        worker.mtu_changes += 1
        if worker.mtu_changes > MAX_MTU_CHANGES:
            raise PeerViolation(f"the MTU was changed {worker.mtu_changes} times in an hour")

    def answer_latency_stats(self, worker: WorkerRecord, message: LatencyStats) -> None:
        """Sums of what it measured. One of an earlier configuration may have been told to measure by that."""
        if self._is_current(worker) and not self._config().server.latency_stats:
            raise PeerViolation("latency statistics, which are off")
        if not message.totals.plausible:
            raise PeerViolation(f"latency statistics that cannot be: {message.totals}")
        self._latency.add(message.totals)

    def answer_dtls_established(self, worker: WorkerRecord, _message: DtlsEstablished) -> None:
        """The client is where its hello came from."""
        self._searcher.on_established(worker.number)

    def answer_udp_verdict(self, worker: WorkerRecord, message: UdpVerdict) -> None:
        """Its keys open a datagram, or do not; only where it was asked."""
        self._searcher.on_verdict(worker.number, message)

    def answer_resume_store(self, worker: WorkerRecord, message: ResumeStore) -> None:
        """Keep a TLS session for this client."""
        self._check_vhost(worker, message.vhost)
        self._resumption.store(
            message.session_id, message.data, vhost=message.vhost, address=worker.remote.ip, now=time.time()
        )

    def answer_resume_fetch(self, worker: WorkerRecord, message: ResumeFetch) -> None:
        """Give it back to the same client of the same vhost."""
        self._check_vhost(worker, message.vhost)
        data = self._resumption.fetch(
            message.session_id, vhost=message.vhost, address=worker.remote.ip, now=time.time()
        )
        self._workers().send(worker, ResumeReply(data))

    def answer_resume_delete(self, worker: WorkerRecord, message: ResumeDelete) -> None:
        """Forget it."""
        self._check_vhost(worker, message.vhost)
        self._resumption.delete(message.session_id, vhost=message.vhost, address=worker.remote.ip)

    def _check_vhost(self, worker: WorkerRecord, name: str) -> None:
        """A worker knows the names. One of an earlier configuration may name a vhost that a reload has removed."""
        if self._is_current(worker) and all(vhost.name != name for vhost in self._config().vhosts):
            raise PeerViolation("a vhost that the configuration does not have")

    def _is_current(self, worker: WorkerRecord) -> bool:
        return worker.generation == self._workers().generation


def _is_canonical(end: Endpoint) -> bool:
    """Other tables know a client by this text."""
    try:
        return "%" not in end.ip and str(ipaddress.ip_address(end.ip)) == end.ip and 0 <= end.port <= 0xFFFF
    except ValueError:
        return False
