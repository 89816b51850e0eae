"""What processes cost. Read-only; knows nothing of servers and clients.

CPU is the scheduler's run time in nanoseconds, the sum of /proc/PID/task/*/schedstat, read through the process's own
CPU clock so that threads that ended count too. A worker that ended is in the cutime and cstime of whoever reaped it
(main at the C server, the nursery here); these tick at 100 Hz for a whole process, not for each child, so the error
is 20 ms in a run, however many children it had. Softirq work done in a process's context counts as its own.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_PARENT, _CHILDREN_USER, _CHILDREN_SYSTEM = 1, 13, 14
"""Fields of /proc/PID/stat behind the name in parentheses."""

_IDLE = (3, 4)
_GUEST = 8
"""Fields of the line `cpu` of /proc/stat: idle and iowait; guest time is contained in others."""


@dataclass(frozen=True, slots=True)
class Process:
    """pid, and the title that it shows."""

    pid: int
    title: str


def tree(root: int) -> list[Process]:
    """A process and all that descend from it, in no order; `root` first."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid in _pids():
        fields = _stat(pid)
        if fields is not None:
            children[int(fields[_PARENT])].append(pid)
    found, front = [root], [root]
    while front:
        front = [child for parent in front for child in children[parent]]
        found += front
    return [Process(pid, _title(pid)) for pid in found]


def tree_cpu(root: int) -> float:
    """Seconds of CPU that the tree has used until now, its ended processes included."""
    return sum(process_cpu(process.pid) + _reaped(process.pid) for process in tree(root))


def process_cpu(pid: int) -> float:
    """Seconds of CPU of a process, all threads; 0 when there is none."""
    # The kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED), what clock_getcpuclockid(3) gives.
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def machine_cpu() -> float:
    """Seconds in which the machine's CPUs were not idle."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(field) for field in file.readline().split()[1 : 1 + _GUEST]]
    return sum(value for field, value in enumerate(ticks) if field not in _IDLE) * _TICK


def pss(pid: int) -> int:
    """Bytes of memory, shared pages divided by who shares them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no Pss")


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 1 :].split()


def _reaped(pid: int) -> float:
    fields = _stat(pid)
    return 0.0 if fields is None else (int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM])) * _TICK


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""
