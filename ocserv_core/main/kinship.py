"""Whether the process that a nursery names is its worker: main signals no other on a nursery's word."""

from __future__ import annotations

import os

from ..errors import PeerViolation
from ..system.process import kinship_of, parent_of, pid_of_pidfd


def check_forked(pid: int, pidfd: int, nursery: int) -> None:
    """PeerViolation where `pidfd` does not mean `pid`, or where that is no child of the nursery (pid `nursery`).

    A worker that ended and was reaped before its Spawned was read can be no other process any more.
    """
    try:
        meant = pid_of_pidfd(pidfd)
        if meant == -1:
            return
        if meant != pid or pid <= 1 or not _is_child(pid, nursery):
            raise PeerViolation(f"Spawned names a process ({pid}) that the nursery has not forked")
    except ValueError:
        raise PeerViolation("Spawned came with a descriptor that is no pidfd") from None


def _is_child(pid: int, nursery: int) -> bool:
    try:
        if parent_of(pid) == nursery:
            return True
        found = kinship_of(pid)
        # Of a nursery that died main is the heir, but main's own children are root's, or nurseries.
        return found.parent == os.getpid() and found.uid != 0 and kinship_of(nursery).ended
    except ProcessLookupError:
        return True  # reaped in this moment: the pidfd means nobody any more
