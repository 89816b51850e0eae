"""The calls without a name in Python fail as OSError and do what their numbers say."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ocserv_core.system import libc

from .forked import in_child, needs_root


def test_a_refused_call_is_an_oserror() -> None:
    with pytest.raises(OSError, match="Invalid argument") as refused:
        libc.prctl(-1)
    assert refused.value.errno == errno.EINVAL


def test_the_parent_death_signal_is_read_back() -> None:
    def set_and_read() -> Any:
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGUSR2)
        return libc.read_parent_death_signal()

    assert in_child(set_and_read) == signal.SIGUSR2


@needs_root
def test_capabilities_are_there_and_then_gone() -> None:
    def clear() -> Any:
        before = libc.read_capabilities()
        libc.clear_capabilities()
        return [before > 0, libc.read_capabilities()]

    assert in_child(clear) == [True, 0]


@needs_root
def test_a_mount_is_seen_in_its_namespace_alone(tmp_path: Path) -> None:
    def mount() -> Any:
        libc.unshare(libc.CLONE_NEWNS)
        libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)
        libc.mount("none", str(tmp_path), "tmpfs", 0, "size=4k")
        (tmp_path / "inside").touch()
        return os.listdir(tmp_path)

    assert in_child(mount) == ["inside"]
    assert os.listdir(tmp_path) == []


def test_pivot_root_is_refused_on_an_unknown_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libc, "_PIVOT_ROOT", {})
    with pytest.raises(OSError, match="unknown machine") as refused:
        libc.pivot_root(".", ".")
    assert refused.value.errno == errno.ENOSYS
