"""Whom a nursery may name: children that it has forked, and nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ocserv_core.errors import PeerViolation
from ocserv_core.main.kinship import check_forked


@contextmanager
def child() -> Iterator[tuple[int, int]]:
    """A child of this test that waits, and its pidfd; it ends with its pipe."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    pidfd = os.pidfd_open(pid)
    try:
        yield pid, pidfd
    finally:
        os.close(writer)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)


def refused(action: Callable[[], None]) -> str:
    with pytest.raises(PeerViolation) as refusal:
        action()
    return str(refusal.value)


def test_its_own_child_is_its_worker() -> None:
    with child() as (pid, pidfd):
        check_forked(pid, pidfd, os.getpid())


def test_a_pid_that_the_pidfd_does_not_mean() -> None:
    with child() as (_, pidfd), child() as (other, _):
        assert "not forked" in refused(lambda: check_forked(other, pidfd, os.getpid()))


def test_a_process_of_somebody_else() -> None:
    with child() as (pid, pidfd), child() as (nursery, _):
        assert "not forked" in refused(lambda: check_forked(pid, pidfd, nursery))


@pytest.mark.parametrize("pid", [0, -1, 1])
def test_a_pid_that_signals_more_than_a_worker(pid: int) -> None:
    with child() as (_, pidfd):
        assert "not forked" in refused(lambda: check_forked(pid, pidfd, os.getpid()))


def test_init_is_nobody_s_worker() -> None:
    pidfd = os.pidfd_open(1)
    try:
        assert "not forked" in refused(lambda: check_forked(1, pidfd, os.getpid()))
    finally:
        os.close(pidfd)


def test_what_is_no_pidfd() -> None:
    with child() as (pid, _):
        assert "no pidfd" in refused(lambda: check_forked(pid, 0, os.getpid()))


def test_a_worker_that_was_reaped_meanwhile_is_harmless() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    check_forked(pid, pidfd, os.getpid())
    os.close(pidfd)
