"""Sockets of another network namespace (listen-netns), for a process that stays in its own.

A namespace belongs to a thread, and a socket to the namespace that its maker was in. So a thread enters, makes the
socket, and ends there: nothing of this process can stay behind by mistake. Called by main.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import OcservError, StartError, SystemFailure
from . import libc

FOLDER = "/var/run/netns"
"""Where ip(8) keeps the names of namespaces."""

Made = TypeVar("Made")


class NetworkNamespace:
    """`fd` is None for our own, where nothing needs a thread."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = fd

    @classmethod
    def open(cls, name: str) -> NetworkNamespace:
        """The namespace that ip(8) knows by this name; "" is our own. StartError where it cannot be entered."""
        if not name:
            return cls()
        if "/" in name or name in (".", ".."):
            raise StartError(f"listen-netns = {name}: the name of a network namespace has no slash")
        try:
            namespace = cls(os.open(f"{FOLDER}/{name}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise StartError(
                f"listen-netns = {name}: {error.strerror} (`ip netns list` shows those there are)"
            ) from error
        try:
            namespace.run(lambda: None)
        except SystemFailure as failure:
            namespace.close()
            raise StartError(f"listen-netns = {name}: {failure}") from failure
        return namespace

    def run(self, make: Callable[[], Made]) -> Made:
        """What `make` returns, called inside; its errors are raised here. SystemFailure where it cannot be entered."""
        if self._fd is None:
            return make()
        visit = _Visit(self._fd, make)
        thread = threading.Thread(target=visit.run, name="netns")
        try:
            thread.start()
        except RuntimeError as error:
            raise SystemFailure(f"no thread for a network namespace: {error}") from error
        thread.join()
        if visit.error is not None:
            raise visit.error
        return visit.made  # type: ignore[no-any-return]

    def close(self) -> None:
        """Idempotent; nothing is made inside afterwards, nor in our own instead."""
        if self._fd is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Visit:
    """What a thread does inside, and brings back."""

    def __init__(self, fd: int, make: Callable[[], Any]) -> None:
        self._fd = fd
        self._make = make
        self.made: Any = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            libc.setns(self._fd, libc.CLONE_NEWNET)
        except OSError as error:
            self.error = SystemFailure(f"the network namespace cannot be entered: {error.strerror}")
            return
        try:
            self.made = self._make()
        except (OcservError, OSError) as error:
            self.error = error
