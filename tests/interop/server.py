"""The real server in a lab's namespace: started as an administrator does, watched by its log, ended for certain."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from .network import Namespace
from .processes import Watched, await_gone

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OCSERV = (sys.executable, "-m", "ocserv_core.cli.ocserv")
END_WITHIN = 5.0
"""Seconds from TERM to the end of everything, as the server promises."""


class Server:
    """One run of the server. `log` is what all its processes wrote."""

    def __init__(self, namespace: Namespace, argv: Sequence[str], control_socket: str) -> None:
        self.namespace = namespace
        self._control_socket = control_socket
        self._process = Watched("ocserv", namespace.argv(*argv))
        self._listeners: list[Watched] = []
        self.log = self._process.output
        self.pid = self._process.pid
        """main's."""

    def await_listening(self) -> Server:
        self.log.wait_for("listening on")
        return self

    # ---- its processes

    def processes(self) -> dict[int, str]:
        """All that run now: pid and title."""
        return self._process.family.members()

    def zombies(self) -> list[int]:
        """Those that ended without being waited for."""
        return self._process.family.zombies()

    def pids_of(self, title: str) -> list[int]:
        """The processes of a title: ocserv-main, ocserv-sm, ocserv-nursery, ocserv-worker."""
        return sorted(pid for pid, found in self.processes().items() if found == title)

    def pid_of(self, title: str) -> int:
        """The one process of that title."""
        (pid,) = self.pids_of(title)
        return pid

    def kill_one(self, title: str) -> int:
        """kill -9 the one process of that title and wait until it is gone; the pid that it had."""
        pid = self.pid_of(title)
        os.kill(pid, signal.SIGKILL)
        await_gone([pid])
        return pid

    @property
    def running(self) -> bool:
        return self._process.running

    def send_signal(self, number: signal.Signals) -> None:
        """To main."""
        self._process.send_signal(number)

    def namespaces(self) -> set[str]:
        """The network namespaces of main's threads."""
        tasks = os.listdir(f"/proc/{self.pid}/task")
        return {os.readlink(f"/proc/{self.pid}/task/{task}/ns/net") for task in tasks}

    # ---- occtl

    def occtl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Ask it as an administrator does."""
        argv = [sys.executable, "-m", "ocserv_core.cli.occtl", "-s", self._control_socket, "-n", *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, cwd=ROOT)

    def show(self, *words: str) -> Any:
        """`occtl --json show …`, parsed."""
        answer = self.occtl("--json", "show", *words)
        assert answer.returncode == 0, f"occtl show {words}: {answer.stdout}{answer.stderr}"
        return json.loads(answer.stdout)

    def listen_to_events(self) -> Watched:
        """`occtl show events`, running; it ends with the server."""
        argv = [sys.executable, "-m", "ocserv_core.cli.occtl", "-s", self._control_socket, "show", "events"]
        listener = Watched("occtl", argv)
        self._listeners.append(listener)
        return listener

    def await_disconnected(self, user: str, *, since: int = 0, timeout: float = 20.0, times: int = 1) -> str:
        """Until a connection of `user` is accounted as ended: the reason that the log tells."""
        pattern = rf"user '{re.escape(user)}' disconnected \(.*reason: ([^,]*),"
        return self.log.wait_for(pattern, timeout, since=since, times=times)[1]

    # ---- its end

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """TERM: everything ends within END_WITHIN seconds, and main with 0."""
        began = time.monotonic()
        self._process.send_signal(number)
        status = self._process.wait(END_WITHIN + 5)
        took = time.monotonic() - began
        left = self._process.family.members()
        assert status == 0, f"main ended with {status}:\n{self.log.tail()}"
        assert took < END_WITHIN, f"the end took {took:.1f} s:\n{self.log.tail()}"
        assert not left, f"left behind: {left}"

    def kill_main(self) -> None:
        """kill -9 to main alone."""
        self._process.kill()

    def wait(self, timeout: float = 20.0) -> int:
        return self._process.wait(timeout)

    def destroy(self) -> None:
        for listener in self._listeners:
            listener.destroy()
        self._process.destroy()
