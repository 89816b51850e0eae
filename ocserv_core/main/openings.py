"""Where the server listens: at its addresses, in the network namespace that is configured, or at systemd's sockets. The
sockets of flows are made where the listeners are."""

from __future__ import annotations

import contextlib
import socket

import msgspec

from ..config.server import ServerOptions
from ..config.tree import ServerConfig
from ..model import Endpoint
from ..system.activation import Activated
from ..system.datagrams import connect_datagram_socket, open_udp_listeners
from ..system.netns import NetworkNamespace
from ..system.sockets import open_listeners


class Openings:
    """`activated`: what systemd gave us; then nothing else is opened."""

    def __init__(self, activated: Activated | None) -> None:
        self._activated = activated
        self._netns = NetworkNamespace()
        self.tcp: list[socket.socket] = []
        self.udp: list[socket.socket] = []

    def adapt(self, config: ServerConfig) -> ServerConfig:
        """systemd's sockets have their own ports, which clients are told."""
        if self._activated is None:
            return config
        ports = {"tcp_port": self._activated.tcp_port, "udp_port": self._activated.udp_port}
        return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **ports))

    def open(self, server: ServerOptions, stack: contextlib.AsyncExitStack) -> None:
        """Fill `tcp` and `udp`, which `stack` closes. StartError."""
        if self._activated is not None:
            self.tcp, self.udp = self._activated
            _keep([*self.tcp, *self.udp], stack)
            return
        self._netns = NetworkNamespace.open(server.listen_netns)
        stack.callback(self._netns.close)
        self.tcp = self._netns.run(lambda: open_listeners(server.listen_host or None, server.tcp_port))
        _keep(self.tcp, stack)
        if server.udp_port:
            host = server.udp_listen_host or server.listen_host or None
            self.udp = self._netns.run(lambda: open_udp_listeners(host, server.udp_port))
            _keep(self.udp, stack)

    def connect(self, local: Endpoint, remote: Endpoint, interface: int) -> socket.socket:
        """`connect_datagram_socket`, where the listeners are. SystemFailure."""
        return self._netns.run(lambda: connect_datagram_socket(local, remote, interface))


def _keep(sockets: list[socket.socket], stack: contextlib.AsyncExitStack) -> None:
    for sock in sockets:
        stack.callback(sock.close)
