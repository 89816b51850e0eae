"""One client in plain Python: TLS, login by forms, CONNECT, CSTP frames. Used by load.py; blocking, one connection.

Speaks as openconnect does (XML POST, answers what the form asks), so the number of rounds is the server's choice.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Self

TIMEOUT = 20.0
"""Seconds for any single answer."""

PASSWORD = "benchmark"
_ROUNDS = 5
_DATA, _BYE = 0, 5
_INPUT = re.compile(rb'<input[^>]* name="([a-z_]+)"')
_COOKIE = re.compile(r"webvpn=([^;]+)")
_INIT = """<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="init" aggregate-auth-version="2"><version who="vpn">v9.01</version>
<device-id>linux-64</device-id><group-access>https://198.51.100.1/</group-access></config-auth>
"""
_REPLY = """<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="auth-reply" aggregate-auth-version="2"><version who="vpn">v9.01</version>
<device-id>linux-64</device-id><auth>{answers}</auth></config-auth>
"""
_REQUEST = """{method} {path} HTTP/1.1\r
Host: 198.51.100.1\r
User-Agent: Open AnyConnect VPN Agent v9.01\r
{headers}\r
"""
_CONNECT = """X-CSTP-Version: 1\r
X-CSTP-Hostname: benchmark\r
X-CSTP-Base-MTU: 1500\r
X-CSTP-MTU: 1400\r
X-CSTP-Address-Type: IPv4\r
Cookie: webvpn={cookie}\r
"""


class Unexpected(Exception):
    """The server answered something else."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; names of headers as sent, repeated ones all."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first of that name, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class Client:
    """From the TCP connection to its end. A context manager."""

    def __init__(self, address: str, port: int, context: ssl.SSLContext) -> None:
        raw = socket.create_connection((address, port), TIMEOUT)
        # Without it each answer waits 40 ms for a delayed acknowledgement.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = context.wrap_socket(raw)
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tls.close()

    # ---- login

    def first_form(self) -> Answer:
        """The first question of a login."""
        return self._post("/", _INIT)

    def login(self, user: str) -> str:
        """Answer whatever is asked: the cookie."""
        answer = self.first_form()
        for _ in range(_ROUNDS):
            if answer.status != 200:
                raise Unexpected(f"HTTP {answer.status} in a login")
            if b'type="complete"' in answer.body:
                return _cookie(answer)
            answer = self._post("/auth", _REPLY.format(answers=_answers(answer.body, user)))
        raise Unexpected("the login has no end")

    def connect(self, cookie: str) -> str:
        """CONNECT: the address that the server gave."""
        self._request("CONNECT", "/CSCOSSLC/tunnel", _CONNECT.format(cookie=cookie), b"")
        answer = self._answer(body=False)
        if answer.status != 200:
            raise Unexpected(f"CONNECT: HTTP {answer.status}")
        return answer.header("X-CSTP-Address")

    # ---- the tunnel

    def send_packet(self, packet: bytes) -> None:
        """An IP packet to the server."""
        self._tls.sendall(_frame(_DATA, packet))

    def read_packet(self) -> bytes:
        """The next IP packet from the server; other frames are passed over."""
        while True:
            kind, payload = self._read_frame()
            if kind == _DATA:
                return payload

    def bye(self) -> None:
        """The user disconnects: the server ends the session, and its address is free at once."""
        self._tls.sendall(_frame(_BYE, b"\xb0"))

    def _read_frame(self) -> tuple[int, bytes]:
        self._fill(8)
        magic, length, kind = struct.unpack_from(">4sHB", self._buffer)
        if magic != b"STF\1":
            raise Unexpected("not a CSTP frame")
        self._fill(8 + length)
        payload = bytes(self._buffer[8 : 8 + length])
        del self._buffer[: 8 + length]
        return kind, payload

    # ---- HTTP

    def _post(self, path: str, body: str) -> Answer:
        data = body.encode()
        headers = f"Content-Type: application/xml; charset=utf-8\r\nContent-Length: {len(data)}\r\n"
        self._request("POST", path, headers, data)
        return self._answer(body=True)

    def _request(self, method: str, path: str, headers: str, body: bytes) -> None:
        self._tls.sendall(_REQUEST.format(method=method, path=path, headers=headers).encode() + body)

    def _answer(self, *, body: bool) -> Answer:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._receive()
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = Answer(int(first.split()[1]), headers)
        length = int(answer.header("Content-Length") or 0) if body else 0
        self._fill(length)
        content = bytes(self._buffer[:length])
        del self._buffer[:length]
        return Answer(answer.status, headers, content)

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            self._receive()

    def _receive(self) -> None:
        data = self._tls.recv(65536)
        if not data:
            raise Unexpected("the server closed the connection")
        self._buffer += data


def tls_context() -> ssl.SSLContext:
    """TLS as a client speaks it that trusts everybody: the certificate is the benchmark's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _answers(form: bytes, user: str) -> str:
    values = {b"username": user, b"password": PASSWORD}
    names = [name for name in _INPUT.findall(form) if name in values]
    if not names:
        raise Unexpected("a form that asks for something else")
    return "".join(f"<{name.decode()}>{values[name]}</{name.decode()}>" for name in names)


def _cookie(answer: Answer) -> str:
    found = [_COOKIE.match(value) for name, value in answer.headers if name.lower() == "set-cookie"]
    cookies = [match[1] for match in found if match]
    if not cookies:
        raise Unexpected("a login without a cookie")
    return cookies[-1]


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">4sHBB", b"STF\1", len(payload), kind, 0) + payload
