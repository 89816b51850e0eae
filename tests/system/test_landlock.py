"""How much is denied depends on the kernel: what is asked of each ABI, and what an absent one means."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from ocserv_core.system import landlock, libc


class Kernel:
    """A Landlock of some ABI: keeps the ruleset that it was given."""

    def __init__(self, abi: int) -> None:
        self.abi = abi
        self.rules: list[tuple[int, int, int]] = []
        self.restricted = 0

    def syscall(self, number: int, *arguments: Any) -> int:
        if number == 446:
            self.restricted += 1
            return 0
        if arguments[0] is None:
            return self.abi
        rules = arguments[0]._obj
        self.rules.append((rules.files, rules.net, rules.scoped))
        return os.memfd_create("ruleset")


@pytest.mark.parametrize(
    ("abi", "rules"),
    [
        (1, (0x1FFF, 0, 0)),
        (2, (0x3FFF, 0, 0)),
        (3, (0x7FFF, 0, 0)),
        (4, (0x7FFF, 3, 0)),
        (5, (0xFFFF, 3, 0)),
        (6, (0xFFFF, 3, 3)),
        (9, (0xFFFF, 3, 3)),
    ],
)
def test_all_that_an_abi_knows_is_denied(monkeypatch: pytest.MonkeyPatch, abi: int, rules: tuple[int, ...]) -> None:
    kernel = Kernel(abi)
    monkeypatch.setattr(libc, "syscall", kernel.syscall)
    assert landlock.deny_all() == abi
    assert (kernel.rules, kernel.restricted) == ([rules], 1)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_without_landlock_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(libc, "syscall", refuse)
    assert landlock.deny_all() == 0


def test_another_error_is_not_taken_for_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> int:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(libc, "syscall", fail)
    with pytest.raises(OSError, match="no memory"):
        landlock.deny_all()
