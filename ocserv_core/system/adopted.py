"""What processes that ended have left to us, where we are a subreaper."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection

from .process import parent_of


def adopted(known: Collection[int]) -> list[int]:
    """The children of this process that are not `known`: to be asked when a child was reaped, since only then are
    those that it had started children of ours."""
    return [pid for pid in _children() if pid not in known]


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
