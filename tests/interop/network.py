"""Network namespaces for a lab: one with the server and a bridge, any number of hosts around it.

Names carry the pid of the test process, so that runs in parallel do not meet, and what a killed run left behind can
be told from what is in use. Addresses are those of the documentation.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from typing import NamedTuple

from .processes import PATIENCE, await_gone

PREFIX = "oct"
SERVER4 = "192.0.2.1"
SERVER6 = "2001:db8::1"
FIRST_HOST = 10

_OURS = re.compile(rf"{PREFIX}-(\d+)-\d+-\w+")
_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def ip(*words: str) -> str:
    """Run ip(8); what it printed. CalledProcessError carries what it complained of."""
    try:
        return subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"ip {' '.join(words)}: {error.stderr.strip()}") from error


class Namespace:
    """A network namespace with its loopback up."""

    def __init__(self, name: str) -> None:
        self.name = name
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")

    @property
    def identity(self) -> str:
        """What /proc/PID/ns/net of a process inside says."""
        return f"net:[{os.stat(f'/run/netns/{self.name}').st_ino}]"

    def argv(self, *argv: str) -> list[str]:
        """The words that run `argv` inside; the process is replaced, so its pid stays."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, whatever its exit status."""
        return subprocess.run(self.argv(*argv), input=stdin, capture_output=True, text=True, timeout=PATIENCE)

    def nft(self, text: str) -> str:
        """Run nft(8) inside with a text of its language; what it printed."""
        done = self.run("nft", "--echo", "--handle", "-f", "-", stdin=text)
        assert done.returncode == 0, f"nft {text}: {done.stderr}"
        return done.stdout

    def open_socket(
        self, family: socket.AddressFamily, kind: socket.SocketKind = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        """A socket of this process that lives inside: a thread goes in to make it, and ends there."""
        made: list[socket.socket] = []
        thread = threading.Thread(target=lambda: made.append(self._make_socket(family, kind, protocol)))
        thread.start()
        thread.join(PATIENCE)
        assert made, f"no socket in {self.name}"
        made[0].settimeout(PATIENCE)
        return made[0]

    def _make_socket(self, family: socket.AddressFamily, kind: socket.SocketKind, protocol: int) -> socket.socket:
        fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(fd, CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
            return socket.socket(family, kind, protocol)
        finally:
            os.close(fd)

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, timeout=PATIENCE)


class Segment(NamedTuple):
    """An Ethernet: the bridge of a namespace. The addresses in it begin with `net4` and `net6`."""

    namespace: str
    net4: str
    net6: str

    def open(self, mac: str) -> None:
        """Make the bridge, whose namespace has the first addresses."""
        # An address of its own: else it changes with the hosts that come, and those that were there lose it.
        ip("-n", self.namespace, "link", "add", "bridge", "address", mac, "type", "bridge", "forward_delay", "0")
        ip("-n", self.namespace, "address", "add", f"{self.net4}1/24", "dev", "bridge")
        ip("-n", self.namespace, "address", "add", f"{self.net6}1/64", "dev", "bridge", "nodad")
        ip("-n", self.namespace, "link", "set", "bridge", "up")


class Host(Namespace):
    """A machine with eth0 on a segment."""

    def __init__(self, name: str, segment: Segment, number: int) -> None:
        super().__init__(name)
        self._segment = segment
        port = f"port{number}"
        ip("link", "add", port, "netns", segment.namespace, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", segment.namespace, "link", "set", port, "master", "bridge", "up")
        ip("-n", name, "link", "set", "eth0", "up")
        self.take_address(FIRST_HOST + number)

    def take_address(self, number: int) -> None:
        """Another address on the segment, instead of what it had."""
        self.address4 = f"{self._segment.net4}{number}"
        self.address6 = f"{self._segment.net6}{number:x}"
        ip("-n", self.name, "address", "flush", "dev", "eth0", "scope", "global")
        ip("-n", self.name, "address", "add", f"{self.address4}/24", "dev", "eth0")
        ip("-n", self.name, "address", "add", f"{self.address6}/64", "dev", "eth0", "nodad")

    def route(self, network: str, gateway: str) -> None:
        """Reach a network (or "default") by a neighbour."""
        self.run("ip", "-6" if ":" in gateway else "-4", "route", "add", network, "via", gateway).check_returncode()

    def ping(self, address: str, *, size: int = 56, fragment: bool = True) -> bool:
        """Whether an echo of `size` bytes of payload comes back within two seconds; one try."""
        words = ["-c", "1", "-W", "2", "-s", str(size), "-M", "want" if fragment else "do", address]
        return self.run("ping", *words).returncode == 0


class Router(Host):
    """A host with a segment of its own behind it, for which it forwards."""

    def __init__(self, name: str, segment: Segment, number: int) -> None:
        super().__init__(name, segment, number)
        self.inside = Segment(name, "203.0.113.", "2001:db8:3::")
        self.inside.open("02:00:00:00:00:02")
        self.run("sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1").check_returncode()

    def narrow(self, mtu: int, *, silent: bool = False) -> None:
        """Forward no IPv4 packet that is longer than `mtu` bytes; silent: and do not tell its sender."""
        for segment, device in ((self._segment, "eth0"), (self.inside, "bridge")):
            (address,) = re.findall(rf"inet ({re.escape(segment.net4)}\d+)/", ip("-n", self.name, "-4", "address"))
            route = [f"{segment.net4}0/24", "dev", device, "scope", "link", "src", address, "proto", "kernel"]
            ip("-n", self.name, "route", "change", *route, "mtu", "lock", str(mtu))
        # The TCP of the tunnel itself shall not be what breaks.
        self.nft(
            "add table ip narrow\n"
            "add chain ip narrow forward { type filter hook forward priority 0; }\n"
            "add chain ip narrow output { type filter hook output priority 0; }\n"
            f"add rule ip narrow forward tcp flags syn tcp option maxseg size set {mtu - 100}\n"
        )
        if silent:
            self.nft("add rule ip narrow output icmp type destination-unreachable drop\n")

    def masquerade(self) -> None:
        """Hide who is behind it. UDP gets ports by chance, so that they are others after `forget_mappings`."""
        self.nft(
            "add table ip nat\n"
            "add chain ip nat out { type nat hook postrouting priority 100; }\n"
            "add rule ip nat out oifname eth0 meta l4proto udp masquerade to :40000-59999 random\n"
            f"add rule ip nat out oifname eth0 meta l4proto tcp snat to {self.address4}\n"
        )

    def forget_mappings(self) -> None:
        """Those of UDP: the kernel ends what it masquerades with the address that it did this with."""
        ip("-n", self.name, "address", "del", f"{self.address4}/24", "dev", "eth0")
        ip("-n", self.name, "address", "add", f"{self.address4}/24", "dev", "eth0")


class Network:
    """The server's namespace and its hosts; `close` removes all of them."""

    def __init__(self) -> None:
        self._prefix = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self._all: list[Namespace] = []
        self.server = Namespace(f"{self._prefix}-server")
        self._all.append(self.server)
        self._outside = Segment(self.server.name, "192.0.2.", "2001:db8::")
        self._outside.open("02:00:00:00:00:01")

    def alone(self) -> Namespace:
        """One more machine, without neighbours."""
        namespace = Namespace(f"{self._prefix}-alone{len(self._all)}")
        self._all.append(namespace)
        return namespace

    def host(self, router: Router | None = None) -> Host:
        """One more machine, beside the server or behind a router."""
        number = len(self._all)
        segment = router.inside if router else self._outside
        host = Host(f"{self._prefix}-host{number}", segment, number)
        self._all.append(host)
        if router:
            host.route("default", f"{segment.net4}1")
            host.route("default", f"{segment.net6}1")
        return host

    def router(self) -> Router:
        """One more machine beside the server, with room for others behind it."""
        number = len(self._all)
        router = Router(f"{self._prefix}-router{number}", self._outside, number)
        self._all.append(router)
        return router

    def close(self) -> None:
        for namespace in reversed(self._all):
            namespace.close()


def remove_leftovers() -> None:
    """Remove the namespaces of test processes that are gone, and what still runs in them."""
    if not os.path.isdir("/run/netns"):
        return
    for name in os.listdir("/run/netns"):
        match = _OURS.fullmatch(name)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            _remove(name)


def _remove(name: str) -> None:
    listed: Sequence[str] = subprocess.run(
        ["ip", "netns", "pids", name], capture_output=True, text=True, timeout=PATIENCE
    ).stdout.split()
    pids = [int(word) for word in listed]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await_gone(pids)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=PATIENCE)
