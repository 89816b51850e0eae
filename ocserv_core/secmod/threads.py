"""A back end that is a plain `def`: one login in a thread, whose questions are asked on the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable

from ..plugin.backends import Abandoned, Ask, BlockingAsk, Prompt


class Conversing:
    """One login. The loop waits for `outcome`; where that wait is cancelled the thread hears of it when it asks."""

    def __init__(self, rounds: Callable[[BlockingAsk], object], ask: Ask) -> None:
        self._rounds = rounds
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[object] = self._loop.create_future()
        self._question: asyncio.Task[str] | None = None
        self._abandoned = False

    def start(self, name: str, done: Callable[[], None]) -> None:
        """`done` is called on the loop when the thread has ended."""
        self._finished.add_done_callback(lambda _finished: done())
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def outcome(self) -> object:
        """What the back end returned, or raised."""
        try:
            return await asyncio.shield(self._finished)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        self._abandoned = True
        if self._question is not None:
            self._question.cancel()
        if not self._finished.done():
            # What it returns or raises some day is nobody's.
            self._finished.add_done_callback(lambda finished: finished.cancelled() or finished.exception())

    # ---- in the thread

    def _run(self) -> None:
        try:
            result = self._rounds(self._ask_and_wait)
        except BaseException as error:  # noqa: BLE001 (the top of a thread: the login hears it)
            # A future takes no StopIteration, and what is no Exception would end secmod.
            ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration)
            fault = error if ordinary else RuntimeError(f"it ended by {error!r}")
            self._finish(lambda: self._finished.set_exception(fault))
        else:
            self._finish(lambda: self._finished.set_result(result))

    def _finish(self, settle: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return  # the loop has ended, and with it the process

    def _ask_and_wait(self, prompt: Prompt) -> str:
        asked = asyncio.run_coroutine_threadsafe(self._ask_on_loop(prompt), self._loop)
        try:
            return asked.result()
        except concurrent.futures.CancelledError:
            raise Abandoned from None

    # ---- on the loop

    async def _ask_on_loop(self, prompt: Prompt) -> str:
        if self._abandoned:
            raise Abandoned
        self._question = asyncio.ensure_future(self._ask(prompt))
        try:
            return await self._question
        finally:
            self._question = None
