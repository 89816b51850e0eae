"""The host's loop: a ChildStart becomes a fork, the end of a child a ChildEnded. Single-threaded; it calls no hook."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
from typing import Any

from ..errors import PeerLost
from ..ipc.channel import Channel
from ..ipc.log_channel import LogChannel
from ..ipc.messages import ChildEnded, ChildFailed, ChildStart, ChildStarted, FromSecmodToHost
from ..ipc.permits import close_all
from ..system.adopted import end_adopted
from ..system.process import set_child_subreaper, set_parent_death_signal, set_title
from .child import run_child

_log = logging.getLogger(__name__)


class Host:
    """Serves until secmod closes its channel; its children end with it. hooks: pluggy's callers, by name."""

    def __init__(self, channel: Channel[FromSecmodToHost], hooks: Any, log: LogChannel) -> None:
        self._channel = channel
        self._hooks = hooks
        self._log = log
        self._children: dict[int, int] = {}
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """The loop."""
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        try:
            while True:
                for fd, _ in poll.poll():
                    if fd == self._wake_reader:
                        self._on_child_signal()
                    else:
                        self._take_starts()
        except PeerLost:
            self._end_all()

    # ---- begin

    def _take_starts(self) -> None:
        while (received := self._channel.receive_now()) is not None:
            if isinstance(received.message, ChildStart):
                self._fork(received.message, received.fds)
            else:
                close_all(received.fds)
                raise PeerLost("HostLoad came a second time")

    def _fork(self, start: ChildStart, fds: list[int]) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            close_all(fds)
            self._channel.send(ChildFailed(start.number, f"fork: {error.strerror}"))
            return
        if pid == 0:
            self._become_child(fds[0], parent)
        close_all(fds)
        self._children[pid] = start.number
        self._tell_started(start.number, pid)

    def _tell_started(self, number: int, pid: int) -> None:
        """One that secmod could not kill must not be."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            del self._children[pid]
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._channel.send(ChildFailed(number, f"pidfd_open: {error.strerror}"))
            return
        try:
            self._channel.send(ChildStarted(number), [pidfd])
        finally:
            os.close(pidfd)

    def _become_child(self, fd: int, parent: int) -> None:
        """The child's whole life, in a session of its own, so that its group can be killed. It never returns into the
        host's code."""
        status = 70
        try:
            set_parent_death_signal(signal.SIGKILL, parent)
            os.setsid()
            # What its own children leave behind is its, not a neighbour's, while it lives.
            set_child_subreaper()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            self._channel.close()
            close_all((self._wake_reader, self._wake_writer))
            set_title("ocserv-child")
            status = run_child(fd, self._hooks, self._log)
        except BaseException:  # noqa: BLE001 (the top of the process)
            _log.exception("a child failed")
        finally:
            os._exit(status)

    # ---- end

    def _on_child_signal(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_reader, 512):
                pass
        while (ended := self._reap_one(os.WNOHANG)) is not None:
            self._on_end(*ended)

    def _on_end(self, pid: int, status: int) -> None:
        number = self._children.pop(pid, None)
        if number is not None:
            self._channel.send(ChildEnded(number, status))

    def _reap_one(self, options: int) -> tuple[int, int] | None:
        """One that has ended: pid and status; None where there is none. What it had started ends with it: its group,
        which is killed while its number cannot be anybody else's yet, and what we inherit of it."""
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | options)
        except ChildProcessError:
            return None
        if ended is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(ended.si_pid, signal.SIGKILL)
        _, status = os.waitpid(ended.si_pid, 0)
        end_adopted(self._children)
        return ended.si_pid, os.waitstatus_to_exitcode(status)

    def _end_all(self) -> None:
        """Nothing that was started here outlives us: wait until there is no child any more, adopted ones included."""
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._channel.close()
        while self._reap_one(0) is not None:
            pass
