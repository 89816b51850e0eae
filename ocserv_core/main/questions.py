"""What main has asked of secmod and waits for. A question outlives the secmod that it was put to: the next one is
asked the same, by the same number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ..ipc.messages import (
    FinalStats,
    Message,
    PluginList,
    SessionClose,
    SessionList,
    SessionReply,
    SessionRow,
    SessionStarted,
)
from ..model import SessionId

Answer = TypeVar("Answer", bound=Message)


@dataclass(slots=True)
class _Question:
    message: Message
    answered: asyncio.Future[Message]
    rows: list[SessionRow] = field(default_factory=list)


class Questions:
    """`put` sends a question to secmod, if there is one that can hear it."""

    def __init__(self, put: Callable[[Message], None]) -> None:
        self._put = put
        self._open: dict[int, _Question] = {}
        self._next = 1
        self._closed = False

    async def ask(self, build: Callable[[int], Message], answer: type[Answer]) -> Answer:
        """Ask what `build` makes of a request number, and wait for as long as it takes. asyncio.CancelledError where
        no secmod will ever answer."""
        if self._closed:
            raise asyncio.CancelledError
        number = self._next
        self._next += 1
        question = _Question(build(number), asyncio.get_running_loop().create_future())
        self._open[number] = question
        try:
            self._put(question.message)
            reply = await question.answered
        finally:
            del self._open[number]
        assert isinstance(reply, answer)
        return reply

    def close(self) -> None:
        """secmod ends with the server: whoever waits would wait for ever, and the process for him."""
        self._closed = True
        for question in self._open.values():
            question.answered.cancel()

    def repeat(self) -> None:
        """There is another secmod: ask again what is open."""
        for question in self._open.values():
            question.rows.clear()
            self._put(question.message)

    def closing(self) -> list[SessionId]:
        """The sessions whose SessionClose is not answered: they are not closed before that."""
        messages = (question.message for question in self._open.values())
        return [message.sid for message in messages if isinstance(message, SessionClose)]

    def on_answer(self, message: SessionReply | SessionStarted | FinalStats | PluginList | SessionList) -> None:
        """secmod answers; one that nobody waits for any more is nothing to us."""
        question = self._open.get(message.request)
        if question is not None and not question.answered.done():
            question.answered.set_result(message)

    def on_list(self, message: SessionList) -> None:
        """A part of a list; with the last part the whole is the answer."""
        question = self._open.get(message.request)
        if question is None:
            return
        question.rows.extend(message.rows)
        if message.last:
            self.on_answer(SessionList(message.request, tuple(question.rows), last=True))
