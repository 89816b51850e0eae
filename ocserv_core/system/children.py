"""The processes that this one started, or inherited from a child that died: their end is awaited by pidfd."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import signal
from collections.abc import Collection

AWAITED: collections.Counter[int] = collections.Counter()
"""By how many each child of this process is waited for: a wait may begin before one that was cancelled is over."""


async def wait_exit(pid: int) -> int:
    """Wait for the end of a child and reap it: its exit status, or minus the signal that ended it.

    A pid that is no child of ours (any more) counts as ended with status 0.
    """
    AWAITED[pid] += 1
    try:
        return await _wait_exit(pid)
    finally:
        AWAITED[pid] -= 1
        if not AWAITED[pid]:
            del AWAITED[pid]


def reap_others(others: Collection[int]) -> None:
    """Reap those of these children of ours that have ended: what a child had started and left behind."""
    for pid in others:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


async def _wait_exit(pid: int) -> int:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return _reap(pid)
    ended = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, lambda: None if ended.done() else ended.set_result(None))
    try:
        await ended
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return _reap(pid)


async def end_child(pid: int, timeout: float) -> int:
    """Let a child end by itself (it was told, or its channel closed), kill it after `timeout` seconds."""
    waiting = asyncio.ensure_future(wait_exit(pid))
    try:
        return await asyncio.wait_for(asyncio.shield(waiting), timeout)
    except TimeoutError:
        kill(pid, signal.SIGKILL)
        return await waiting


def kill(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status)
