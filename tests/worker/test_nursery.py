"""What a nursery tells main of the worker that it forked."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.messages import FromMainToNursery, FromNurseryToMain, Spawn, Spawned, SpawnFailed
from ocserv_core.model import Endpoint
from ocserv_core.worker.nursery import Nursery
from ocserv_core.worker.world import World
from tests.ipc.pairs import open_descriptors, settled_descriptors

SPAWN = Spawn(7, Endpoint("192.0.2.7", 40000), Endpoint("192.0.2.1", 443))


@pytest.fixture
def main() -> Iterator[tuple[Channel[Any], Nursery]]:
    """main's end of the channel, and a nursery at the other."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel[Any](theirs, FromMainToNursery, trusted=True)
    made = Nursery(channel, cast("World", None))
    end = Channel[Any](ours, FromNurseryToMain, trusted=False)
    yield end, made
    end.close()
    channel.close()
    os.close(made._wake_reader)
    os.close(made._wake_writer)


def idle_child() -> tuple[int, int]:
    """A child that waits for the end of a pipe: pid and pipe."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    return pid, writer


def test_spawned_comes_with_a_pidfd_and_none_is_kept(main: tuple[Channel[Any], Nursery]) -> None:
    far, nursery = main
    before = settled_descriptors()
    pid, pipe = idle_child()
    nursery._tell_spawned(SPAWN, pid)
    received = far.receive(5)
    assert received.message == Spawned(7, pid)
    os.close(pipe)
    ended = os.waitid(os.P_PIDFD, received.fds[0], os.WEXITED)
    os.close(received.fds[0])
    assert (ended and ended.si_pid, open_descriptors()) == (pid, before)


def test_a_worker_that_main_could_not_signal_is_not(
    main: tuple[Channel[Any], Nursery], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    far, nursery = main
    pid, pipe = idle_child()
    monkeypatch.setattr(os, "pidfd_open", fail)
    nursery._tell_spawned(SPAWN, pid)
    assert far.receive(5).message == SpawnFailed(7, "pidfd_open: Too many open files")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    os.close(pipe)
