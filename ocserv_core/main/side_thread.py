"""A thread beside the loop, for calls that may wait for others. One that hangs holds up no end of the process, as the
threads of concurrent.futures would: Python joins those at its exit."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable


class SideThread:
    """Calls run one after another, in their order. The thread begins with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False
        self._closed = False

    def call(self, function: Callable[..., object], *arguments: object) -> asyncio.Future[None]:
        """Its outcome. asyncio.CancelledError where this is closed already."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()
        if self._closed:
            outcome.cancel()
            return outcome
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._calls.put(lambda: _answer(loop, outcome, function, arguments))
        return outcome

    async def settle(self, within: float) -> bool:
        """Whether all that was called has ended within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self.call(_nothing)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Nothing more is called; what was called before is still done, if the process lasts."""
        self._closed = True
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _answer(
    loop: asyncio.AbstractEventLoop,
    outcome: asyncio.Future[None],
    function: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:
    """In the thread."""
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001 (the top of a thread: the caller hears it)
        _tell(loop, outcome, error)
    else:
        _tell(loop, outcome, None)


def _tell(loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[None], error: Exception | None) -> None:
    try:
        loop.call_soon_threadsafe(_settle, outcome, error)
    except RuntimeError:
        return  # the loop has ended, and with it whoever would hear


def _settle(outcome: asyncio.Future[None], error: Exception | None) -> None:
    if outcome.done():
        return  # whoever waited has given up
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(None)


def _nothing() -> None:
    pass
