"""secmod's end of the child that hears strangers: it is started, spoken with in checked messages, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from types import TracebackType
from typing import Self

import msgspec

from .coa_words import MAX_MESSAGE, FromChild, ToChild

_MODULE = "ocserv_acct_radius.coa_child"
_decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


class Ended(Exception):
    """The child is gone, or said what cannot be; the text says which."""


class ChildProcess:
    """One child, as a context: it does not outlive it."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._ours: socket.socket
        self._popen: subprocess.Popen[bytes]

    async def __aenter__(self) -> Self:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        fds = (self._listening.fileno(), theirs.fileno())
        with theirs:
            # On this thread: the child dies with the thread that made it (PR_SET_PDEATHSIG).
            self._popen = subprocess.Popen(  # noqa: ASYNC220 (it returns after the exec)
                [sys.executable, "-P", "-m", _MODULE, *map(str, fds)],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._ours.close()
        self._popen.kill()
        await asyncio.to_thread(self._popen.wait)
        if self._popen.stderr is not None:
            self._popen.stderr.close()

    @property
    def pid(self) -> int:
        """The child's."""
        return self._popen.pid

    async def send(self, message: ToChild) -> None:
        """Ended."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._ours, msgspec.msgpack.encode(message))
        except OSError as error:
            raise Ended(self._last_words() or error.strerror) from None

    async def receive(self) -> FromChild:
        """The next message. Ended."""
        try:
            octets = await asyncio.get_running_loop().sock_recv(self._ours, MAX_MESSAGE)
        except OSError as error:
            raise Ended(self._last_words() or error.strerror) from None
        if not octets:
            raise Ended(self._last_words() or "it closed its channel")
        try:
            return _decoder.decode(octets)
        except msgspec.MsgspecError as error:
            raise Ended(f"it said what cannot be: {error}") from None

    def _last_words(self) -> str:
        """The last line of what it complained of."""
        stderr = self._popen.stderr
        if stderr is None:
            return ""
        os.set_blocking(stderr.fileno(), False)
        with contextlib.suppress(OSError):
            lines = os.read(stderr.fileno(), 65536).decode(errors="replace").splitlines()
            return lines[-1] if lines else ""
        return ""
