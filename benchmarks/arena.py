"""Two network namespaces with a wire between them. Made by open_arena, removed with everything in it at its end.

Nothing outside of the two namespaces is touched; their names hold this process's id.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

SERVER_ADDRESS = "198.51.100.1"
CLIENT_ADDRESS = "198.51.100.2"


@dataclass(frozen=True, slots=True)
class Arena:
    """The names of the namespaces; `home` is a folder for files, removed by who made it."""

    server: str
    client: str
    home: str


@contextlib.contextmanager
def open_arena(home: str) -> Iterator[Arena]:
    """Namespaces, the veth pair, addresses."""
    arena = Arena(f"ocb-{os.getpid()}-server", f"ocb-{os.getpid()}-client", home)
    with contextlib.ExitStack() as stack:
        for name in (arena.server, arena.client):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", arena.server, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", arena.client)
        for name, address in ((arena.server, SERVER_ADDRESS), (arena.client, CLIENT_ADDRESS)):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
            _ip("-n", name, "link", "set", "wire", "up")
        yield arena


def make_wire_plain(arena: Arena) -> None:
    """Let both ends of the wire behave as a simple network card: what is sent is cut into packets before it leaves.

    A veth hands over whole trains of segments otherwise, which no wire does. What arrives may still be gathered."""
    for namespace in (arena.server, arena.client):
        options = ("gro", "on", "tso", "off", "tx-udp-segmentation", "off")
        subprocess.run(inside(namespace, "ethtool", "-K", "wire", *options), check=True, timeout=10)


def inside(namespace: str, *command: str) -> list[str]:
    """The command line that runs `command` in a namespace. `ip` becomes the command: same process id."""
    return ["ip", "netns", "exec", namespace, *command]


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str], patience: float = 10.0) -> None:
    """SIGTERM, and SIGKILL after `patience` seconds."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)
