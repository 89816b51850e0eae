"""The nursery's loop: a Spawn becomes a fork, the end of a worker an Exited. Single-threaded; reads no byte of any
client, holds no secret."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal

from ..errors import PeerLost
from ..ipc.channel import Channel
from ..ipc.messages import Exited, FromMainToNursery, Spawn, Spawned, SpawnFailed
from ..ipc.permits import close_all
from .startup import run_worker
from .world import World

_log = logging.getLogger(__name__)


class Nursery:
    """Serves until main closes its channel; its workers go on then."""

    def __init__(self, channel: Channel[FromMainToNursery], world: World) -> None:
        self._channel = channel
        self._world = world
        self._children: set[int] = set()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """The loop."""
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        with contextlib.suppress(PeerLost):
            while True:
                for fd, _ in poll.poll():
                    if fd == self._wake_reader:
                        self._reap()
                    else:
                        self._take_spawns()

    def _take_spawns(self) -> None:
        while (received := self._channel.receive_now()) is not None:
            self._fork(received.message, received.fds)

    def _fork(self, spawn: Spawn, fds: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            close_all(fds)
            self._channel.send(SpawnFailed(spawn.worker, f"fork: {error.strerror}"))
            return
        if pid == 0:
            self._become_worker(spawn, fds)
        close_all(fds)
        self._tell_spawned(spawn, pid)

    def _tell_spawned(self, spawn: Spawn, pid: int) -> None:
        """A worker that main could not signal must not be."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._channel.send(SpawnFailed(spawn.worker, f"pidfd_open: {error.strerror}"))
            return
        self._children.add(pid)
        try:
            self._channel.send(Spawned(spawn.worker, pid), [pidfd])
        finally:
            os.close(pidfd)

    def _become_worker(self, spawn: Spawn, fds: list[int]) -> None:
        """The child's whole life. It never returns into the nursery's code."""
        status = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            gc.enable()
            status = run_worker(spawn, fds, self._world)
        except BaseException:  # noqa: BLE001 (the top of the process)
            _log.exception("a worker failed")
        finally:
            os._exit(status)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_reader, 512):
                pass
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            self._channel.send(Exited(pid, os.waitstatus_to_exitcode(status)))
