"""One call in a child of a host, as secmod sees it: its questions, its outcome, its end. Whatever it says must be
permitted; it is killed when it is not wanted any more, and no login waits for one that is dead."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import PeerLost, PeerViolation, SystemFailure
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    Answer,
    Call,
    CallDenied,
    CallFault,
    CallUnavailable,
    FromChildToSecmod,
    LogLine,
    Message,
    Question,
    Returned,
)
from ..ipc.permits import Gate, Permit
from ..ipc.voices import Voice
from ..plugin.backends import Ask, Denied, Prompt, Unavailable
from ..plugin.calls import decode_result
from ..system.process import TRACEABLE_VARIABLE, spawn_module

_log = logging.getLogger(__name__)


class ChildFault(Exception):
    """The child died, or what ran in it has a bug. `kind`: how it ended, or the type of its exception: never what it
    was told. `detail`: its traceback."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class ChildPhase(enum.Enum):
    """A child's life as secmod sees it."""

    WORKING = enum.auto()
    ASKING = enum.auto()
    OVER = enum.auto()


_WORKING = frozenset({ChildPhase.WORKING})


@dataclass(frozen=True, slots=True)
class _Dead:
    """It will say nothing more."""

    how: str
    host_lost: bool = False


_Said = Question | Returned | CallDenied | CallUnavailable | CallFault | _Dead


class Child:
    """One child. `done` is called when it has ended, and with it whatever it had started."""

    def __init__(self, sock: socket.socket, voice: Voice, done: Callable[[], None]) -> None:
        self.voice = voice
        self._done = done
        self._gate = Gate(self.PERMITS, ChildPhase.WORKING)
        self._said: asyncio.Queue[_Said] = asyncio.Queue()
        self._pidfd: int | None = None
        self._unwanted = False
        self._channel = AsyncChannel[FromChildToSecmod](
            sock, FromChildToSecmod, trusted=False, on_message=self._on_message, on_end=self._on_channel_end
        )

    async def call(self, hook: str, arguments: bytes, ask: Ask | None) -> object:
        """Run a hook to its end, whatever ends it; the child ends with it. Denied, Unavailable, ChildFault."""
        try:
            self._channel.send(Call(hook, arguments, asks=ask is not None))
            while True:
                match await self._said.get():
                    case Question() as question if ask is not None:
                        answer = await ask(Prompt(question.text, question.secret, question.again, question.token))
                        self._gate.phase = ChildPhase.WORKING
                        self._channel.send(Answer(answer))
                    case Returned(value):
                        return decode_result(hook, value)
                    case CallDenied(text, token):
                        raise Denied(text, token)
                    case CallUnavailable(text):
                        raise Unavailable(text)
                    case CallFault(kind, traceback):
                        raise ChildFault(kind, traceback)
                    case _Dead(how, host_lost=True):
                        raise Unavailable(how)
                    case _Dead(how):
                        raise ChildFault(how)
                    case _:
                        raise ChildFault("it asks a question, and has nobody to ask")
        finally:
            self.kill()

    def kill(self) -> None:
        """It is not wanted any more. Idempotent; its end is told by `done`."""
        self._unwanted = True
        self._gate.phase = ChildPhase.OVER
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    # ---- what its host says of it

    def on_started(self, pidfd: int) -> None:
        """It runs."""
        self._pidfd = pidfd
        if self._unwanted:
            self.kill()

    def on_ended(self, how: str, *, host_lost: bool = False) -> None:
        """It has ended, and is reaped."""
        self._channel.drain()  # its last words
        self._channel.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self._said.put_nowait(_Dead(how, host_lost))
        self._done()

    # ---- what it says itself

    def _on_message(self, message: Message, fds: list[int]) -> None:
        self._gate.admit(message, fds)(self, message)

    def _on_question(self, question: Question) -> None:
        self._gate.phase = ChildPhase.ASKING
        self._said.put_nowait(question)

    def _on_outcome(self, outcome: Returned | CallDenied | CallUnavailable | CallFault) -> None:
        self._gate.phase = ChildPhase.OVER
        self._said.put_nowait(outcome)

    def _on_log_line(self, line: LogLine) -> None:
        self.voice.say(line)

    def _on_channel_end(self, error: PeerLost | PeerViolation) -> None:
        """Its host will tell how it ended. One that lives without its channel is of no use."""
        if isinstance(error, PeerViolation):
            _log.error("a child of %s is cut off: %s", self.voice.speaker.process, error)
        self.kill()

    PERMITS: ClassVar[Mapping[type[Message], Permit[Callable[..., None]]]] = {
        Question: Permit(_on_question, _WORKING),
        Returned: Permit(_on_outcome, _WORKING),
        CallDenied: Permit(_on_outcome, _WORKING),
        CallUnavailable: Permit(_on_outcome, _WORKING),
        CallFault: Permit(_on_outcome, _WORKING),
        LogLine: Permit(_on_log_line),
    }


def spawn_for_secmod(module: str) -> tuple[socket.socket, int]:
    """Start a process that secmod has beside it (a host, a signer): our end of its channel, and its pid. Raises
    SystemFailure."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    traceable = {name: value for name, value in os.environ.items() if name == TRACEABLE_VARIABLE}
    with theirs:
        try:
            child = spawn_module(module, {"secmod": theirs.fileno()}, environment=traceable)
        except SystemFailure:
            ours.close()
            raise
    return ours, child.pid


def ended_by(status: int) -> str:
    """In words: an exit status, or minus a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"
