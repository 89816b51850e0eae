"""The TLS handshake of one client, and what it tells."""

from __future__ import annotations

import logging
import socket

from ..bridge.tls import TlsClosed, TlsInfo, TlsSession
from ..config.worker import WorkerVhost
from ..errors import ClientError
from ..model import CertificateFacts, DisconnectReason
from .link import Link
from .world import World

_log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 40.0
"""Seconds: GnuTLS's own default, which the C server uses."""

_RFC822 = "SAN(rfc822name)"


class HealthProbe(ClientError):
    """A connection that ended without a byte: a load balancer looks whether the port answers."""

    reason = DisconnectReason.HEALTH_PROBE


def shake_hands(connection: socket.socket, link: Link, world: World) -> tuple[TlsSession, TlsInfo]:
    """From the first byte to keys. HealthProbe, TlsError."""
    _await_first_byte(connection)
    session = TlsSession(world.tls, connection.fileno(), link, link)
    try:
        info = session.handshake(HANDSHAKE_TIMEOUT)
    except TlsClosed as closed:
        raise ClientError(f"half a handshake: {closed}") from None
    _log.debug("TLS: %s, vhost %s%s", info.ciphersuite, info.vhost, ", resumed" if info.resumed else "")
    return session, info


def certificate_facts(session: TlsSession, info: TlsInfo, vhost: WorkerVhost) -> CertificateFacts | None:
    """Who the client's certificate says that it is; None without a valid one. ClientError where it names nobody."""
    if not info.peer_verified:
        return None
    oid = vhost.options.cert_user_oid
    names = session.peer_emails() if oid == _RFC822 else session.peer_names(oid)
    if not names or len(names[0].encode()) > 63:
        raise ClientError(f"the client's certificate has no user name in {oid}")
    groups = session.peer_names(vhost.options.cert_group_oid) if vhost.options.cert_group_oid else ()
    return CertificateFacts(names[0], groups)


def _await_first_byte(connection: socket.socket) -> None:
    connection.settimeout(HANDSHAKE_TIMEOUT)
    try:
        if not connection.recv(1, socket.MSG_PEEK):
            raise HealthProbe("no byte was sent")
    except TimeoutError:
        raise ClientError("no byte was sent in time") from None
    except OSError as error:
        raise HealthProbe(f"the connection ended: {error.strerror}") from None
    finally:
        connection.settimeout(None)
