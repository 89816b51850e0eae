"""A client that says what no openconnect would: raw TCP and TLS to the server of a lab, from a host of its own."""

from __future__ import annotations

import re
import socket
import ssl
import struct
from dataclasses import dataclass

from .network import SERVER4, Host

CSTP_HEADER = struct.Struct(">3sBHBB")
DATA, DPD_REQUEST, DPD_RESPONSE, DISCONNECT, KEEPALIVE = 0, 3, 4, 5, 7

_INIT = """\
<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="init"><version who="vpn">v9.01</version><device-id>linux-64</device-id></config-auth>"""
_REPLY = """\
<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="auth-reply"><version who="vpn">v9.01</version><auth>{}</auth></config-auth>"""


def open_tcp(host: Host) -> socket.socket:
    """A TCP connection to the server, without a byte on it yet."""
    connection = host.open_socket(socket.AF_INET)
    connection.connect((SERVER4, 443))
    return connection


def ends(connection: socket.socket) -> bool:
    """Whether the server ends the connection, before the socket's patience does; what it still says is read."""
    try:
        while connection.recv(65536):
            pass
    except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return True
    except TimeoutError:
        return False
    return True


def trusting() -> ssl.SSLContext:
    """Any certificate will do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Answer:
    """One answer of the server; header names are lower case, of several equal ones the last is kept."""

    status: int
    headers: dict[str, str]
    head: str
    body: str


class TlsClient:
    """TLS to the server; then HTTP and CSTP by hand."""

    def __init__(
        self,
        host: Host,
        *,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        name: str | None = None,
    ) -> None:
        context = context or trusting()
        self.socket = context.wrap_socket(open_tcp(host), server_hostname=name, session=session)
        self._buffer = b""

    # ---- HTTP

    def post(self, body: str, path: str = "/", *headers: str) -> Answer:
        """One POST, and its answer."""
        fields = [
            "Host: vpn.example",
            "User-Agent: Open AnyConnect VPN Agent v9.01",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        self.socket.sendall("\r\n".join([f"POST {path} HTTP/1.1", *fields, "", body]).encode())
        return self.read_answer()

    def get(self, path: str, *headers: str) -> Answer:
        """One GET, and its answer."""
        self.socket.sendall("\r\n".join([f"GET {path} HTTP/1.1", "Host: vpn.example", *headers, "", ""]).encode())
        return self.read_answer()

    def read_answer(self) -> Answer:
        head = self._read_until(b"\r\n\r\n").decode()
        status = int(head.split(" ", 2)[1])
        pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        headers = {name.lower(): value for name, value in pairs}
        return Answer(status, headers, head, self._read(int(headers.get("content-length", "0"))).decode())

    def post_reply(self, fields: str) -> Answer:
        """One answer to a form."""
        return self.post(_REPLY.format(fields), "/auth")

    def login(self, user: str, password: str) -> str:
        """Through the XML forms: the cookie."""
        self.post(_INIT)
        self.post_reply(f"<username>{user}</username>")
        answer = self.post_reply(f"<password>{password}</password>")
        found = re.search(r"webvpn=([^;]+)", answer.head)
        assert found, f"no cookie: {answer.head}\n{answer.body}"
        return found[1]

    def connect(self, cookie: str) -> Answer:
        """CONNECT; whatever is answered."""
        fields = [
            f"Cookie: webvpn={cookie}",
            "X-CSTP-Version: 1",
            "X-CSTP-Address-Type: IPv6,IPv4",
            "X-CSTP-Base-MTU: 1400",
        ]
        head = [
            "CONNECT /CSCOSSLC/tunnel HTTP/1.1",
            "Host: vpn.example",
            "User-Agent: Open AnyConnect VPN Agent v9.01",
            *fields,
        ]
        self.socket.sendall("\r\n".join([*head, "", ""]).encode())
        return self.read_answer()

    # ---- CSTP

    def send_frame(self, kind: int, payload: bytes = b"") -> None:
        self.socket.sendall(CSTP_HEADER.pack(b"STF", 1, len(payload), kind, 0) + payload)

    def read_frame(self) -> tuple[int, bytes]:
        """The next frame: type and payload."""
        magic, version, size, kind, _ = CSTP_HEADER.unpack(self._read(CSTP_HEADER.size))
        assert (magic, version) == (b"STF", 1)
        return kind, self._read(size)

    def await_frame(self, kind: int) -> bytes:
        """The payload of the next frame of a type; others are passed over."""
        for _ in range(100):
            found, payload = self.read_frame()
            if found == kind:
                return payload
        raise AssertionError(f"a hundred frames, and none of type {kind}")

    def close(self) -> None:
        self.socket.close()

    # ---- bytes

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._fill()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _fill(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
