"""Pumps at both ends of a tunnel, each with a packet socket that stands for its TUN device."""

from __future__ import annotations

import mmap
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from ocserv_core.bridge._native import ffi, lib
from ocserv_core.bridge.events import Deadline, PumpEvent
from ocserv_core.bridge.pump import Pump, PumpOptions
from ocserv_core.bridge.tls import TlsSession
from ocserv_core.model import Offloads

from .packet_model import Vnet
from .peers import LIMIT, NORMAL, server
from .pki import KeyHolder, issue

_GNUTLS_CLIENT = 2
VNET = PumpOptions(offloads=Offloads())


@dataclass
class _Info:
    version: str


class ClientSession:
    """The client's side of TLS, as far as a pump asks for it: it trusts anybody."""

    def __init__(self, fd: int, priorities: str) -> None:
        out, credentials = ffi.new("gnutls_session_t *"), ffi.new("gnutls_certificate_credentials_t *")
        assert lib.gnutls_init(out, _GNUTLS_CLIENT | lib.GNUTLS_NO_SIGNAL) == 0
        self.fd, self.native = fd, out[0]
        self.transport = lib.oc_transport_open(self.native, fd)
        self.on_close: Callable[[], None] | None = None
        self.info = _Info("")
        assert lib.gnutls_certificate_allocate_credentials(credentials) == 0
        self._credentials = credentials[0]
        priority = ffi.new("gnutls_priority_t *")
        assert lib.gnutls_priority_init(priority, priorities.encode(), ffi.NULL) == 0
        self._priority = priority[0]
        assert lib.gnutls_priority_set(self.native, self._priority) == 0
        assert lib.gnutls_credentials_set(self.native, lib.GNUTLS_CRD_CERTIFICATE, self._credentials) == 0

    def handshake(self) -> None:
        self.transport.deadline = time.monotonic() + LIMIT
        code = lib.GNUTLS_E_AGAIN
        while code < 0 and not lib.gnutls_error_is_fatal(code):
            code = lib.gnutls_handshake(self.native)
        assert code == 0, code
        version = lib.gnutls_protocol_get_version(self.native)
        self.info = _Info(ffi.string(lib.gnutls_protocol_get_name(version)).decode())

    def receive(self, n: int) -> bytes:
        """With TLS 1.3 this takes what GnuTLS sends after a handshake, too."""
        out = ffi.new("uint8_t[]", n)
        got = lib.GNUTLS_E_AGAIN
        while got < 0 and not lib.gnutls_error_is_fatal(got):
            got = lib.gnutls_record_recv(self.native, out, n)
        return bytes(ffi.buffer(out, got))

    def close(self) -> None:
        lib.gnutls_deinit(self.native)
        lib.oc_transport_close(self.transport)
        lib.gnutls_priority_deinit(self._priority)
        lib.gnutls_certificate_free_credentials(self._credentials)


class End:
    """A pump, the far end of its TUN, and its page of counters."""

    def __init__(self, session: TlsSession, options: PumpOptions = VNET, mtu: int = 1500) -> None:
        self.near, self.tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.tun.setblocking(False)
        self.page = mmap.mmap(-1, 4096)
        self._vnet = options.offloads is not None
        self.pump = Pump(session, self.near.fileno(), self.page, mtu=mtu, options=options)

    def run(self, seconds: float = LIMIT) -> PumpEvent:
        return self.pump.run(time.monotonic() + seconds)

    def settle(self) -> None:
        """Do all there is to do now."""
        assert self.run(0.01) == Deadline()

    def feed(self, *packets: bytes) -> None:
        """Packets that the kernel routes into the tunnel, each by itself."""
        for packet in packets:
            self.feed_gathered((Vnet(), packet))

    def feed_gathered(self, *packets: tuple[Vnet, bytes]) -> None:
        for vnet, packet in packets:
            self.tun.send(bytes(vnet) + packet if self._vnet else packet)

    def written(self) -> list[tuple[Vnet, bytes]]:
        """What the pump has written to the TUN since."""
        found: list[tuple[Vnet, bytes]] = []
        while True:
            try:
                data = self.tun.recv(100_000)
            except BlockingIOError:
                return found
            found.append((Vnet.of(data), data[Vnet.SIZE :]) if self._vnet else (Vnet(), data))

    def packets(self) -> list[bytes]:
        """The same, where nothing was gathered."""
        found = self.written()
        assert all(vnet == Vnet() for vnet, _ in found)
        return [packet for _, packet in found]

    def close(self) -> None:
        self.pump.close()
        self.near.close()
        self.tun.close()
        self.page.close()


@contextmanager
def tls_sessions(
    priorities: str = NORMAL, pair: Callable[[], tuple[socket.socket, socket.socket]] = socket.socketpair
) -> Iterator[tuple[TlsSession, ClientSession]]:
    """Both ends after their handshake, and a record each way. pair: makes the connection that they have."""
    with ExitStack() as stack:
        ours, theirs = pair()
        stack.callback(ours.close)
        stack.callback(theirs.close)
        issued = issue("vpn.example")
        session = TlsSession(server(issued, priorities=priorities), ours.fileno(), KeyHolder(issued.key))
        stack.callback(session.close)
        client = ClientSession(theirs.fileno(), priorities)
        stack.callback(client.close)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        shaking = pool.submit(client.handshake)
        session.handshake(LIMIT)
        shaking.result(LIMIT)
        session.send(b"200")
        assert client.receive(3) == b"200"
        yield session, client


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """The server's end and the client's of a TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), LIMIT)
        theirs.settimeout(None)
        ours, _ = listener.accept()
        return ours, theirs


@contextmanager
def both_ends(
    priorities: str = NORMAL, options: PumpOptions = VNET, client_options: PumpOptions | None = None
) -> Iterator[tuple[End, End]]:
    """The server's end and the client's; the client takes packets from anywhere."""
    with tls_sessions(priorities) as (session, client_session):
        theirs = replace(client_options or options, client=True, networks=None)
        ours, client = End(session, options), End(client_session, theirs)  # type: ignore[arg-type]
        try:
            yield ours, client
        finally:
            client.close()
            ours.close()


def settle(*ends: End) -> None:
    """Let all of them work until nobody has anything to do."""
    before: Sequence[object] = ()
    quiet = 0
    while quiet < 2:
        for end in ends:
            assert end.pump.run(0) == Deadline()
        now = [(end.pump.traffic, end.pump.dropped) for end in ends]
        quiet = quiet + 1 if now == before else 0
        before = now
