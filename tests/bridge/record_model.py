"""TLS records in plain Python, from the RFCs: the oracle of native/record.c, and a client that can misbehave."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

ALERT, HANDSHAKE, APPLICATION = 21, 22, 23


@dataclass(frozen=True)
class Suite:
    """name is GnuTLS's, for lib.GNUTLS_CIPHER_*; explicit: bytes of nonce in a TLS 1.2 record."""

    name: str
    key_size: int
    tag: int
    explicit: int

    def aead(self, key: bytes) -> AESGCM | AESCCM | ChaCha20Poly1305:
        if "GCM" in self.name:
            return AESGCM(key)
        return AESCCM(key, self.tag) if "CCM" in self.name else ChaCha20Poly1305(key)


SUITES = (
    Suite("AES_128_GCM", 16, 16, 8),
    Suite("AES_256_GCM", 32, 16, 8),
    Suite("AES_128_CCM", 16, 16, 8),
    Suite("AES_256_CCM", 32, 16, 8),
    Suite("AES_128_CCM_8", 16, 8, 8),
    Suite("AES_256_CCM_8", 32, 8, 8),
    Suite("CHACHA20_POLY1305", 32, 16, 0),
)
AES256_GCM = SUITES[1]


def expand_label(secret: bytes, label: str, size: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446 §7.1 with an empty context."""
    name = b"tls13 " + label.encode()
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    algorithm = hashes.SHA384() if len(secret) == 48 else hashes.SHA256()
    return HKDFExpand(algorithm, size, info).derive(secret)


@dataclass
class Half:
    """One direction. iv: 12 bytes; with an explicit nonce the salt of 4."""

    suite: Suite
    tls13: bool
    key: bytes
    iv: bytes
    seq: int = 0
    secret: bytes = b""

    @classmethod
    def of_secret(cls, suite: Suite, secret: bytes, seq: int = 0) -> Half:
        key, iv = expand_label(secret, "key", suite.key_size), expand_label(secret, "iv", 12)
        return cls(suite, True, key, iv, seq, secret)

    def updated(self) -> Half:
        return Half.of_secret(self.suite, expand_label(self.secret, "traffic upd", len(self.secret)))

    @property
    def explicit(self) -> int:
        return 0 if self.tls13 else self.suite.explicit

    def _nonce(self) -> bytes:
        if self.explicit:
            return self.iv + self.seq.to_bytes(8, "big")
        return (int.from_bytes(self.iv, "big") ^ self.seq).to_bytes(12, "big")

    def _aad(self, kind: int, body: int, content: int) -> bytes:
        if self.tls13:
            return bytes([kind, 3, 3]) + body.to_bytes(2, "big")
        return self.seq.to_bytes(8, "big") + bytes([kind, 3, 3]) + content.to_bytes(2, "big")

    def seal(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        if self.tls13:
            content, kind = content + bytes([kind]) + bytes(padding), APPLICATION
        body = self.explicit + len(content) + self.suite.tag
        nonce, aad = self._nonce(), self._aad(kind, body, len(content))
        explicit = nonce[4:] if self.explicit else b""
        sealed = self.suite.aead(self.key).encrypt(nonce, content, aad)
        self.seq += 1
        return bytes([kind, 3, 3]) + body.to_bytes(2, "big") + explicit + sealed

    def open(self, record: bytes) -> tuple[int, bytes]:
        kind, body = record[0], record[5:]
        nonce = self.iv + body[:8] if self.explicit else self._nonce()
        aad = self._aad(kind, len(body), len(body) - self.explicit - self.suite.tag)
        content = self.suite.aead(self.key).decrypt(nonce, body[self.explicit :], aad)
        self.seq += 1
        if not self.tls13:
            return kind, content
        content = content.rstrip(b"\0")
        return content[-1], content[:-1]

    def copy(self) -> Half:
        return replace(self)


class RawClient:
    """A TLS 1.3 client after its handshake, whose every record can be chosen."""

    def __init__(self, sock: socket.socket, suite: Suite, client_secret: bytes, server_secret: bytes) -> None:
        self.sock = sock
        self.write = Half.of_secret(suite, client_secret)
        self.read = Half.of_secret(suite, server_secret)
        self._buffer = b""

    def send(self, kind: int, content: bytes, padding: int = 0) -> None:
        self.sock.sendall(self.write.seal(kind, content, padding))

    def send_key_update(self, requested: int) -> None:
        self.send(HANDSHAKE, bytes([24, 0, 0, 1, requested]))
        self.write = self.write.updated()

    def receive(self) -> tuple[int, bytes]:
        """The next record; a KeyUpdate is obeyed besides."""
        header = self._take(5)
        kind, content = self.read.open(header + self._take(int.from_bytes(header[3:], "big")))
        if kind == HANDSHAKE:
            self.read = self.read.updated()
        return kind, content

    def _take(self, n: int) -> bytes:
        while len(self._buffer) < n:
            piece = self.sock.recv(65536)
            assert piece, "the server closed the connection"
            self._buffer += piece
        taken, self._buffer = self._buffer[:n], self._buffer[n:]
        return taken
