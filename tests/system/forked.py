"""A child for what a test must not do to its own process: leave root, move to another namespace, die."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from ocserv_core.system import libc

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_tun = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and /dev/net/tun"
)


REPORT = 60
"""The descriptor that a child must keep, to tell its result."""


def in_child(action: Callable[[], Any]) -> Any:
    """Run `action` in a forked child; its JSON-able result, or its failure with the child's traceback."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, REPORT)
        _report(action)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert answer, f"the child said nothing and ended with {status}"
    result, failure = json.loads(answer)
    assert failure is None, failure
    return result


def _report(action: Callable[[], Any]) -> None:
    """The child's whole life: it must never come back into pytest, whatever is raised."""
    try:
        answer = json.dumps([action(), None])
    except BaseException:  # noqa: BLE001 (told to the parent)
        answer = json.dumps([None, traceback.format_exc()])
    try:
        os.write(REPORT, answer.encode())
    finally:
        os._exit(0)


def in_netns(action: Callable[[], Any]) -> Any:
    """Run `action` in a child with a network namespace of its own, which goes with the child."""

    def moved() -> Any:
        libc.unshare(libc.CLONE_NEWNET)
        return action()

    return in_child(moved)


def refusal(action: Callable[[], Any]) -> str:
    """The name of the OSError that `action` ends with; "" where it was allowed."""
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return ""
