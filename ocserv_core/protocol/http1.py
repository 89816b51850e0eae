"""HTTP/1.1 as a VPN gateway needs it: one request at a time, read strictly, answered with exact header case.

The worker feeds a RequestReader what TLS gave it and writes what build_response returns. h11 parses; the
pre-check in front of it refuses what h11 tolerates (bare LF, folded lines, Content-Length beside
Transfer-Encoding): two readers must never see two different requests in the same bytes. Nothing here looks at
what a request means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

import h11

from ..errors import HttpViolation

MAX_TARGET = 255
MAX_HEAD = 16 * 1024
MAX_BODY = 256 * 1024
MAX_REQUESTS = 16

_END_OF_HEAD = b"\r\n\r\n"
_MAX_REQUEST_LINE = MAX_TARGET + 64

# A LF without CR, a CR without LF, a NUL, a line that begins with a blank (obs-fold, RFC 9112 §5.2).
_FORBIDDEN = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00|\n[ \t]")

_TRANSFER_ENCODING = re.compile(rb"\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([^\r]*?)[ \t]*\r", re.IGNORECASE)
_DIGITS = re.compile(rb"[0-9]{1,18}")


class Headers:
    """Header fields in their order; names are compared in any case, values are stripped of outer blanks."""

    __slots__ = ("_fields",)

    def __init__(self, fields: tuple[tuple[str, str], ...] = ()) -> None:
        self._fields = tuple((name.lower(), value) for name, value in fields)

    def get(self, name: str, default: str = "") -> str:
        """The first value of `name`."""
        return next(iter(self._values(name)), default)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Every value of `name`, in order."""
        return tuple(self._values(name))

    def _values(self, name: str) -> Iterator[str]:
        wanted = name.lower()
        return (value for key, value in self._fields if key == wanted)

    def __contains__(self, name: str) -> bool:
        return any(True for _ in self._values(name))

    def __repr__(self) -> str:
        # Cookies and master secrets stand in the values.
        return f"Headers({', '.join(name for name, _ in self._fields)})"


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request. `path` is percent-decoded and without the query; `query` is as it was sent."""

    method: str
    target: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)
    http_version: str = "1.1"

    @property
    def path(self) -> str:
        """What the target names, percent-decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        """What stands behind the first question mark."""
        return self.target.partition("?")[2]

    @property
    def wants_close(self) -> bool:
        """Whether the connection ends after the answer (RFC 9112 §9.3; HTTP/1.0 is never kept alive)."""
        options = ",".join(self.headers.get_all("Connection")).lower().split(",")
        return self.http_version == "1.0" or "close" in (option.strip() for option in options)


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. Header fields are written in this order and in this case; Content-Length adds itself."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    close: bool = False


class RequestReader:
    """Cuts a connection's bytes into requests. Raises HttpViolation, after which it is used no more."""

    def __init__(self, max_head: int = MAX_HEAD) -> None:
        """max_head: bytes of a request's line and headers."""
        self._max_head = max_head
        self._buffer = bytearray()
        self._checked = 0
        self._requests = 0
        self._head: h11.Request | None = None
        self._body_length = 0

    def receive_data(self, data: bytes) -> None:
        """Add what was read from the connection."""
        self._buffer += data

    @property
    def incomplete(self) -> bool:
        """Whether a request has begun that is not complete."""
        return bool(self._buffer) or self._head is not None

    def next_request(self) -> Request | None:
        """The request that is complete now, or None where more must be read first.

        Bytes behind a complete request were sent before its answer: pipelining, which no client does.
        """
        if self._head is None and not self._read_head():
            return None
        if len(self._buffer) < self._body_length:
            return None
        if len(self._buffer) > self._body_length:
            raise HttpViolation(400, "bytes follow a request before it was answered")
        return self._take_request()

    def _read_head(self) -> bool:
        if not self._buffer:
            return False
        if self._requests >= MAX_REQUESTS:
            raise HttpViolation(429, f"more than {MAX_REQUESTS} requests on one connection")
        end = self._buffer.find(_END_OF_HEAD, max(0, self._checked - len(_END_OF_HEAD)))
        self._check_head(end + len(_END_OF_HEAD) if end >= 0 else len(self._buffer))
        if end < 0:
            return False
        head = bytes(self._buffer[: end + len(_END_OF_HEAD)])
        del self._buffer[: len(head)]
        self._body_length = _body_length(head)
        self._head = _parse_head(head, self._max_head)
        return True

    def _check_head(self, end: int) -> None:
        """Refuse what is wrong as soon as it is seen, so that nobody waits for the rest of it."""
        if _FORBIDDEN.search(self._buffer, max(0, self._checked - 2), end):
            raise HttpViolation(400, "a bare CR or LF, a NUL or a folded line in a request's head")
        line = self._buffer.find(b"\r\n", 0, end)
        if (line if line >= 0 else end) > _MAX_REQUEST_LINE:
            raise HttpViolation(414, "a request line is too long")
        if end > self._max_head:
            raise HttpViolation(431, "a request's head is too long")
        self._checked = end

    def _take_request(self) -> Request:
        head = self._head
        assert head is not None
        body = bytes(self._buffer)
        self._buffer.clear()
        self._checked = self._body_length = 0
        self._head = None
        self._requests += 1
        return Request(
            method=head.method.decode("ascii"),
            target=head.target.decode("ascii"),
            headers=Headers(tuple((n.decode("ascii"), v.decode("latin-1")) for n, v in head.headers)),
            body=body,
            http_version=head.http_version.decode("ascii"),
        )


def _parse_head(head: bytes, max_head: int) -> h11.Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=max_head + 1)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise HttpViolation(error.error_status_hint, f"not a request: {error}") from error
    if not isinstance(event, h11.Request):
        raise HttpViolation(400, "not a request")
    if event.http_version not in (b"1.0", b"1.1"):
        raise HttpViolation(505, "neither HTTP/1.0 nor HTTP/1.1")
    if len(event.target) > MAX_TARGET:
        raise HttpViolation(414, f"a URL of {len(event.target)} bytes")
    return event


def _body_length(head: bytes) -> int:
    # Read from the bytes, since h11 merges lengths that are equal.
    if _TRANSFER_ENCODING.search(head):
        raise HttpViolation(400, "a request with Transfer-Encoding")
    lengths = _CONTENT_LENGTH.findall(head)
    if not lengths:
        return 0
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        raise HttpViolation(400, "a Content-Length that is not one number")
    length = int(lengths[0])
    if length > MAX_BODY:
        raise HttpViolation(413, f"a body of {length} bytes")
    return length


def build_response(response: Response, *, close: bool = False) -> bytes:
    """The bytes of an answer: always HTTP/1.1, always with Content-Length, header case untouched.

    close: say so because the request wanted it; a response may also end the connection by itself.
    """
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    if response.close or close:
        lines.append("Connection: close")
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines.append(f"Content-Length: {len(response.body)}")
    head = "\r\n".join(one_line(line) for line in lines) + "\r\n\r\n"
    return head.encode() + response.body


def one_line(text: str) -> str:
    """A header line that cannot begin another: CR, LF and NUL become blanks."""
    return text.translate(_BLANKS)


_BLANKS = str.maketrans("\r\n\0", "   ")
