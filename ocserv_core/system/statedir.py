"""The state folder: private to root, used by one server at a time.

Opened by main before anything else is made. What lies in it is said by the paths; who writes a file is said there.
"""

from __future__ import annotations

import fcntl
import os
import stat

from ..errors import StartError, StateError


class StateDir:
    """An open, locked state folder. The lock ends with `close`, or with the process."""

    def __init__(self, path: str, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: str) -> StateDir:
        """Make the folder where it is missing (0700), check it, lock it.

        Raises StartError where another server uses it, StateError where it cannot be used or is not private.
        """
        _prepare(path, 0o700)
        lock = _lock(path)
        state = cls(os.path.abspath(path), lock)
        _prepare(state.empty_root, 0o700)
        return state

    @property
    def sessions(self) -> str:
        """The session store, written by secmod."""
        return os.path.join(self.path, "sessions.sqlite")

    @property
    def spool(self) -> str:
        """The folder of accounting records that wait, written by secmod."""
        return os.path.join(self.path, "spool")

    @property
    def empty_root(self) -> str:
        """An empty folder: the file system of nursery and workers, where they cannot have a mount of their own."""
        return os.path.join(self.path, "empty")

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)


def _prepare(path: str, mode: int) -> None:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        pass
    except OSError as error:
        raise StateError(f"state-dir {path}: {error.strerror}") from error
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"state-dir {path}: not a directory")
    if found.st_uid != os.geteuid():
        raise StateError(f"state-dir {path}: owned by uid {found.st_uid}, must be {os.geteuid()}")
    os.chmod(path, mode)


def _lock(path: str) -> int:
    name = os.path.join(path, "lock")
    try:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(f"{name}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 20).decode("ascii", "replace")
        os.close(fd)
        raise StartError(f"another server (pid {holder or 'unknown'}) uses the state folder {path}") from None
    os.ftruncate(fd, 0)
    os.write(fd, str(os.getpid()).encode())
    return fd
