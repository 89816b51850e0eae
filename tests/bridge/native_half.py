"""native/record.c by itself, in the shape of record_model.Half."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ocserv_core.bridge._native import ffi, lib

from .record_model import Half

ROOM = 20000


class NativeHalf:
    """One direction in C, with the keys of a model."""

    def __init__(self, like: Half) -> None:
        self._half = ffi.new("struct oc_half *")
        cipher = getattr(lib, f"GNUTLS_CIPHER_{like.suite.name}")
        secret = like.secret
        self.code = lib.oc_half_open(
            self._half,
            like.tls13,
            cipher,
            like.key,
            len(like.key),
            like.iv,
            len(like.iv),
            like.seq,
            secret,
            len(secret),
        )

    def __enter__(self) -> Self:
        assert self.code == 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        lib.oc_half_close(self._half)

    def seal(self, kind: int, content: bytes, room: int = ROOM) -> bytes | int:
        """The record, or a fault."""
        plain, record = ffi.new("uint8_t[]", content + b"\0"), ffi.new("uint8_t[]", room)
        n = lib.oc_seal(self._half, kind, plain, len(content), record, room)
        return bytes(ffi.buffer(record, n)) if n >= 0 else -n

    def open(self, record: bytes, room: int = ROOM) -> tuple[int, bytes] | int:
        """Its type and content, or a fault."""
        plain, kind = ffi.new("uint8_t[]", room), ffi.new("int *")
        sealed = ffi.new("uint8_t[]", record) if record else ffi.NULL
        n = lib.oc_open(self._half, sealed, len(record), plain, room, kind)
        return (kind[0], bytes(ffi.buffer(plain, n))) if n >= 0 else -n

    def update(self) -> int:
        return lib.oc_half_update(self._half)
