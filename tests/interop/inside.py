"""A machine of the site behind the server: what a client may reach there, and a count of what arrived."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Mapping
from contextlib import suppress

from .client import Client
from .lab import POOL4, POOL6, SERVER4, SERVER6, Lab
from .processes import PATIENCE

ONE4, TWO4 = "203.0.113.1", "203.0.113.130"
ONE6, TWO6 = "2001:db8:9::1", "2001:db8:9:8000::1"
"""Its addresses: two networks of each family, of which a session may be given one."""

NETWORK4, NETWORK6 = "203.0.113.0/24", "2001:db8:9::/48"
FIRST4, FIRST6 = "203.0.113.0/25", "2001:db8:9::/64"

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Inside:
    """`passes` asks the client's end and this machine's end alike: what is refused must not have arrived."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.host = lab.host()
        for address in (ONE4, TWO4, ONE6, TWO6):
            self._run("ip", "address", "add", address, "dev", "lo")
        self.host.route(POOL4, SERVER4)
        self.host.route(POOL6, SERVER6)
        server = lab.namespace
        server.run("sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1").check_returncode()
        for network, gateway in ((NETWORK4, self.host.address4), (NETWORK6, self.host.address6)):
            family = "-6" if ":" in network else "-4"
            server.run("ip", family, "route", "add", network, "via", gateway).check_returncode()
        self.host.nft(
            "add table inet witness\n"
            "add chain inet witness arrived { type filter hook prerouting priority -300; }\n"
            f"add rule inet witness arrived ip saddr {POOL4} counter\n"
            f"add rule inet witness arrived ip6 saddr {POOL6} counter\n"
        )

    def _run(self, *argv: str) -> None:
        self.host.run(*argv).check_returncode()

    def admit(self, client: Client) -> Client:
        """The client sends into its tunnel what is meant for here."""
        for network in (NETWORK4, NETWORK6):
            family = "-6" if ":" in network else "-4"
            client.host.run("ip", family, "route", "add", network, "dev", "tun0").check_returncode()
        return client

    def arrived(self) -> int:
        """The packets of clients that have arrived here."""
        return sum(map(int, re.findall(r"counter packets (\d+)", self.host.run("nft", "list", "ruleset").stdout)))

    def is_answered_by(self, address: str) -> bool:
        """Whether a client answers what this machine has begun."""
        source = ONE6 if ":" in address else ONE4
        return self.host.run("ping", "-c", "1", "-W", "2", "-I", source, address).returncode == 0

    def passes(self, client: Client, address: str, protocol: str, port: int = 0) -> bool:
        """Whether a packet of this client arrives; the client must hear at once where it does not."""
        before = self.arrived()
        passed = client.host.ping(address) if protocol == "icmp" else self._reaches(client, address, protocol, port)
        assert passed == (self.arrived() > before)
        return passed

    def _reaches(self, client: Client, address: str, protocol: str, port: int) -> bool:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = _KINDS[protocol]
        with self.host.open_socket(family, kind) as far, client.host.open_socket(family, kind) as near:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            far.bind((address, port))
            if protocol == "tcp":
                far.listen(1)
            with suppress(ConnectionRefusedError):
                near.connect((address, port))
                if protocol == "udp":
                    near.send(b"?")
                    ready, _, _ = select.select([near, far], [], [], PATIENCE)
                    assert ready
                    return not near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                return True
        return False

    def all_of(self, client: Client, wanted: Mapping[tuple[str, str, int], bool]) -> dict[tuple[str, str, int], bool]:
        """What passes of each (address, protocol, port)."""
        return {probe: self.passes(client, *probe) for probe in wanted}
