"""A worker from its fork to its end: limits, handshake, login, tunnel."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from mmap import mmap

from ..bridge.tls import TlsClosed, TlsInfo
from ..config.worker import WorkerServer, WorkerVhost
from ..errors import ClientError, OcservError, PeerViolation
from ..ipc.messages import Spawn
from ..model import CLIENT_CUT_OFF, short
from ..plugin.worker import TunnelFacts
from ..protocol.dtls import DtlsSettings
from ..protocol.limits import Limits, limits_of
from ..protocol.login import Login
from ..protocol.login_words import ConnectionFacts, LoginSettings
from ..protocol.offer import OfferFacts, build_offer
from ..system.client_sockets import set_priority, set_send_buffer
from ..system.isolate import enter_worker
from ..system.memfd import map_page
from ..system.process import set_title
from ..system.sockets import tcp_mtu
from .front import Front, meet
from .handshake import HealthProbe, certificate_facts, shake_hands
from .link import Link, adopt
from .login import Granted, LoginDriver, LoginOver
from .plugins import PluginFault
from .tunnel import Tunnel
from .world import SERVER_NAME, World

_log = logging.getLogger(__name__)

FOR_EVER = 365 * 86400.0
JITTER = 29
"""Seconds by which rekey-time is moved either way, so that a fleet does not rekey at once."""


def run_worker(spawn: Spawn, fds: list[int], world: World) -> int:
    """The whole life of a worker: its exit status. fds: connection, main, secmod, page of counters."""
    connection_fd, main_fd, secmod_fd, page_fd = fds
    link = Link(adopt(main_fd), adopt(secmod_fd))
    world.log.attach(link.main)
    set_title("ocserv-worker")
    enter_worker(fds, memory_baseline=world.memory_baseline, isolate=world.config.server.isolate_workers)
    page = map_page(page_fd, writable=True)
    os.close(page_fd)
    with adopt(connection_fd) as connection:
        try:
            front = meet(connection, spawn, link, proxied=world.config.server.listen_proxy_proto)
            with _probes_unheard(front):
                _serve(front, connection, link, world, page)
        except (OcservError, TimeoutError) as end:
            return _tell(end)
    return 0


@contextlib.contextmanager
def _probes_unheard(front: Front) -> Iterator[None]:
    """How far a balancer goes with a connection of its own is nobody's business."""
    try:
        yield
    except (ClientError, LoginOver, TlsClosed, TimeoutError) as end:
        if front.probe:
            raise HealthProbe(f"the balancer's own connection ends: {end or type(end).__name__}") from None
        raise


def _serve(front: Front, connection: socket.socket, link: Link, world: World, page: mmap) -> None:
    """The client's life, in its order."""
    session, info = shake_hands(connection, link, world)
    vhost = world.vhost(info.vhost)
    hooks = world.hooks[vhost.name]
    certificate = certificate_facts(session, info, hooks)
    settings = LoginSettings.of(vhost, hooks.pages)
    login = Login(settings, ConnectionFacts(info.server_certificate_sha1, certificate))
    deadline = time.monotonic() + (world.config.server.auth_timeout or FOR_EVER)
    driver = LoginDriver(session, connection.fileno(), link, login, certificate, vhost.name, deadline)
    granted = driver.run()
    _log.info("the tunnel opens (session %s)", short(granted.reply.sid))
    added = hooks.offer_headers(TunnelFacts(granted.reply.username, granted.reply.group, granted.request.client))
    facts = _offer_facts(front, info, world.config.server, vhost, granted, connection.fileno(), added)
    offer = build_offer(granted.request, granted.reply.config, granted.reply.lease, facts)
    _tune(connection, limits_of(granted.reply.config, offer.link_mtu))
    server = world.config.server
    Tunnel(
        session,
        info,
        link,
        granted,
        offer,
        page,
        mtu_discovery=server.try_mtu_discovery,
        latency=server.latency_stats,
        reports=not server.debug_no_secmod_stats,
    ).run()


def _tune(connection: socket.socket, limits: Limits) -> None:
    """net-priority and output-buffer; what the kernel refuses is done without."""
    try:
        set_priority(connection, socket_priority=limits.socket_priority, tos=limits.tos)
        set_send_buffer(connection, limits.send_buffer)
    except OSError as error:
        _log.warning("the connection cannot be set up as configured: %s", error.strerror)


_ENDINGS: tuple[tuple[type[Exception], int, str, int], ...] = (
    (HealthProbe, logging.DEBUG, "%s", 0),
    (LoginOver, logging.INFO, "the connection ends: %s", 0),
    (TlsClosed, logging.INFO, "the connection ends: %s", 0),
    (ClientError, logging.INFO, "the client is cut off: %s", CLIENT_CUT_OFF),
    (PeerViolation, logging.ERROR, "%s", 1),
    (PluginFault, logging.ERROR, "the connection ends: %s", 1),
    (Exception, logging.INFO, "the connection ends: %s", 0),
)
"""What ended a worker before its tunnel, the first that fits: how it is logged, and the exit status."""


def _tell(end: Exception) -> int:
    level, text, status = next(row[1:] for row in _ENDINGS if isinstance(end, row[0]))
    _log.log(level, text, end or type(end).__name__)
    return status


def _offer_facts(
    front: Front,
    info: TlsInfo,
    server: WorkerServer,
    vhost: WorkerVhost,
    granted: Granted,
    connection_fd: int,
    added_headers: tuple[str, ...],
) -> OfferFacts:
    reply = granted.reply
    return OfferFacts(
        server_name=SERVER_NAME,
        tls_version=info.version,
        username=reply.username,
        group=reply.group,
        # The way to a balancer is not the client's.
        path_mtu=None if front.relayed else tcp_mtu(connection_fd),
        outer_ipv6=":" in front.remote.ip,
        started=reply.started,
        now=time.time(),
        rekey_jitter=int.from_bytes(os.urandom(2)) % (2 * JITTER + 1) - JITTER,
        included_headers=(*vhost.options.included_http_headers, *added_headers),
        dtls=_dtls_settings(info, server, vhost),
        dtls_id=reply.dtls_id,
        compression_priorities=server.compression_algo_priority,
    )


def _dtls_settings(info: TlsInfo, server: WorkerServer, vhost: WorkerVhost) -> DtlsSettings:
    options = vhost.options
    return DtlsSettings(
        udp_port=server.udp_port,
        psk=server.dtls_psk,
        legacy=options.dtls_legacy,
        match_tls_ciphers=options.match_tls_dtls_ciphers,
        priorities=options.tls_priorities,
        tls_cipher=info.cipher,
        tls_mac=info.mac,
    )
