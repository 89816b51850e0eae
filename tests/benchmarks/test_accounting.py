"""CPU and memory of processes, those that have ended too."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks import accounting

SECONDS = 0.15
TICKS = 0.03
"""What two readings in ticks of a hundredth of a second may lose."""


def burn() -> None:
    """Use SECONDS of CPU."""
    until = time.process_time() + SECONDS
    while time.process_time() < until:
        pass


def test_own_cpu_is_seen() -> None:
    before = accounting.process_cpu(os.getpid())
    burn()
    assert accounting.process_cpu(os.getpid()) - before >= SECONDS


def test_a_process_that_does_not_exist_has_used_nothing() -> None:
    assert accounting.process_cpu(2**22 + 1) == 0.0


def test_the_tree_counts_children_that_were_reaped() -> None:
    program = f"import time\nwhile time.process_time() < {SECONDS}: pass"
    before = accounting.tree_cpu(os.getpid())
    subprocess.run([sys.executable, "-c", program], check=True)
    assert accounting.tree_cpu(os.getpid()) - before >= SECONDS - TICKS


def test_the_tree_has_grandchildren() -> None:
    program = "import subprocess, sys; subprocess.run(['cat'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        deadline = time.monotonic() + 10
        titles: list[str] = []
        while "cat" not in titles and time.monotonic() < deadline:
            titles = [process.title for process in accounting.tree(child.pid)]
        child.stdin.close()
    assert titles[1:] == ["cat"]


def test_pss_is_at_most_what_is_resident() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert 1_000_000 < accounting.pss(os.getpid()) <= resident * 1.2


def test_the_machine_is_busy_while_somebody_works() -> None:
    before = accounting.machine_cpu()
    burn()
    assert accounting.machine_cpu() - before >= SECONDS - TICKS
