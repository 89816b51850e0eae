"""A namespace is entered to make a socket, and nobody stays there."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from ocserv_core.errors import StartError, SystemFailure
from ocserv_core.system import libc
from ocserv_core.system.netns import NetworkNamespace
from tests.ipc.pairs import open_descriptors, settled_descriptors

from .forked import needs_root

NAME = f"oct-{os.getpid()}-0-netns"


@pytest.fixture
def other() -> Iterator[NetworkNamespace]:
    """Another namespace, without so much as a loopback that is up."""
    subprocess.run(["ip", "netns", "add", NAME], check=True, timeout=20)
    try:
        namespace = NetworkNamespace.open(NAME)
        yield namespace
        namespace.close()
    finally:
        subprocess.run(["ip", "netns", "del", NAME], check=True, timeout=20)


def here() -> str:
    """The namespace of the calling thread."""
    return os.readlink("/proc/thread-self/ns/net")


def _spaces() -> set[str]:
    """Those of all threads."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/task/{task}/ns/net"))
    return found


def test_our_own_needs_no_name_and_no_thread() -> None:
    thread = os.readlink("/proc/thread-self")
    assert NetworkNamespace.open("").run(lambda: os.readlink("/proc/thread-self")) == thread


@needs_root
class TestAnother:
    def test_what_is_made_inside_is_brought_back(self, other: NetworkNamespace) -> None:
        made = other.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with made, pytest.raises(OSError, match="unreachable"):
            made.connect(("127.0.0.1", 9))  # its loopback is down, ours is up

    def test_it_is_another_and_we_stay_in_ours(self, other: NetworkNamespace) -> None:
        before = here()
        assert other.run(here) != before
        # A thread that was joined may be seen for a moment more: its end in the kernel comes after Python's.
        until_gone = time.monotonic() + 10
        while (spaces := _spaces()) != {before} and time.monotonic() < until_gone:
            os.sched_yield()
        assert spaces == {before}

    @pytest.mark.parametrize("error", [OSError(98, "in use"), StartError("port 443 is in use")])
    def test_an_error_inside_is_raised_outside(self, other: NetworkNamespace, error: Exception) -> None:
        def fail() -> None:
            raise error

        with pytest.raises(type(error)) as raised:
            other.run(fail)
        assert raised.value is error

    def test_no_descriptor_is_left(self, other: NetworkNamespace) -> None:
        before = settled_descriptors()
        for _ in range(3):
            other.run(lambda: None)
        assert open_descriptors() == before

    def test_when_it_is_closed_nothing_is_made_anywhere(self, other: NetworkNamespace) -> None:
        other.close()
        with pytest.raises(SystemFailure, match="Bad file descriptor"):
            other.run(lambda: pytest.fail("it was made"))

    def test_who_may_not_enter_is_told(self, other: NetworkNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_fd: int, _kind: int) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(libc, "setns", refuse)
        with pytest.raises(SystemFailure, match="cannot be entered: Operation not permitted"):
            other.run(lambda: None)
        with pytest.raises(StartError, match=f"listen-netns = {NAME}: .*not permitted"):
            NetworkNamespace.open(NAME)


@pytest.mark.parametrize(
    ("name", "why"), [("nowhere", "No such file"), ("../self", "no slash"), ("..", "no slash"), ("/proc/1/ns", "slash")]
)
def test_a_name_that_names_none_is_told_of(name: str, why: str) -> None:
    with pytest.raises(StartError, match=f"listen-netns = {name}: .*{why}"):
        NetworkNamespace.open(name)


def test_what_is_no_namespace_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocserv_core.system.netns.FOLDER", "/etc")
    with pytest.raises(StartError, match=r"listen-netns = passwd: .*Invalid argument"):
        NetworkNamespace.open("passwd")
