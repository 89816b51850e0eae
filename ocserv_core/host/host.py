"""The host's loop: a ChildStart becomes a fork, the end of a child a ChildEnded. Single-threaded; it calls no hook.

Its children are awaited by pidfd and not by SIGCHLD: a handler would be theirs too. What it writes to between two forks
is one page more that the child before has for itself, so it does little.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal

from ..errors import PeerLost
from ..ipc.log_channel import LogChannel
from ..ipc.messages import ChildEnded, ChildFailed, ChildStart, ChildStarted
from ..ipc.permits import close_all
from ..system.adopted import adopted
from ..system.process import fork_light
from .child import become_child
from .hooks import Hooks
from .line import Line

_log = logging.getLogger(__name__)

ORPHAN = 0
"""The number of a process that a child has left behind; secmod knows none of it."""


class Host:
    """Serves until secmod closes its channel; its children end with it. A terminal's or systemd's signals end it as
    any process: children hear of that by their parent-death signal."""

    def __init__(self, line: Line, hooks: Hooks, log: LogChannel) -> None:
        self._line = line
        self._hooks = hooks
        self._log = log
        self._poll = select.poll()
        self._pids: dict[int, int] = {}
        self._numbers: dict[int, int] = {}

    def serve(self) -> None:
        """The loop."""
        own = self._line.fileno()
        self._poll.register(own, select.POLLIN)
        try:
            while True:
                for fd, _ in self._poll.poll():
                    if fd == own:
                        self._take_start()
                    else:
                        self._on_end(fd)
        except PeerLost:
            self._end_all()

    # ---- begin

    def _take_start(self) -> None:
        received = self._line.receive()
        if not isinstance(received.message, ChildStart):
            close_all(received.fds)
            raise PeerLost("HostLoad came a second time")
        self._fork(received.message.number, received.fds)

    def _fork(self, number: int, fds: list[int]) -> None:
        parent = os.getpid()
        try:
            pid = fork_light()
        except OSError as error:
            close_all(fds)
            self._line.send(ChildFailed(number, f"fork: {error.strerror}"))
            return
        if pid == 0:
            become_child(fds[0], parent, (self._line.fileno(), *self._pids), self._hooks, self._log)
        close_all(fds)
        try:
            self._watch(pid, number)
        except OSError as error:
            # One that secmod could not kill must not be.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._line.send(ChildFailed(number, f"pidfd_open: {error.strerror}"))

    def _watch(self, pid: int, number: int) -> None:
        pidfd = os.pidfd_open(pid)
        self._pids[pidfd] = pid
        self._numbers[pidfd] = number
        self._poll.register(pidfd, select.POLLIN)
        if number != ORPHAN:
            self._line.send(ChildStarted(number), [pidfd])

    # ---- end

    def _on_end(self, pidfd: int) -> None:
        """A process has ended. What it had started ends with it: its group, which is killed while its number cannot be
        anybody else's yet, and what we inherit of it."""
        pid, number = self._pids.pop(pidfd), self._numbers.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        for orphan in adopted(self._pids.values()):
            self._end_orphan(orphan)
        if number != ORPHAN:
            self._line.send(ChildEnded(number, os.waitstatus_to_exitcode(status)))

    def _end_orphan(self, pid: int) -> None:
        """What it leaves behind comes to us when it has ended, and is watched for that."""
        try:
            os.kill(pid, signal.SIGKILL)
            self._watch(pid, ORPHAN)
        except ProcessLookupError:
            return
        except OSError as error:
            _log.error("process %d, left behind by a child, cannot be awaited: %s", pid, error.strerror)

    def _end_all(self) -> None:
        """Nothing that was started here outlives us: wait until there is no child any more, orphans included."""
        for pid in self._pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._poll.unregister(self._line.fileno())
        while self._pids:
            for pidfd, _ in self._poll.poll():
                with contextlib.suppress(PeerLost):
                    self._on_end(pidfd)
