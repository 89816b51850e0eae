"""The child that hears strangers: it has a socket, no key of the server, no rights, and no network of its own. What a
configured client has signed goes to secmod as a checked message; everything else is dropped.

    python -m ocserv_acct_radius.coa_child FD-OF-THE-SOCKET FD-OF-THE-CHANNEL
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import logging
import os
import resource
import select
import signal
import socket
import sys
import time

import msgspec
from pyrad.packet import Packet

from . import coa_packets
from .coa_words import MAX_MESSAGE, Answered, Asked, ErrorCause, Setup, ToChild, Told
from .numbers import dictionary
from .replies import Dropped

_log = logging.getLogger(__name__)

NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
CLONE_NEWIPC, CLONE_NEWNET = 0x08000000, 0x40000000

TOLD_EVERY = 1.0
"""Seconds between two lines on what was dropped: strangers shall not fill the log."""

MAX_WAITING = 1024
"""Requests that secmod has not answered."""

_decoder: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_Key = tuple[str, int, bytes]


def main() -> int:
    """Until secmod closes the channel."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    channel = socket.socket(fileno=int(sys.argv[2]))
    dictionary()  # while it may be read
    drop_rights()
    Child(listening, channel).run()
    return 0


def drop_rights() -> None:
    """For ever. Where it is not root there is less to drop."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.geteuid() == 0:
        # The sockets that it has stay where they were made.
        if libc.unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0:
            _log.warning("no namespaces of its own: %s", os.strerror(ctypes.get_errno()))
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    # After a change of uid the kernel forgets it.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


class Child:
    """One run. `setup` is what secmod said last."""

    def __init__(self, listening: socket.socket, channel: socket.socket) -> None:
        self._listening = listening
        self._channel = channel
        self._secrets: dict[str, bytes] = {}
        self._setup = Setup((), 0, require_timestamp=False)
        self._memory = coa_packets.Memory()
        self._waiting: dict[int, tuple[Packet, tuple[str, int], _Key]] = {}
        self._number = 0
        self._told = 0.0
        self._listening.setblocking(False)

    def run(self) -> None:
        """Until secmod closes the channel."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._listening, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._listening.fileno():
                    self._hear()
                elif not self._listen_to_secmod():
                    return

    def _listen_to_secmod(self) -> bool:
        octets = self._channel.recv(MAX_MESSAGE)
        if not octets:
            return False
        match _decoder.decode(octets):
            case Setup() as setup:
                self._setup = setup
                self._secrets = dict(setup.clients)
            case Answered() as answered:
                self._answer(answered)
        return True

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            octets, address = self._listening.recvfrom(4097)
            client = canonical(address[0])
            try:
                self._take(octets, client, address)
            except Dropped as why:
                self._tell(client, str(why))

    def _take(self, octets: bytes, client: str, address: tuple[str, int]) -> None:
        secret = self._secrets.get(client)
        if secret is None:
            raise Dropped("it is none of the clients that may ask")
        packet = coa_packets.verify(octets, secret)
        key = (client, packet.id, bytes(packet.authenticator))
        if self._memory.seen(key, time.monotonic(), self._setup.window):
            if (again := self._memory.answer(key)) is not None:
                self._send(again, address)
            return
        coa_packets.check_age(packet, time.time(), self._setup.window, required=self._setup.require_timestamp)
        self._number += 1
        if len(self._waiting) >= MAX_WAITING:
            self._reply(packet, address, key, ErrorCause.RESOURCES_UNAVAILABLE)
            return
        self._waiting[self._number] = (packet, address, key)
        self._say(coa_packets.ask(packet, self._number, client))

    def _answer(self, answered: Answered) -> None:
        waiting = self._waiting.pop(answered.number, None)
        if waiting is not None:
            self._reply(*waiting, answered.cause)

    def _reply(self, packet: Packet, address: tuple[str, int], key: _Key, cause: ErrorCause) -> None:
        octets = coa_packets.build_answer(packet, cause)
        self._memory.note(key, octets)
        self._send(octets, address)

    def _send(self, octets: bytes, address: tuple[str, int]) -> None:
        # Who does not hear it asks again.
        with contextlib.suppress(OSError):
            self._listening.sendto(octets, address)

    def _tell(self, client: str, why: str) -> None:
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY:
            self._told = now
            self._say(Told(client, why))

    def _say(self, message: Asked | Told) -> None:
        self._channel.send(msgspec.msgpack.encode(message))


def canonical(ip: str) -> str:
    """An IPv4 address that came in by an IPv6 socket is one of IPv4."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


if __name__ == "__main__":
    sys.exit(main())
