"""A VPN client in its parts: login by forms, CONNECT, DTLS, and the loop that moves packets by the server's pump.

Speaks what openconnect 9 speaks, as far as a test needs it: XML forms with a user name and a password, one cookie,
PSK-NEGOTIATE. Knows no routes, and reconnects only when it is told.
"""

from __future__ import annotations

import mmap
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from ..bridge.dtls import EXPORTER_LABEL, PSK_SIZE, DtlsSession, Psk
from ..bridge.events import Closed, Frame, Handshake, PumpEvent, Readable, Violation
from ..bridge.pump import Pump, PumpOptions
from ..errors import OcservError
from ..model import Offloads
from ..protocol.cstp import FrameType
from ..protocol.mtu import datagram_max, dtls_data_mtu
from .tls import ClientTls

TIMEOUT = 20.0
"""Seconds for any single answer."""

_ROUNDS = 16
_INPUT = re.compile(rb'<input[^>]* name="([a-z_]+)"')
_COOKIE = re.compile(r"webvpn=([^;]+)")
_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<config-auth client="vpn" aggregate-auth-version="2" type="{}">{}</config-auth>'
)
_INIT = _XML.format("init", '<version who="vpn">v9.01</version><device-id>linux-64</device-id>')
_AGENT = "Open AnyConnect VPN Agent v9.01"


