"""The figures of `show status`, and the rows of `show users`: made from the tables when somebody asks."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from msgspec.structs import replace

from ..config.tree import ServerConfig
from ..ipc.control import Latency, SessionEvent, StatusReport, UserEntry, UserState
from ..ipc.messages import FinalStats, SecmodStats
from ..log import NOTICE
from ..state.resumption import ResumptionCache
from ..state.signers import signer_count
from ..state.totals import Period, SecmodCounters, Totals
from ..system.process import processors
from .admission import Admission
from .events import Events
from .latency import ServerLatency
from .records import ConnectionState, WorkerRecord
from .secmod import Secmod
from .workers import Workers

_log = logging.getLogger(__name__)

_STATES = {
    ConnectionState.FRONT: UserState.PRE_AUTH,
    ConnectionState.PRE_AUTH: UserState.PRE_AUTH,
    ConnectionState.OPENING: UserState.AUTHENTICATING,
    ConnectionState.REFUSED: UserState.AUTH_FAILED,
    ConnectionState.TUNNEL: UserState.CONNECTED,
    ConnectionState.ENDED: UserState.UNKNOWN,
}


class Status:
    """Counts what ends, and answers what is asked."""

    def __init__(
        self,
        config: Callable[[], ServerConfig],
        secmod: Secmod,
        resumption: ResumptionCache,
        admission: Admission,
    ) -> None:
        self._config = config
        self._secmod = secmod
        self._resumption = resumption
        self._admission = admission
        self._totals = Totals.begin(time.time())
        self.latency = ServerLatency()
        self.events = Events()
        self.workers: Workers

    def on_tunnel_up(self, worker: WorkerRecord) -> None:
        """Its client is about to hear of it."""
        self.events.publish(SessionEvent(self._entry(worker)))

    def on_tunnel_end(self, worker: WorkerRecord, final: FinalStats) -> None:
        """A tunnel is accounted."""
        entry = replace(self._entry(worker), traffic=final.traffic)
        self.events.publish(SessionEvent(entry, final.reason.text, time.time() - worker.accepted))
        self._take_secmod(self._secmod.stats)
        if worker.info is not None:
            self._totals.on_mtu(worker.info.mtu)
        period = self._totals.on_session_closed(
            reason=final.reason,
            traffic=final.traffic,
            connected=worker.accepted,
            now=time.time(),
            reset_after=float(self._config().server.server_stats_reset_time),
        )
        if period is not None:
            _log_period(period)

    def report(self) -> StatusReport:
        """`show status`."""
        self._take_secmod(self._secmod.stats)
        totals = self._totals
        period = totals.period
        server = self._config().server
        return StatusReport(
            online=True,
            server_pid=os.getpid(),
            secmod_pid=self._secmod.pid,
            secmod_instances=signer_count(server.sec_mod_scale, server.max_clients, processors()),
            up_since=totals.started,
            active_sessions=len(self.workers.records),
            total_sessions=totals.total_sessions,
            total_auth_failures=totals.total_auth_failures,
            banned_ips=len(self._admission.banned()),
            secmod_client_entries=self._secmod.stats.sessions,
            tls_db_entries=len(self._resumption),
            last_stats_reset=period.started,
            sessions_handled=period.sessions_handled,
            timed_out=period.session_timeouts,
            idle_timed_out=period.idle_timeouts,
            closed_on_error=period.errors,
            clients_cut_off=self.workers.clients_cut_off,
            auth_failures=period.auth_failures,
            average_auth_time=period.auth_time.average,
            max_auth_time=period.auth_time.maximum,
            average_session_time=period.session_time.average,
            max_session_time=period.session_time.maximum,
            min_mtu=totals.min_mtu,
            max_mtu=totals.max_mtu,
            rx_bytes=period.traffic.rx_bytes,
            tx_bytes=period.traffic.tx_bytes,
            latency=self.latency.shown(),
        )

    def users(self) -> list[UserEntry]:
        """`show users`: every connection whose process runs, those before their login too."""
        records = sorted(self.workers.records.values(), key=lambda record: record.pid)
        return [self._entry(record) for record in records if record.pid]

    def log(self) -> None:
        """SIGUSR1: the status, one line a figure."""
        report = self.report()
        for name in StatusReport.__struct_fields__:
            value = getattr(report, name)
            if value is not None:
                _log.log(NOTICE, "status: %s: %s", name, _figure(name, value))

    def _take_secmod(self, stats: SecmodStats) -> None:
        self._totals.on_secmod_stats(
            SecmodCounters(
                auth_failures=stats.auth_failures,
                auth_successes=stats.auth_successes,
                auth_seconds_total=stats.auth_seconds_total,
                auth_seconds_max=stats.auth_seconds_max,
            )
        )

    def _entry(self, record: WorkerRecord) -> UserEntry:
        entry = UserEntry(
            id=record.pid,
            state=_STATES[record.state],
            vhost=record.vhost or "default",
            remote_ip=record.remote.ip,
            local_ip=record.local.ip,
            connected_at=record.accepted,
            user_agent=record.client.user_agent,
            hostname=record.client.hostname,
        )
        return self._with_tunnel(entry, record) if record.tunnel is not None else entry

    def _with_tunnel(self, entry: UserEntry, record: WorkerRecord) -> UserEntry:
        tunnel, info = record.tunnel, record.info
        assert tunnel is not None
        config = tunnel.config
        mobile = record.client.device_platform.startswith(("apple-ios", "android"))
        return replace(
            entry,
            username=tunnel.username,
            group=tunnel.group,
            device=tunnel.device,
            mtu=info.mtu if info else 0,
            lease=tunnel.lease,
            limit_rx=config.rx_data_per_sec,
            limit_tx=config.tx_data_per_sec,
            traffic=self.workers.traffic(record),
            dpd=config.mobile_dpd if mobile else config.dpd,
            keepalive=config.keepalive,
            session_started_at=tunnel.started,
            sid=tunnel.sid,
            tls_ciphersuite=info.tls_ciphersuite if info else "",
            dtls_cipher=info.dtls_cipher if info else "",
            cstp_compression=info.cstp_compression if info else "",
            dtls_compression=info.dtls_compression if info else "",
            dns=config.dns,
            nbns=config.nbns,
            split_dns=config.split_dns,
            routes=config.routes,
            no_routes=config.no_routes,
            iroutes=config.iroutes,
            restricted_to_routes=config.restrict_user_to_routes,
            ports=tuple(map(str, config.restrict_user_to_ports)),
        )


_MOMENTS = frozenset({"up_since", "last_stats_reset"})


def _figure(name: str, value: object) -> str:
    if isinstance(value, float) and name in _MOMENTS:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
    if isinstance(value, float):
        return f"{value:.1f} s"
    if isinstance(value, Latency):
        return f"median {value.median} us, deviation {value.stdev} us"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _log_period(period: Period) -> None:
    _log.log(
        NOTICE,
        "statistics of the period: sessions %d, timed out %d, idle %d, errors %d, authentication failures %d, "
        "average session %.0f s, rx %d, tx %d",
        period.sessions_handled,
        period.session_timeouts,
        period.idle_timeouts,
        period.errors,
        period.auth_failures,
        period.session_time.average,
        period.traffic.rx_bytes,
        period.traffic.tx_bytes,
    )
