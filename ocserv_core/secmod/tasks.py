"""A back end that is an `async def`: one call in a task of its own, so that whoever waits for it is let go at once when
its time is over, whatever the task makes of its cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from ..plugin.backends import Abandoned, Ask, Prompt


class Attending:
    """One call. The loop waits for `outcome`; where that wait is cancelled the task is too, and hears so again when it
    asks. What it returns or raises then is nobody's."""

    def __init__(self, call: Callable[[Ask], Awaitable[object]], ask: Ask) -> None:
        self._call = call
        self._ask = ask
        self._abandoned = False
        self._task: asyncio.Task[object] | None = None

    def start(self, name: str, done: Callable[[], None]) -> None:
        """`done` is called on the loop when the task has ended."""
        self._task = asyncio.create_task(ordinary(self._run()), name=name)
        self._task.add_done_callback(lambda _task: done())

    async def outcome(self) -> object:
        """What the back end returned, or raised. RuntimeError where it ended by what is no Exception."""
        if self._task is None:
            raise RuntimeError("it was not started")
        try:
            return await asyncio.shield(self._task)
        finally:
            self._abandon(self._task)

    def _abandon(self, task: asyncio.Task[object]) -> None:
        self._abandoned = True
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _run(self) -> object:
        try:
            return await self._call(self._ask_while_awaited)
        except asyncio.CancelledError:
            if self._abandoned:
                raise
            # Of something that it waited for: nobody has cancelled this login.
            raise RuntimeError("it ended by CancelledError()") from None

    async def _ask_while_awaited(self, prompt: Prompt) -> str:
        if self._abandoned:
            raise Abandoned
        return await self._ask(prompt)


async def ordinary(call: Coroutine[object, object, object]) -> object:
    """What the call returns or raises; a RuntimeError for what would end the event loop, and secmod with it."""
    try:
        return await call
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001 (it would pass the top of every task)
        raise RuntimeError(f"it ended by {error!r}") from None
