"""Processes that a lab starts: every line that they say is kept, and waited for; their end is certain.

Nothing here sleeps: a wait ends with the line, with the process' end, or with its deadline.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

PATIENCE = 20.0
"""Seconds that a wait lasts at most, where nothing else is said; a busy machine needs far less."""


class Transcript:
    """The lines that somebody said, in their order; filled by a thread, read by the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()

    def add(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def mark(self) -> int:
        """The place after the last line so far: for `wait_for(since=…)`."""
        return len(self.lines)

    def find(self, pattern: str, since: int = 0) -> re.Match[str] | None:
        """The first line that matches, without waiting."""
        return next((match for line in self.lines[since:] if (match := re.search(pattern, line))), None)

    def count(self, pattern: str, since: int = 0) -> int:
        return sum(1 for line in self.lines[since:] if re.search(pattern, line))

    def wait_for(self, pattern: str, timeout: float = PATIENCE, *, since: int = 0, times: int = 1) -> re.Match[str]:
        """The line that matches (the `times`-th such) as soon as it is said. AssertionError after `timeout` seconds,
        or when nobody is left to say it."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self.count(pattern, since) < times:
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "it ended" if self._ended else f"{timeout:.0f} s"
                    raise AssertionError(f"{self.name} never said {pattern!r} ({why}):\n{self.tail()}")
                self._changed.wait(left)
            found = [match for line in self.lines[since:] if (match := re.search(pattern, line))]
            return found[times - 1]

    def heard(self, pattern: str, timeout: float, *, times: int = 1) -> bool:
        """Whether the line is said (so often) within `timeout` seconds: for what may also be learned in another way."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self.count(pattern) < times:
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def wait_end(self, timeout: float = PATIENCE) -> None:
        """Until the last process that could say something is gone."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._ended:
                left = deadline - time.monotonic()
                assert left > 0, f"{self.name} has not ended after {timeout:.0f} s:\n{self.tail()}"
                self._changed.wait(left)

    def tail(self, count: int = 80) -> str:
        return "\n".join(self.lines[-count:])


class Watched:
    """A process in a session (and process group) of its own. It dies with the test process, whatever happens."""

    def __init__(self, name: str, argv: Sequence[str], *, stdin: str | None = None) -> None:
        self.output = Transcript(name)
        self._popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self.family = Family(self.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if stdin is not None:
            self._say(stdin)

    def _say(self, text: str) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._popen.stdin as pipe:
            pipe.write(text.encode())

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as pipe:
            for line in pipe:
                self.output.add(line.decode(errors="replace").rstrip("\r\n"))
        self.output.end()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit status, or minus the signal that ended it."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.output.name} still runs after {timeout} s:\n{self.output.tail()}") from None

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        """SIGKILL to it alone, and wait."""
        self.family.look()
        self._popen.kill()
        self._popen.wait(PATIENCE)

    def destroy(self) -> None:
        """Nothing of its family is left afterwards. May be called again."""
        for pid in self.family.look():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def send_signal(self, number: signal.Signals) -> None:
        self.family.look()
        self._popen.send_signal(number)


class Family:
    """The leader of a session, what it started, and what these started, though they have sessions of their own.
    Who was seen once is known by its session when its parents are gone."""

    def __init__(self, leader: int) -> None:
        self._sessions = {leader}

    def look(self) -> dict[int, str]:
        """pid and state of all, zombies among them."""
        processes = _processes()
        members: dict[int, str] = {}
        while len(members) != len(members := self._among(processes, members)):
            self._sessions |= {processes[pid].session for pid in members}
        return members

    def _among(self, processes: dict[int, _Process], members: dict[int, str]) -> dict[int, str]:
        return {
            pid: process.state
            for pid, process in processes.items()
            if process.session in self._sessions or process.parent in members
        }

    def members(self) -> dict[int, str]:
        """Those that run: pid and title."""
        return {pid: _title(pid) for pid, state in self.look().items() if state != "Z"}

    def zombies(self) -> list[int]:
        """Those that ended and that nobody has waited for."""
        return [pid for pid, state in self.look().items() if state == "Z"]


class _Process(NamedTuple):
    state: str
    parent: int
    session: int


def _processes() -> dict[int, _Process]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                state, parent, _group, session = file.read().rpartition(")")[2].split()[:4]
                found[int(entry)] = _Process(state, int(parent), int(session))
    return found


def _title(pid: int) -> str:
    """ "" where it has ended meanwhile."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def await_gone(pids: Sequence[int], timeout: float = PATIENCE) -> None:
    """Wait until none of these processes runs."""
    deadline = time.monotonic() + timeout
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                gone = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            finally:
                os.close(fd)
            assert gone, f"process {pid} still runs after {timeout} s"
