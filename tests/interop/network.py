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

    def argv(self, *argv: str) -> list[str]:
        """The words that run `argv` inside; the process is replaced, so its pid stays."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, whatever its exit status."""
        return subprocess.run(self.argv(*argv), input=stdin, capture_output=True, text=True, timeout=PATIENCE)

    def open_socket(self, family: socket.AddressFamily, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """A socket of this process that lives inside: a thread goes in to make it, and ends there."""
        made: list[socket.socket] = []
        thread = threading.Thread(target=lambda: made.append(self._make_socket(family, kind)))
        thread.start()
        thread.join(PATIENCE)
        assert made, f"no socket in {self.name}"
        made[0].settimeout(PATIENCE)
        return made[0]

    def _make_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(fd, CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
            return socket.socket(family, kind)
        finally:
            os.close(fd)

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, timeout=PATIENCE)


class Host(Namespace):
    """A machine beside the server, on the server's bridge."""

    def __init__(self, name: str, server: str, number: int) -> None:
        super().__init__(name)
        self.address4 = f"192.0.2.{FIRST_HOST + number}"
        self.address6 = f"2001:db8::{FIRST_HOST + number:x}"
        port = f"port{number}"
        ip("link", "add", port, "netns", server, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", server, "link", "set", port, "master", "bridge", "up")
        ip("-n", name, "address", "add", f"{self.address4}/24", "dev", "eth0")
        ip("-n", name, "address", "add", f"{self.address6}/64", "dev", "eth0", "nodad")
        ip("-n", name, "link", "set", "eth0", "up")

    def ping(self, address: str, *, size: int = 56, fragment: bool = True) -> bool:
        """Whether an echo of `size` bytes of payload comes back within two seconds; one try."""
        words = ["-c", "1", "-W", "2", "-s", str(size), "-M", "want" if fragment else "do", address]
        return self.run("ping", *words).returncode == 0


class Network:
    """The server's namespace and its hosts; `close` removes all of them."""

    def __init__(self) -> None:
        self._prefix = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self._all: list[Namespace] = []
        self.server = Namespace(f"{self._prefix}-server")
        self._all.append(self.server)
        name = self.server.name
        # An address of its own: else it changes with the hosts that come, and those that were there lose it.
        link = ("link", "add", "bridge", "address", "02:00:00:00:00:01", "type", "bridge", "forward_delay", "0")
        ip("-n", name, *link)
        ip("-n", name, "address", "add", f"{SERVER4}/24", "dev", "bridge")
        ip("-n", name, "address", "add", f"{SERVER6}/64", "dev", "bridge", "nodad")
        ip("-n", name, "link", "set", "bridge", "up")

    def host(self) -> Host:
        """One more machine."""
        number = len(self._all)
        host = Host(f"{self._prefix}-host{number}", self.server.name, number)
        self._all.append(host)
        return host

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
