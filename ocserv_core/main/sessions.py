"""A tunnel from main's side: the session is opened at secmod, addresses are leased, the TUN device is made; and at
its end all of that in reverse. Opening is one task a worker; the steps are in `_open`, in their order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec

from ..config.session import SessionConfig, effective, overlaid
from ..config.tree import ServerConfig
from ..errors import SystemFailure
from ..ipc.messages import (
    AuthCookieRefused,
    AuthCookieReply,
    AuthCookieRequest,
    FinalStats,
    SessionClose,
    SessionLeased,
    SessionOpen,
    SessionReply,
    SessionStart,
    Terminate,
    UpdateLimits,
    UpdateSession,
)
from ..log import NOTICE
from ..model import DisconnectReason, Identity, Lease, SessionId, Traffic, short
from ..state.associations import Associations
from ..state.ip_pool import PoolExhausted
from ..system.netlink import Netlink
from ..system.tun import Tun, open_tun
from .leases import Leases
from .outside import Outside
from .plugins import NO_PLUGINS
from .records import ConnectionState, TunnelRecord, WorkerRecord
from .secmod import Secmod
from .tasks import Tasks
from .utmp import Utmp
from .workers import Workers

_log = logging.getLogger(__name__)

DEFAULT_MTU = 1500
HOLD_SLACK = 15.0
"""Seconds that addresses are kept longer than the cookie they belong to."""

SCRIPT_ENDS_WITHIN = 10.0
"""Seconds that a session's next connection waits for the disconnect-script of the one before: they shall not run beside
each other."""


class TunnelObserver(Protocol):
    """Who wants to know of ended tunnels (status.py)."""

    def on_tunnel_up(self, worker: WorkerRecord) -> None:
        """A tunnel is handed over."""

    def on_tunnel_end(self, worker: WorkerRecord, final: FinalStats) -> None:
        """A tunnel is accounted."""


class _Refused(Exception):
    """No tunnel: HTTP status and X-Reason."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What secmod granted, and what follows from it."""

    sid: SessionId
    identity: Identity
    started: float
    last_lease: Lease
    config: SessionConfig
    accounted: bool = False


