"""The TLS handshake of one client, and what it tells."""

from __future__ import annotations

import logging
import select
import socket
import time

from ..bridge.tls import TlsClosed, TlsInfo, TlsSession
from ..errors import ClientError
from ..model import CertificateFacts, DisconnectReason
from ..plugin.worker import CertificateRefused
from .link import Link
from .plugins import Hooks, SessionCertificate
from .world import World

_log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 40.0
"""Seconds: GnuTLS's own default, which the C server uses."""


class HealthProbe(ClientError):
    """A connection that ended without a byte: a load balancer looks whether the port answers."""

    reason = DisconnectReason.HEALTH_PROBE


def shake_hands(connection: socket.socket, link: Link, world: World) -> tuple[TlsSession, TlsInfo]:
    """From the first byte to keys. HealthProbe, TlsError."""
    _await_first_byte(connection, link)
    session = TlsSession(world.tls, connection.fileno(), link, link)
    try:
        info = session.handshake(HANDSHAKE_TIMEOUT)
    except TlsClosed as closed:
        raise ClientError(f"half a handshake: {closed}") from None
    _log.debug("TLS: %s, vhost %s%s", info.ciphersuite, info.vhost, ", resumed" if info.resumed else "")
    return session, info


def certificate_facts(session: TlsSession, info: TlsInfo, hooks: Hooks) -> CertificateFacts | None:
    """Who the client's certificate says that it is; None without a valid one, and for one that names nobody: the log
    says why, and the login goes on as without it. PluginFault."""
    if not info.peer_verified:
        return None
    try:
        facts = hooks.certificate_identity(SessionCertificate(session))
    except CertificateRefused as refusal:
        _log.warning("the client certificate lets nobody in: %s", refusal)
        return None
    if facts is None:
        _log.warning("the client certificate lets nobody in: no back end knows whom it names")
        return None
    _log.info("the client certificate is of '%s'%s", facts.user, _groups(facts))
    return facts


def _groups(facts: CertificateFacts) -> str:
    return f" (groups: {', '.join(facts.groups)})" if facts.groups else ""


def _await_first_byte(connection: socket.socket, link: Link) -> None:
    _await_client(connection, link)
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


def _await_client(connection: socket.socket, link: Link) -> None:
    """Until it says something, ends, or has had its time; what main has to say is heard meanwhile. Ended."""
    poll, deadline = select.poll(), time.monotonic() + HANDSHAKE_TIMEOUT
    poll.register(connection, select.POLLIN)
    poll.register(link.main, select.POLLIN)
    while ready := {fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}:
        if link.main.fileno() in ready:
            link.hear_main()
        if connection.fileno() in ready:
            return
    raise ClientError("no byte was sent in time")
