"""The sockets that systemd has opened for us (sd_listen_fds(3)). Called by main, before it goes to the background: they
are meant for the process that was started, which is told from another by its pid."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping
from typing import NamedTuple

from ..errors import StartError
from .datagrams import make_listener

_log = logging.getLogger(__name__)

FIRST = 3
"""SD_LISTEN_FDS_START."""

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Activated(NamedTuple):
    """Listeners as `open_listeners` and `open_udp_listeners` make them."""

    tcp: list[socket.socket]
    udp: list[socket.socket]

    @property
    def tcp_port(self) -> int:
        """The first one's."""
        return int(self.tcp[0].getsockname()[1])

    @property
    def udp_port(self) -> int:
        """The first one's; 0 where there is none, and so no DTLS."""
        return int(self.udp[0].getsockname()[1]) if self.udp else 0


def take_activated(environment: MutableMapping[str, str] = os.environ) -> Activated | None:
    """The sockets that this process was started with; None where systemd gave it none. The variables are removed.

    What is no internet socket is closed, with a warning. StartError where no TCP listener is among them.
    """
    pid, count = environment.get("LISTEN_PID", ""), environment.get("LISTEN_FDS", "")
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal() or not int(count):
        return None  # another process' (of whom we are a child), or not there
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(variable, None)
    activated = Activated([], [])
    for number in range(int(count)):
        _sort(FIRST + number, names[number] if number < len(names) else "", activated)
    if not activated.tcp:
        for sock in activated.udp:
            sock.close()
        raise StartError("systemd gave no TCP socket that listens: the .socket unit needs ListenStream= with a port")
    return activated


def _sort(fd: int, name: str, activated: Activated) -> None:
    """Into one of the lists, or closed."""
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
    except OSError as error:
        _log.warning("systemd's descriptor %d (%s) is no socket: %s", fd, name or "unnamed", error.strerror)
        return
    if sock.family in _INTERNET and sock.type == socket.SOCK_STREAM and _listens(sock):
        sock.setblocking(False)
        activated.tcp.append(sock)
    elif sock.family in _INTERNET and sock.type == socket.SOCK_DGRAM:
        make_listener(sock)
        activated.udp.append(sock)
    else:
        _log.warning(
            "systemd's socket %d (%s) is no TCP listener and no UDP socket; it is closed", fd, name or "unnamed"
        )
        sock.close()


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
