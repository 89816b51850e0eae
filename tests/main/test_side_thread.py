"""Calls beside the loop: their order, their outcome, and a process that ends while one hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from ocserv_core.errors import SystemFailure
from ocserv_core.main.side_thread import SideThread
from tests.loop import on_loop

HANGS = """\
import asyncio, threading
from ocserv_core.main.side_thread import SideThread

async def main():
    thread = SideThread("hangs")
    thread.call(threading.Event().wait)
    assert not await thread.settle(0.05)
    thread.close()

asyncio.run(main())
print("ended")
"""


def fail() -> None:
    raise SystemFailure("no")


def test_calls_come_in_their_order_and_what_they_raise_is_heard() -> None:
    heard: list[int] = []

    async def dialogue() -> None:
        thread = SideThread("test")
        first = thread.call(heard.append, 1)
        with pytest.raises(SystemFailure):
            await thread.call(fail)
        await thread.call(heard.append, 2)
        assert first.done()
        assert await thread.settle(20.0)
        thread.close()

    on_loop(dialogue())
    assert heard == [1, 2]


def test_after_the_end_nothing_is_called() -> None:
    async def dialogue() -> None:
        thread = SideThread("test")
        thread.close()
        with pytest.raises(asyncio.CancelledError):
            await thread.call(threading.Event().wait)

    on_loop(dialogue())


def test_one_that_hangs_holds_up_no_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20)
    assert done.stdout == "ended\n", done.stderr
