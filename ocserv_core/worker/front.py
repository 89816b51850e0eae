"""What comes before TLS: behind a balancer its PROXY header, which is told to main before anything else."""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass

from ..errors import ClientError
from ..ipc.messages import Spawn
from ..model import Endpoint
from ..protocol.proxyproto import MAX_HEADER, HeaderReader, ProxyHeader
from .handshake import HealthProbe
from .link import Link

_log = logging.getLogger(__name__)

HEADER_TIMEOUT = 10.0
"""Seconds for a whole PROXY header, as the C server has it: a balancer sends it at once."""


@dataclass(frozen=True, slots=True)
class Front:
    """Where the client is, and which of our addresses it has reached. `relayed`: another host says so, and the TCP
    connection is not the client's. `probe`: nobody's but the balancer's own."""

    remote: Endpoint
    local: Endpoint
    relayed: bool = False
    probe: bool = False


def meet(connection: socket.socket, spawn: Spawn, link: Link, *, proxied: bool) -> Front:
    """Whose connection it is; by its PROXY header, which main is told of, with listen-proxy-proto (`proxied`).
    HealthProbe, ClientError."""
    if not proxied:
        return Front(spawn.remote, spawn.local)
    header = read_header(connection)
    remote, local = header.addresses or (spawn.remote, spawn.local)
    link.tell_address(remote, local)
    _log.debug("a PROXY header of %s: %s", spawn.remote, "LOCAL" if header.probe else remote)
    return Front(remote, local, relayed=header.addresses is not None, probe=header.probe)


def read_header(connection: socket.socket, timeout: float = HEADER_TIMEOUT) -> ProxyHeader:
    """Take a PROXY header, and no byte of what follows. HealthProbe, ClientError."""
    reader, deadline = HeaderReader(), time.monotonic() + timeout
    try:
        while reader.header is None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            seen = connection.recv(MAX_HEADER, socket.MSG_PEEK)
            if not seen:
                raise HealthProbe("it ended before its PROXY header did")
            connection.recv(reader.take(seen))
            if time.monotonic() > deadline:
                raise TimeoutError
    except TimeoutError:
        raise ClientError(f"no PROXY header within {timeout:.0f} s") from None
    except OSError as error:
        raise HealthProbe(f"the connection ended: {error.strerror}") from None
    finally:
        connection.settimeout(None)
    return reader.header
