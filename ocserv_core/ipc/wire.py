"""How a message lies in a datagram: used by both kinds of channel; knows no socket's waiting.

A datagram is one MessagePack array. What is longer than MAX_MESSAGE goes into a sealed memfd, and the datagram is
the one byte LARGE (a byte that MessagePack never uses), the memfd being the last of its descriptors. Only an end
that trusts its peer accepts such a datagram.
"""

from __future__ import annotations

import array
import functools
import os
import socket
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import msgspec

from ..errors import PeerLost, PeerViolation
from ..system.memfd import read_sealed, sealed_memfd
from .foreign import ANCILLARY_SPACE, close_channel, close_foreign, descriptors_of
from .messages import MAX_MESSAGE, Message

In = TypeVar("In")

LARGE = b"\xc1"
MAX_LARGE = 16 * 1024 * 1024
MAX_FDS = 8
"""More than any message has."""

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What hostile bytes make a decoder raise: text that is no UTF-8 and nests without end have errors of their own."""

_ENCODER = msgspec.msgpack.Encoder()

_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
"""As a number: to make one of two flags costs more than to read a message."""


class Received(Generic[In]):
    """A message and the descriptors that came with it; whoever handles it owns them."""

    __slots__ = ("fds", "message")

    def __init__(self, message: In, fds: list[int]) -> None:
        self.message = message
        self.fds = fds


class Wire(Generic[In]):
    """Encodes any message, decodes those of one union (`FromWorkerToMain`, …)."""

    def __init__(self, incoming: Any, *, accept_large: bool) -> None:
        self._decoder = _decoder_of(incoming)
        self._accept_large = accept_large

    def send(self, sock: socket.socket, message: Message, fds: Sequence[int]) -> None:
        """One sendmsg. BlockingIOError where the peer's queue is full, PeerLost where it is gone."""
        data = _ENCODER.encode(message)
        if len(data) <= MAX_MESSAGE:
            _sendmsg(sock, data, fds)
            return
        large = sealed_memfd("message", data)
        try:
            _sendmsg(sock, LARGE, [*fds, large])
        finally:
            os.close(large)

    def receive(self, sock: socket.socket) -> Received[In]:
        """One recvmsg. BlockingIOError where nothing is there, PeerLost at the end, PeerViolation for nonsense."""
        data, fds = _recvmsg(sock)
        try:
            if data == LARGE:
                data = self._read_large(fds)
            return Received(cast("In", self._decoder.decode(data)), fds)
        except UNDECODABLE as error:
            close_foreign(fds)
            raise PeerViolation(f"undecodable message: {error}") from None
        except PeerViolation:
            close_foreign(fds)
            raise

    def close(self, sock: socket.socket) -> None:
        """Close the socket, without waiting for what a peer that is not trusted has put into it."""
        if self._accept_large:
            sock.close()
        else:
            close_channel(sock)

    def _read_large(self, fds: list[int]) -> bytes:
        if not (self._accept_large and fds):
            raise PeerViolation("a large message is not permitted from this peer")
        fd = fds.pop()
        try:
            return read_sealed(fd, MAX_LARGE)
        finally:
            os.close(fd)


@functools.cache
def _decoder_of(incoming: Any) -> msgspec.msgpack.Decoder[Any]:
    """Reading a union's annotations costs a millisecond, and every connection has four channels."""
    return msgspec.msgpack.Decoder(incoming)


def _sendmsg(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        raise PeerLost("the peer closed its channel") from None


def _recvmsg(sock: socket.socket) -> tuple[bytes, list[int]]:
    try:
        data, ancillary, flags, _ = sock.recvmsg(MAX_MESSAGE + 1, ANCILLARY_SPACE, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        raise PeerLost("the peer closed its channel") from None
    fds = descriptors_of(ancillary)
    if flags & _CUT or len(fds) > MAX_FDS:
        close_foreign(fds)
        raise PeerViolation("a message was longer than permitted")
    if not data:
        close_foreign(fds)
        raise PeerLost("the peer closed its channel")
    return data, fds
