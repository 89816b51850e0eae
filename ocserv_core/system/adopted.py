"""What a process that ended has left behind, and we have inherited as a subreaper: it is ended as well."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

from .process import parent_of


def end_adopted(known: Collection[int]) -> None:
    """SIGKILL to every child of this process that is not `known`. It is not reaped here.

    To be called again when one of them has ended: only then are those that it started children of ours.
    """
    for pid in _children():
        if pid not in known:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    """Those of this process's first thread; by /proc as a whole where the kernel keeps no list of them
    (CONFIG_PROC_CHILDREN)."""
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        return [pid for pid in pids if _is_parent(own, pid)]


def _is_parent(own: int, pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return parent_of(pid) == own
    return False
