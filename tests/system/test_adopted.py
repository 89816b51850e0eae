"""What a process inherits as a subreaper."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ocserv_core.system import adopted as adopted_module
from ocserv_core.system.adopted import adopted
from ocserv_core.system.process import set_child_subreaper

from .forked import in_child


def orphan() -> int:
    """A grandchild, whose parent has ended."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        if (grandchild := os.fork()) == 0:
            time.sleep(60)
        os.write(writer, str(grandchild).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    found = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    return found


def inherit() -> list[object]:
    set_child_subreaper()
    known = os.fork()
    if known == 0:
        time.sleep(60)
    left = orphan()
    said: list[object] = [adopted([known]) == [left], sorted(adopted([])) == sorted([known, left])]
    for pid in (known, left):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return [*said, adopted([])]


def test_the_children_that_it_does_not_know() -> None:
    assert in_child(inherit) == [True, True, []]


def test_the_same_where_the_kernel_keeps_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_list(path: str, encoding: str = "") -> object:
        raise FileNotFoundError(path)

    monkeypatch.setattr(adopted_module, "open", no_list, raising=False)
    assert in_child(inherit) == [True, True, []]