class Sessions:
    """Opens and closes tunnels. `config` gives the configuration of the moment; `tasks` is what is under way."""

    def __init__(
        self,
        config: Callable[[], ServerConfig],
        secmod: Secmod,
        netlink: Netlink,
        leases: Leases,
        observer: TunnelObserver,
        associations: Associations,
        outside: Outside,
    ) -> None:
        self._config = config
        self._secmod = secmod
        self._netlink = netlink
        self._leases = leases
        self._observer = observer
        self._associations = associations
        self._outside = outside
        self._leaving: dict[SessionId, asyncio.Task[None]] = {}
        self._closing: dict[int, tuple[WorkerRecord, TunnelRecord, Traffic]] = {}
        # One opening at a time for a session; a lock lives as long as somebody holds or awaits it.
        self._locks: WeakValueDictionary[SessionId, asyncio.Lock] = WeakValueDictionary()
        self.tasks = Tasks()
        self.workers: Workers
        self.plugins = NO_PLUGINS
        self.utmp: Utmp

    # ---- opening

    def start_open(self, worker: WorkerRecord, request: AuthCookieRequest) -> None:
        """CONNECT: answer it in a task of its own."""
        self.tasks.start(self._open(worker, request))

    def start_set_mtu(self, worker: WorkerRecord, mtu: int) -> None:
        """Set the device's MTU."""
        self.tasks.start(self._set_mtu(worker, mtu))

    async def _open(self, worker: WorkerRecord, request: AuthCookieRequest) -> None:
        """What is begun here is either handed over or taken back, whatever fails."""
        try:
            opened = await self._ask_secmod(worker, request)
        except _Refused as refusal:
            self._refuse(worker, refusal)
            return
        # From now on secmod counts the session as in use: a restarted secmod must hear of it.
        worker.sid, worker.username = opened.sid, opened.identity.username
        async with self._lock(opened.sid):
            refused = _Refused(503, "Server configuration error")
            try:
                await self._build(worker, request, opened)
            except _Refused as why:
                refused = why
                self._log_failure(worker, opened, why)
            except PoolExhausted as why:
                refused = _Refused(503, "No address is free, please try again later")
                self._log_failure(worker, opened, why)
            except SystemFailure as failure:
                self._log_failure(worker, opened, failure)
            finally:
                if worker.tunnel is None:
                    await self._undo(worker, opened)
                    self._refuse(worker, refused)

    def _lock(self, sid: SessionId) -> asyncio.Lock:
        """Opening and closing of one session never mix: who closes must see whether another has opened."""
        return self._locks.setdefault(sid, asyncio.Lock())

    async def _ask_secmod(self, worker: WorkerRecord, request: AuthCookieRequest) -> _Opened:
        if all(vhost.name != request.vhost for vhost in self._config().vhosts):
            raise _Refused(503, "the virtual host was removed")
        reply = await self._secmod.open_session(
            lambda number: SessionOpen(
                request=number,
                worker=worker.number,
                vhost=request.vhost,
                cookie=request.cookie,
                remote_ip=worker.remote.ip,
                client=request.client,
                certificate=request.certificate,
            )
        )
        if reply.refused:
            _log.info("%s: the cookie opens no tunnel: %s", worker.remote, reply.refused)
            raise _Refused(reply.status, "Cookie is not acceptable")
        return self._granted(request, reply)

    def _granted(self, request: AuthCookieRequest, reply: SessionReply) -> _Opened:
        assert reply.identity is not None
        # A reload may have removed it while secmod was asked.
        vhost = next((v for v in self._config().vhosts if v.name == request.vhost), self._config().default)
        config = effective(vhost.options, reply.overlay, vhost.exposed)
        return _Opened(reply.sid, reply.identity, reply.started, reply.lease, config, reply.accounted)

    async def _build(self, worker: WorkerRecord, request: AuthCookieRequest, opened: _Opened) -> None:
        """From a granted session to a tunnel that is up."""
        self._check_alive(worker)
        await self._replace_others(worker, opened.sid)
        self._check_same_clients(worker, opened)
        lease = await self._leases.take(
            opened.sid,
            opened.identity.username,
            opened.last_lease,
            opened.config,
            want4=request.wants_ipv4,
            want6=request.wants_ipv6,
        )
        self._check_alive(worker)
        tun = open_tun(self._config().server.device)
        try:
            await self._netlink.configure_tun(tun.index, lease, opened.config.mtu or DEFAULT_MTU)
            self._check_alive(worker)
            await self._start_accounting(opened, lease)
            self._check_alive(worker)
            tunnel = _tunnel(opened, lease, tun)
            if leaving := self._leaving.get(opened.sid):
                await asyncio.wait([leaving], timeout=SCRIPT_ENDS_WITHIN)
            if not await self._outside.enter(worker, tunnel, lambda: self.workers.gone(worker)):
                raise _Refused(401, "Cookie is not acceptable")
            if not self._is_alive(worker):
                # It ended together with its script, which had agreed.
                self._start_disconnect_script(worker, tunnel, Traffic())
                await self._outside.leave(tunnel)
            self._check_alive(worker)
            self._hand_over(worker, tunnel, tun)
        finally:
            tun.close()

    async def _start_accounting(self, opened: _Opened, lease: Lease) -> None:
        """Before the client hears of its tunnel: who cannot be accounted gets none."""
        self._secmod.tell(SessionLeased(opened.sid, lease))
        if opened.accounted:
            started = await self._secmod.start_session(lambda number: SessionStart(number, opened.sid))
            if started.refused:
                _log.warning("session %s gets no tunnel: %s", short(opened.sid), started.refused)
                raise _Refused(started.status, "Cookie is not acceptable")

    def _hand_over(self, worker: WorkerRecord, tunnel: TunnelRecord, tun: Tun) -> None:
        """From here on the device lives and dies with the worker, which holds its only descriptor."""
        if worker.update is not None:
            tunnel = msgspec.structs.replace(tunnel, config=overlaid(tunnel.config, worker.update))
        self.workers.phase(worker, ConnectionState.TUNNEL)
        worker.tunnel = tunnel
        if not tunnel.config.no_udp:
            self._associations.add(worker.number, tunnel.dtls_id, worker.remote.ip)
        reply = AuthCookieReply(
            sid=tunnel.sid,
            username=tunnel.username,
            group=tunnel.group,
            lease=tunnel.lease,
            device=tunnel.device,
            started=tunnel.started,
            dtls_id=tunnel.dtls_id,
            config=tunnel.config,
            offloads=tun.offloads,
        )
        self.workers.send(worker, reply, (tun.fd,))
        _log.log(
            NOTICE,
            "user '%s' logged in from %s (session %s, device %s, %s)",
            tunnel.username,
            worker.remote,
            short(tunnel.sid),
            tunnel.device,
            _addresses(tunnel.lease),
        )
        self._observer.on_tunnel_up(worker)
        self.utmp.on_up(worker, tunnel)
        self.plugins.on_up(worker, tunnel)

    def _check_alive(self, worker: WorkerRecord) -> None:
        if not self._is_alive(worker):
            raise _Refused(503, "the client is gone")

    def _is_alive(self, worker: WorkerRecord) -> bool:
        return worker.number in self.workers.records and worker.state is not ConnectionState.ENDED

    def _check_same_clients(self, worker: WorkerRecord, opened: _Opened) -> None:
        """max-same-clients counts a user over all vhosts, with those that are being opened; the session that is being
        replaced does not count."""
        limit = opened.config.max_same_clients
        others = {
            record.sid
            for record in self.workers.records.values()
            if (record.tunnel or record.counted) and record.username == opened.identity.username
        } - {opened.sid}
        worker.counted = True
        if limit and len(others) >= limit:
            raise _Refused(401, f"'{opened.identity.username}' is connected {len(others)} times, the most allowed")

    async def _replace_others(self, worker: WorkerRecord, sid: SessionId) -> None:
        """One connection a cookie, and the newest wins. The old device must be gone: it has the same addresses."""
        for other in self.workers.of_session(sid):
            if other is not worker and other.tunnel is not None:
                _log.info("session %s: %s replaces %s", short(sid), worker.remote, other.remote)
                await self.workers.end(other, Terminate(DisconnectReason.SERVER, reconnect=True))
                await self._finish(other.number)
        for number in [number for number, (_, tunnel, _) in self._closing.items() if tunnel.sid == sid]:
            await self._finish(number)

    def _refuse(self, worker: WorkerRecord, refusal: _Refused) -> None:
        if worker.number in self.workers.records and worker.state is not ConnectionState.ENDED:
            self.workers.phase(worker, ConnectionState.REFUSED)
            self.workers.send(worker, AuthCookieRefused(refusal.status, str(refusal)))

    def _log_failure(self, worker: WorkerRecord, opened: _Opened, failure: Exception) -> None:
        _log.warning("no tunnel for '%s' from %s: %s", opened.identity.username, worker.remote, failure)

    async def _undo(self, worker: WorkerRecord, opened: _Opened) -> None:
        """The session was opened at secmod; it was not used, so its cookie lives on."""
        worker.sid, worker.username, worker.counted = None, "", False
        if not self.workers.of_session(opened.sid):
            self._release(opened.sid, cookie_lives=True)
        await self._secmod.close_session(
            lambda number: SessionClose(number, worker.number, opened.sid, Traffic(), DisconnectReason.ERROR)
        )

    # ---- closing

    def on_worker_end(self, worker: WorkerRecord, traffic: Traffic) -> None:
        """The process is gone, its traffic final."""
        if worker.tunnel is not None:
            self._closing[worker.number] = (worker, worker.tunnel, traffic)
            self.tasks.start(self._close(worker.number, worker.tunnel.sid))

    async def _close(self, number: int, sid: SessionId) -> None:
        async with self._lock(sid):
            await self._finish(number)

    async def _finish(self, number: int) -> None:
        """Under the session's lock, once: by whoever comes first, a connection that replaces it or its own end."""
        worker, tunnel, traffic = self._closing.pop(number, (None, None, None))
        if worker is None or tunnel is None or traffic is None:
            return
        final = await self._secmod.close_session(
            lambda request: SessionClose(request, number, tunnel.sid, traffic, worker.reason)
        )
        await self._remove_device(tunnel)
        if not self.workers.of_session(tunnel.sid):
            self._release(tunnel.sid, cookie_lives=final.cookie_lives)
        self._observer.on_tunnel_end(worker, final)
        _log.log(
            NOTICE,
            "user '%s' disconnected (session %s, reason: %s, rx: %d, tx: %d)",
            tunnel.username,
            short(tunnel.sid),
            final.reason.text,
            final.traffic.rx_bytes,
            final.traffic.tx_bytes,
        )
        self.utmp.on_down(worker, tunnel)
        self.plugins.on_down(worker, tunnel, final.traffic, final.reason)
        self._start_disconnect_script(worker, tunnel, final.traffic)
        await self._outside.leave(tunnel)

    def _start_disconnect_script(self, worker: WorkerRecord, tunnel: TunnelRecord, traffic: Traffic) -> None:
        script = self.tasks.start(self._outside.run_disconnect_script(worker, tunnel, traffic))
        self._leaving[tunnel.sid] = script
        script.add_done_callback(lambda ended: self._forget_leaving(tunnel.sid, ended))

    def _forget_leaving(self, sid: SessionId, script: asyncio.Task[None]) -> None:
        if self._leaving.get(sid) is script:
            del self._leaving[sid]

    async def _remove_device(self, tunnel: TunnelRecord) -> None:
        """It went with its worker; one that a hostile worker has made to stay would keep the addresses."""
        try:
            await self._netlink.remove(tunnel.index)
        except SystemFailure as failure:
            _log.error("%s: %s", tunnel.device, failure)

    def _release(self, sid: SessionId, *, cookie_lives: bool) -> None:
        """While the cookie lives the addresses wait for it: openconnect refuses others on a reconnect."""
        now = time.time()
        hold = self._longest_cookie() + HOLD_SLACK if cookie_lives else 0.0
        self._leases.release(sid, now + hold)

    def _longest_cookie(self) -> float:
        return max(vhost.options.cookie_timeout for vhost in self._config().vhosts)

    async def give_up(self, within: float) -> None:
        """At the end of the server: scripts have had their time. Those that were to decide are killed, those that only
        hear go on without us; `within` so many seconds everything else is taken back, and who was killed accounted."""
        if self.tasks.running:
            _log.warning("%d scripts or other acts of sessions have not ended, and are left alone", self.tasks.running)
        self.tasks.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.tasks.settle()

    # ---- the rest

    def on_info(self, worker: WorkerRecord) -> None:
        """A worker has told of its client: the host's name is passed on, once."""
        if worker.tunnel is not None and worker.client.hostname and not worker.host_told:
            worker.host_told = True
            self.tasks.start(self._outside.update_host(worker, worker.tunnel))

    async def disconnect(self, sid: SessionId, reason: DisconnectReason, text: str) -> bool:
        """End a session's tunnel; whether there was one."""
        workers = self.workers.of_session(sid)
        await asyncio.gather(*(self.workers.end(worker, Terminate(reason, text)) for worker in workers))
        return bool(workers)

    def update(self, message: UpdateSession) -> None:
        """Other options hold for a session that is up."""
        for worker in self.workers.of_session(message.sid):
            if worker.tunnel is None:
                worker.update = message.overlay
            elif worker.state is not ConnectionState.ENDED:
                config = overlaid(worker.tunnel.config, message.overlay)
                worker.tunnel = msgspec.structs.replace(worker.tunnel, config=config)
                left = worker.tunnel.started + config.session_timeout - time.time()
                limits = UpdateLimits(
                    idle_timeout=config.idle_timeout,
                    session_remaining=max(0.0, left) if config.session_timeout else None,
                    stats_report_time=config.stats_report_time,
                    rx_data_per_sec=config.rx_data_per_sec,
                    tx_data_per_sec=config.tx_data_per_sec,
                )
                self.workers.send(worker, limits)

    async def _set_mtu(self, worker: WorkerRecord, mtu: int) -> None:
        assert worker.tunnel is not None
        try:
            await self._netlink.set_mtu(worker.tunnel.index, mtu)
        except SystemFailure as failure:
            if worker.number in self.workers.records:
                _log.warning("%s: %s", worker.tunnel.device, failure)


def _tunnel(opened: _Opened, lease: Lease, tun: Tun) -> TunnelRecord:
    return TunnelRecord(
        sid=opened.sid,
        username=opened.identity.username,
        group=opened.identity.group,
        lease=lease,
        device=tun.name,
        index=tun.index,
        started=opened.started,
        config=opened.config,
        dtls_id=os.urandom(32),
    )


def _addresses(lease: Lease) -> str:
    return " ".join(pair.remote for pair in (lease.ipv4, lease.ipv6) if pair is not None)
