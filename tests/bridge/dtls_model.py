"""DTLS 1.2 records in plain Python, from RFC 6347: the oracle of native/dtls_record.c, and a client that can
misbehave."""

from __future__ import annotations

from dataclasses import dataclass, field

from .record_model import APPLICATION, Half

VERSION = b"\xfe\xfd"
EPOCH = 1 << 48


@dataclass(frozen=True)
class Record:
    """A record as it is on the wire."""

    kind: int
    number: int
    body: bytes
    version: bytes = VERSION

    def __bytes__(self) -> bytes:
        return (
            bytes([self.kind])
            + self.version
            + self.number.to_bytes(8, "big")
            + len(self.body).to_bytes(2, "big")
            + self.body
        )


def records(datagram: bytes) -> list[Record]:
    """number: with the epoch as its upper 16 bits."""
    found = []
    while datagram:
        size = int.from_bytes(datagram[11:13], "big")
        assert len(datagram) >= 13 + size
        number = int.from_bytes(datagram[3:11], "big")
        found.append(Record(datagram[0], number, datagram[13 : 13 + size], datagram[1:3]))
        datagram = datagram[13 + size :]
    return found


@dataclass
class DtlsHalf:
    """One direction of a session after its handshake; half.seq is the next number, epoch included."""

    half: Half
    seen: list[bytes] = field(default_factory=list)
    """The nonces of all records that were opened."""

    def seal(self, content: bytes, kind: int = APPLICATION, number: int | None = None) -> bytes:
        half = self.half
        if number is not None:
            half.seq = number
        seq = half.seq
        sealed = half.seal(kind, content)
        # A TLS record, but for its header and what is authenticated of it.
        aad = seq.to_bytes(8, "big") + bytes([kind]) + VERSION + len(content).to_bytes(2, "big")
        nonce = half.iv + sealed[5:13] if half.explicit else self._nonce(seq)
        body = half.suite.aead(half.key).encrypt(nonce, content, aad)
        return bytes(Record(kind, seq, sealed[5 : 5 + half.explicit] + body))

    def _nonce(self, seq: int) -> bytes:
        return (int.from_bytes(self.half.iv, "big") ^ seq).to_bytes(12, "big")

    def open(self, record: Record) -> bytes:
        half = self.half
        explicit, body = record.body[: half.explicit], record.body[half.explicit :]
        nonce = half.iv + explicit if half.explicit else self._nonce(record.number)
        content = len(body) - half.suite.tag
        aad = record.number.to_bytes(8, "big") + bytes([record.kind]) + VERSION + content.to_bytes(2, "big")
        plain = half.suite.aead(half.key).decrypt(nonce, body, aad)
        self.seen.append(nonce)
        return plain


class Window:
    """What may still come: not what was there, nothing that lies `size` numbers back or more."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.next = 0
        self._seen: set[int] = set()

    def admits(self, number: int) -> bool:
        return number >= self.next or (self.next - number <= self.size and number not in self._seen)

    def note(self, number: int) -> None:
        self._seen.add(number)
        self.next = max(self.next, number + 1)
