"""Both ends of a DTLS session, and the path between them in a test's hands: what is lost, repeated or changed there."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ocserv_core.bridge._native import ffi, lib
from ocserv_core.bridge.dtls import PSK_SIZE, DtlsSession, Psk

from .dtls_model import Record, records
from .record_model import APPLICATION

LIMIT = 10.0
MTU = 1600
KEY = bytes(range(PSK_SIZE))
APP_ID = bytes(range(100, 132))

PSK = "NORMAL:-VERS-ALL:-KX-ALL:+PSK:+VERS-DTLS-ALL"
SUITES = {
    "aes256": f"{PSK}:-CIPHER-ALL:+AES-256-GCM",
    "aes128": f"{PSK}:-CIPHER-ALL:+AES-128-GCM",
    "chacha": f"{PSK}:-CIPHER-ALL:+CHACHA20-POLY1305",
    "ccm": f"{PSK}:-CIPHER-ALL:+AES-256-CCM",
    "cbc": f"{PSK}:-CIPHER-ALL:+AES-256-CBC:+SHA1:%NO_ETM",
}


class Path:
    """Two sockets, and what is between them: nothing arrives that is not carried."""

    def __init__(self, stack: ExitStack) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        for sock in (sock for pair in pairs for sock in pair):
            stack.callback(sock.close)
        (self.server, self._at_server), (self.client, self._at_client) = pairs
        self._at_server.setblocking(False)
        self._at_client.setblocking(False)

    def from_server(self) -> list[bytes]:
        """What the server has sent since."""
        return _drain(self._at_server)

    def from_client(self) -> list[bytes]:
        return _drain(self._at_client)

    def to_server(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self._at_server.send(datagram)

    def to_client(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self._at_client.send(datagram)


def _drain(sock: socket.socket) -> list[bytes]:
    found = []
    while select.select([sock], [], [], 0)[0]:
        found.append(sock.recv(65536))
    return found


@dataclass
class Ends:
    """Both sessions, established, and their path."""

    server: DtlsSession
    client: DtlsSession
    path: Path


def shake(server: DtlsSession, client: DtlsSession, path: Path, *, hello: bytes = b"") -> list[bytes]:
    """A whole handshake; what the client sent."""
    said = [hello] if hello else []
    if not hello:
        client.handshake()
    for _ in range(10):
        for datagram in said[-1:] if hello and len(said) == 1 else []:
            server.handshake(datagram)
        for datagram in path.from_client():
            said.append(datagram)
            server.handshake(datagram)
        for datagram in path.from_server():
            client.handshake(datagram)
        if server.established and client.established:
            return said
    raise AssertionError("no handshake")


def sessions(stack: ExitStack, path: Path, priorities: str = SUITES["aes256"]) -> tuple[DtlsSession, DtlsSession]:
    """A server's and a client's, before their handshake."""
    server = DtlsSession(path.server, Psk(priorities, KEY), MTU)
    client = DtlsSession(path.client, Psk(priorities, KEY, APP_ID), MTU)
    stack.callback(client.close)
    return server, client


@contextmanager
def established(priorities: str = SUITES["aes256"]) -> Iterator[Ends]:
    with ExitStack() as stack:
        path = Path(stack)
        server, client = sessions(stack, path, priorities)
        shake(server, client, path)
        yield Ends(server, client, path)


class RawClient:
    """A client whose every record can be chosen: it seals with the keys of an established session."""

    def __init__(self, session: DtlsSession) -> None:
        self._session = session
        self._write = ffi.addressof(session.native, "write")
        self._read = ffi.addressof(session.native, "read")
        self.heard: list[Record] = []
        """All records that were opened here."""

    @property
    def number(self) -> int:
        return int(self._write.seq)

    def seal(self, content: bytes, kind: int = APPLICATION, number: int | None = None) -> bytes:
        if number is not None:
            self._write.seq = number
        out = ffi.new("uint8_t[]", len(content) + 100)
        n = lib.oc_dtls_seal(self._write, kind, content, len(content), out, len(content) + 100)
        assert n > 0
        return bytes(ffi.buffer(out, n))

    def say(self, path: Path, content: bytes) -> list[bytes]:
        """The datagrams of one packet."""
        return [self.seal(content)]

    def hear(self, path: Path) -> list[bytes]:
        """The contents of all that has come since."""
        return [content for one in path.from_server() for _, content in self.open(one)]

    def open(self, datagram: bytes) -> list[tuple[int, bytes]]:
        """Kinds and contents of the records."""
        found = []
        for record in records(datagram):
            data, header = ffi.new("uint8_t[]", bytes(record)), ffi.new("struct oc_dtls_header *")
            assert lib.oc_dtls_parse(data, len(bytes(record)), header) == 0
            plain = ffi.new("uint8_t[]", len(datagram))
            window = ffi.new("struct oc_window *")
            n = lib.oc_dtls_unseal(self._read, window, header, data, plain, len(datagram))
            assert n >= 0, "not sealed with this session's keys"
            self.heard.append(record)
            found.append((record.kind, bytes(ffi.buffer(plain, n))))
        return found


class LibraryClient:
    """A client whose records are GnuTLS's."""

    def __init__(self, session: DtlsSession) -> None:
        self._session = session

    def say(self, path: Path, content: bytes) -> list[bytes]:
        assert lib.gnutls_record_send(self._session.native.session, content, len(content)) == len(content)
        return path.from_client()

    def hear(self, path: Path) -> list[bytes]:
        found = []
        for datagram in path.from_server():
            keep, out = ffi.new("uint8_t[]", datagram), ffi.new("uint8_t[]", 2000)
            lib.oc_dtls_give(self._session.native, keep, len(datagram))
            n = lib.gnutls_record_recv(self._session.native.session, out, 2000)
            found.append(bytes(ffi.buffer(out, n)))
        return found


def nonces(datagrams: list[bytes]) -> list[bytes]:
    """The explicit nonces of all sealed records (AES-GCM)."""
    return [r.body[:8] for one in datagrams for r in records(one) if r.number >> 48]


def forged(datagram: bytes) -> bytes:
    """With its last bit changed."""
    return datagram[:-1] + bytes([datagram[-1] ^ 1])


def random_packet(n: int) -> bytes:
    """An IPv4 packet of UDP from 192.0.2.1, as far as a pump looks that gathers nothing."""
    return b"\x45\0" + n.to_bytes(2, "big") + bytes(4) + b"\x40\x11\0\0\xc0\0\2\1" + os.urandom(n - 16)


def udp_pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two UDP sockets of loopback that are connected to each other, until the stack is left."""
    ours, theirs = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
    for sock in (ours, theirs):
        sock.bind(("127.0.0.1", 0))
    ours.connect(theirs.getsockname())
    theirs.connect(ours.getsockname())
    return ours, theirs


def shake_over(ours: socket.socket, theirs: socket.socket, priorities: str) -> tuple[DtlsSession, DtlsSession]:
    """A server's and a client's session over two sockets that are connected to each other."""
    server, client = (
        DtlsSession(ours, Psk(priorities, KEY), MTU),
        DtlsSession(theirs, Psk(priorities, KEY, APP_ID), MTU),
    )
    client.handshake()
    while not (server.established and client.established):
        readable, _, _ = select.select([ours, theirs], [], [], LIMIT)
        assert readable, "no handshake"
        for sock in readable:
            (server if sock is ours else client).handshake(sock.recv(65536))
    return server, client