class Refused(OcservError):
    """The server answered something else than was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Names of headers are lower case; of repeated ones all values are there, in order."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    def first(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next(iter(self.headers.get(name.lower(), ())), "")


class Http:
    """HTTP/1.1 on a TLS connection: one request, its answer, the next."""

    def __init__(self, tls: ClientTls, host: str) -> None:
        self._tls = tls
        self._host = host
        self._buffer = b""

    def post(self, path: str, body: str) -> Answer:
        """One form."""
        data = body.encode()
        self._send("POST", path, {"Content-Type": "application/xml", "Content-Length": str(len(data))}, data)
        return self._answer()

    def connect(self, headers: Mapping[str, str]) -> Answer:
        """CONNECT: what follows its answer is CSTP."""
        self._send("CONNECT", "/CSCOSSLC/tunnel", headers, b"")
        return self._answer(body=False)

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        all_headers = {"Host": self._host, "User-Agent": _AGENT, **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items()), "", ""]
        self._tls.send("\r\n".join(lines).encode() + body)

    def _answer(self, *, body: bool = True) -> Answer:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, list[str]] = {}
        for name, _, value in (line.partition(":") for line in lines):
            headers.setdefault(name.lower(), []).append(value.strip())
        length = int(headers.get("content-length", ["0"])[0]) if body else 0
        while len(self._buffer) < length:
            self._fill()
        content, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(int(status.split()[1]), headers, content)

    def _fill(self) -> None:
        data = self._tls.recv(16384, TIMEOUT)
        if not data:
            raise Refused("The server closed the connection.")
        self._buffer += data


def log_in(http: Http, user: str, *passwords: str) -> str:
    """Answer the forms: the name, and one password to each question, the last of them again and again. The cookie;
    Refused."""
    answer = http.post("/", _INIT)
    left = list(passwords)
    for _ in range(_ROUNDS):
        if answer.status != 200:
            raise Refused(f"The login was refused (HTTP {answer.status}).")
        if b'type="complete"' in answer.body:
            found = next(filter(None, map(_COOKIE.match, answer.headers.get("set-cookie", ()))), None)
            if found is None:
                raise Refused("The login gave no cookie.")
            return found[1]
        words = ""
        for name in _asked(answer.body):
            if name == "username":
                words += f"<username>{escape(user)}</username>"
            elif name.endswith("password"):
                words += f"<{name}>{escape(left.pop(0) if len(left) > 1 else left[0])}</{name}>"
        answer = http.post("/auth", _XML.format("auth-reply", f"<auth>{words}</auth>"))
    raise Refused("The login has no end.")


def _asked(body: bytes) -> list[str]:
    return [name.decode() for name in _INPUT.findall(body)]


@dataclass(frozen=True, slots=True)
class Granted:
    """What the answer to CONNECT says. mtu: bytes of the longest inner packet. dtls_port: 0 without DTLS."""

    address: str
    netmask: str
    mtu: int
    link_mtu: int
    dtls_port: int
    app_id: bytes


def open_tunnel(http: Http, cookie: str, *, base_mtu: int, dtls: bool) -> Granted:
    """CONNECT with a cookie. Refused."""
    wish = {
        "Cookie": f"webvpn={cookie}",
        "X-CSTP-Version": "1",
        "X-CSTP-Hostname": "test",
        "X-CSTP-Base-MTU": str(base_mtu),
        "X-CSTP-Address-Type": "IPv4",
        **({"X-DTLS-CipherSuite": "PSK-NEGOTIATE"} if dtls else {}),
    }
    answer = http.connect(wish)
    if answer.status != 200:
        raise Refused(f"CONNECT was refused (HTTP {answer.status} {answer.first('X-Reason')}).")
    return Granted(
        address=answer.first("X-CSTP-Address"),
        netmask=answer.first("X-CSTP-Netmask"),
        mtu=int(answer.first("X-CSTP-MTU")),
        link_mtu=int(answer.first("X-CSTP-Base-MTU") or base_mtu),
        dtls_port=int(answer.first("X-DTLS-Port") or 0) if dtls else 0,
        app_id=bytes.fromhex(answer.first("X-DTLS-App-ID")),
    )


class ClientTunnel:
    """A tunnel from the client's side: TLS, DTLS where the server has it, and a TUN device of the caller's.

    `run` moves packets until a deadline or the end; DTLS is used as soon as the server has answered on it.
    """

    def __init__(
        self,
        tls: ClientTls,
        granted: Granted,
        tun_fd: int,
        *,
        server: str,
        priorities: str,
        offloads: Offloads | None,
        watch: tuple[int, ...] = (),
    ) -> None:
        """priorities: GnuTLS's, of DTLS. server: its address, for UDP."""
        self._dtls_key = tls.exporter(EXPORTER_LABEL, PSK_SIZE)
        self._page = mmap.mmap(-1, 4096)
        options = PumpOptions(offloads=offloads, client=True)
        self.pump = Pump(tls, tun_fd, self._page, mtu=granted.mtu, watch=watch, options=options)
        self.granted = granted
        self.tls_ciphersuite = tls.ciphersuite
        """GnuTLS's description."""
        self._slot: int | None = None
        self._retry = 0.0
        if granted.dtls_port:
            self._begin_dtls(server, priorities)

    @property
    def on_dtls(self) -> bool:
        """Whether packets go by DTLS."""
        return self.pump.active is not None

    @property
    def ciphersuite(self) -> str:
        """GnuTLS's description of the DTLS session; empty without one."""
        sessions = self.pump.sessions
        return sessions[self._slot].ciphersuite if self._slot is not None else ""

    def run(self, deadline: float) -> PumpEvent:
        """Until the deadline (time.monotonic()), a watched descriptor, or the end: Deadline, Readable, Closed, …"""
        while True:
            event = self.pump.run(min(deadline, self._retry or deadline))
            if isinstance(event, Handshake):
                self._go_on(event.datagram)
            elif isinstance(event, Frame):
                self._on_frame(event)
            elif isinstance(event, Closed | Violation | Readable) or time.monotonic() >= deadline:
                return event
            elif self._retry and time.monotonic() >= self._retry:
                self._go_on(b"")

    def close(self) -> None:
        """Say BYE, and end."""
        self.pump.send(FrameType.DISCONNECT, b"\xb0end of the test")
        self.pump.flush(2.0)
        self.pump.close()

    def _on_frame(self, frame: Frame) -> None:
        if frame.type != FrameType.DPD_REQUEST:
            return
        if frame.slot is None:
            self.pump.send(FrameType.DPD_RESPONSE, frame.payload)
        else:
            self.pump.send_datagram(frame.slot, FrameType.DPD_RESPONSE, frame.payload)

    def _begin_dtls(self, server: str, priorities: str) -> None:
        info = socket.getaddrinfo(server, self.granted.dtls_port, type=socket.SOCK_DGRAM)[0]
        sock = socket.socket(info[0], socket.SOCK_DGRAM)
        sock.connect(info[4])
        terms = Psk(priorities, self._dtls_key, self.granted.app_id)
        session = DtlsSession(sock, terms, datagram_max(self.granted.link_mtu, outer_ipv6=info[0] == socket.AF_INET6))
        self._slot = self.pump.attach(session)
        self._go_on(b"")

    def _go_on(self, datagram: bytes) -> None:
        assert self._slot is not None
        session = self.pump.sessions[self._slot]
        if not session.handshake(datagram):
            self._retry = time.monotonic() + session.timeout
            return
        self._retry = 0.0
        mtu = dtls_data_mtu(self.granted.link_mtu, outer_ipv6=False, overhead=session.overhead)
        self.pump.mtu = min(self.pump.mtu, mtu)
        # The server uses DTLS from our first word on, and we from its answer on.
        self.pump.send_datagram(self._slot, FrameType.DPD_REQUEST)
