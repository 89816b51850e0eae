"""utmp and wtmp as the system's own programs read them, in a mount namespace of the test's."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from ocserv_core.errors import SystemFailure
from ocserv_core.system import utmp

ALICE = "utmp.write_login('vpns0', 4711, 'alice', '2001:db8::7', 1700000000.25)"


PROGRAM = """
import os, subprocess
from ocserv_core.system import utmp
def read(*argv):
    environment = {"TZ": "UTC", "PATH": os.environ["PATH"]}
    print(subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout)
"""


def told(*lines: str) -> str:
    """What these lines of Python print, where /run and /var/log are the test's own and the records are empty."""
    shell = 'mount -t tmpfs t /run && mount -t tmpfs t /var/log && : > /run/utmp && : > /var/log/wtmp && exec "$@"'
    program = "\n".join((PROGRAM, *lines))
    argv = ["unshare", "--mount", "sh", "-c", shell, "sh", sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs_root
def test_who_is_there_is_seen_by_who() -> None:
    said = told(ALICE, "read('who', '-u', '/run/utmp')")
    assert said.split()[:2] == ["alice", "vpns0"]
    assert " 22:13 " in said
    assert "(2001:db8::7)" in said
    assert "4711" in said


@pytest.mark.needs_root
def test_who_has_left_is_not() -> None:
    assert told(ALICE, "utmp.write_logout('vpns0', 4711, 1700000060.0)", "read('who', '/run/utmp')").strip() == ""


@pytest.mark.needs_root
def test_last_knows_how_long_it_was() -> None:
    said = told(ALICE, "utmp.write_logout('vpns0', 4711, 1700000060.0)", "read('last', '-w', '-f', '/var/log/wtmp')")
    line = said.splitlines()[0]
    assert line.split()[:3] == ["alice", "vpns0", "2001:db8::7"]
    assert line.endswith("(00:01)")


@pytest.mark.needs_root
def test_two_devices_are_two_lines() -> None:
    bob = ALICE.replace("vpns0", "vpns1").replace("alice", "bob")
    assert [line.split()[0] for line in told(ALICE, bob, "read('who', '/run/utmp')").split("\n") if line] == [
        "alice",
        "bob",
    ]


@pytest.mark.needs_root
def test_where_there_are_no_records_nothing_is_wrong() -> None:
    assert told("os.unlink('/run/utmp')", ALICE, "print(os.path.exists('/run/utmp'))").strip() == "False"


def test_a_machine_whose_records_are_not_known_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utmp, "_RECORD", None)
    with pytest.raises(SystemFailure, match=f"the records of {os.uname().machine} are not known"):
        utmp.write_logout("vpns0", 1, 0.0)


@pytest.mark.parametrize(("machine", "size"), [("x86_64", 384), ("aarch64", 400), ("riscv64", 400), ("vax", None)])
def test_records_have_the_size_of_their_machine(machine: str, size: int | None) -> None:
    record = utmp._record_of(machine)
    assert (ctypes.sizeof(record) if record else None) == size
