"""Event loops for tests: one for each dialogue, bounded, and without a clock of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

LIMIT = 30.0
"""Seconds after which a dialogue that hangs has failed."""


def on_loop(dialogue: Coroutine[Any, Any, None]) -> None:
    """Run a dialogue to its end. What it left behind on the loop, and what went wrong there unseen, fails it."""

    async def run() -> None:
        wrong: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: wrong.append(str(context)))
        async with asyncio.timeout(LIMIT):
            await dialogue
        await asyncio.sleep(0)
        assert wrong == []

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something holds."""
    while not condition():  # noqa: ASYNC110 (what holds is nobody's event)
        await asyncio.sleep(0)


async def turn(times: int = 20) -> None:
    """Let the loop turn a while: for what must not happen."""
    for _ in range(times):
        await asyncio.sleep(0)
