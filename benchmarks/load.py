"""The clients, a process of their own in the clients' namespace: `python -m benchmarks.load KIND JSON`.

Started by loads.py with one of KINDS and its arguments as JSON; prints one JSON object. `idle` prints it when all
clients are connected and have moved their bytes, and holds them until its stdin ends.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Mapping

import msgspec

from .client import Client, Unexpected, tls_context

USERS = 64
"""Names in the password file: u0, u1 …; consecutive connections are of different users."""

_WINDOW = 16
"""Packets of an idle client under way at once."""

_PAYLOAD = 1250


class Task(msgspec.Struct, frozen=True):
    """What to do. gateway: the server's address in the tunnel."""

    address: str
    port: int
    gateway: str
    count: int
    parallel: int = 1
    bytes: int = 0


def login(task: Task, context: ssl.SSLContext, number: int) -> None:
    """Authentication alone; the cookie is left unused."""
    with Client(task.address, task.port, context) as client:
        client.login(f"u{number % USERS}")


def connect(task: Task, context: ssl.SSLContext, number: int) -> None:
    """Authentication, CONNECT on the same connection, BYE."""
    with Client(task.address, task.port, context) as client:
        client.connect(client.login(f"u{number % USERS}"))
        client.bye()


def run_many(task: Task, once: Callable[[Task, ssl.SSLContext, int], None]) -> Mapping[str, object]:
    """`count` times, by `parallel` processes: the seconds that it took."""
    shares = [range(worker, task.count, task.parallel) for worker in range(task.parallel)]
    fork = multiprocessing.get_context("fork")
    started = time.monotonic()
    processes = [fork.Process(target=_share, args=(task, once, share)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise Unexpected("a client failed")
    return {"seconds": time.monotonic() - started}


def _share(task: Task, once: Callable[[Task, ssl.SSLContext, int], None], numbers: range) -> None:
    context = tls_context()
    for number in numbers:
        once(task, context, number)


def forms(task: Task) -> Mapping[str, object]:
    """From before TCP's connect to the last byte of the first form, `count` times, with pauses: seconds of each."""
    context = tls_context()
    seconds = []
    for _ in range(task.count):
        started = time.monotonic()
        with Client(task.address, task.port, context) as client:
            client.first_form()
            seconds.append(time.monotonic() - started)
        # The end of one connection shall not be measured with the next.
        time.sleep(0.03)
    return {"each": seconds}


def idle(task: Task) -> None:
    """`count` clients, each of which moves `bytes` both ways; then silence until stdin ends."""
    context = tls_context()
    clients = [Client(task.address, task.port, context) for _ in range(task.count)]
    for number, client in enumerate(clients):
        address = client.connect(client.login(f"u{number % USERS}"))
        move(client, address, task)
    _say({"clients": len(clients)})
    sys.stdin.read()
    for client in clients:
        client.bye()


def move(client: Client, address: str, task: Task) -> None:
    """Echo requests to the gateway, whose kernel sends as many bytes back."""
    packet = _echo_request(address, task.gateway)
    packets = -(-task.bytes // len(packet))
    sent = seen = 0
    while seen < packets:
        while sent < packets and sent - seen < _WINDOW:
            client.send_packet(packet)
            sent += 1
        if _is_echo_reply(client.read_packet()):
            seen += 1


def _echo_request(source: str, destination: str) -> bytes:
    body = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + bytes(_PAYLOAD)
    icmp = body[:2] + struct.pack(">H", _checksum(body)) + body[4:]
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(icmp), 0, 0, 64, socket.IPPROTO_ICMP)
    return start + struct.pack(">H", _checksum(start + bytes(2) + ends)) + ends + icmp


def _is_echo_reply(packet: bytes) -> bool:
    return len(packet) > 28 and packet[0] == 0x45 and packet[9] == socket.IPPROTO_ICMP and packet[20] == 0


def _checksum(data: bytes) -> int:
    return 0xFFFF - int.from_bytes(data) % 0xFFFF


def _say(result: Mapping[str, object]) -> None:
    print(json.dumps(result), flush=True)


def main(kind: str, text: str) -> None:
    """One of the kinds; `idle` says by itself."""
    task = msgspec.json.decode(text, type=Task)
    match kind:
        case "logins":
            _say(run_many(task, login))
        case "connects":
            _say(run_many(task, connect))
        case "forms":
            _say(forms(task))
        case "idle":
            idle(task)
        case _:
            raise SystemExit(f"no load of the kind {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
