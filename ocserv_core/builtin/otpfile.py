"""An OATH users file: a code is checked and, where it is right, written down as used before anybody gets in by it.

The file is written anew beside the old one (`FILE.new`) and renamed over it, under a lock on `FILE.lock`, as liboath
does: pam_oath and others may use the same file. Owner and mode stay.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator

from .otp import Accepted, Token, build_line, check, parse_token

_log = logging.getLogger(__name__)

MAX_FILE = 64 * 1024 * 1024

LOCK_WITHIN = 20.0
"""Seconds that a login waits for those before it."""

_LOCKS_TRIED = 16
_TIME = "%Y-%m-%dT%H:%M:%SL"

_NOBODY = Token("", 30, 6, b"nobody at home at all")
"""Checked against where a user has no token, for the time that it takes."""

_locks: dict[str, threading.Lock] = {}
"""By path: a lock on a file holds for the whole process, of which each thread is a part."""


class OtpFileError(Exception):
    """The file cannot be read, or cannot be written; no code may be accepted. The text is for the log."""


class OtpFile:
    """One file, used by many threads at once."""

    def __init__(self, path: str) -> None:
        self.path = path

    def has(self, username: str) -> bool:
        """Whether a user has a token. OtpFileError."""
        return any(token.username == username for _number, token in self._tokens(self._read()))

    def use(self, username: str, code: str, now: float) -> str:
        """Check a code and write it down as used. "" where it is right, else what is wrong. OtpFileError."""
        with self._locked() as path:
            lines = self._read().split(b"\n")
            tokens = [
                (number, token) for number, token in self._tokens(b"\n".join(lines)) if token.username == username
            ]
            for number, token in tokens:
                accepted = check(token, code, now, _when(token))
                if accepted is not None:
                    lines[number] = _used(token, code, accepted, now)
                    self._write(path, b"\n".join(lines))
                    return ""
        if not tokens:
            check(_NOBODY, code, now)
            return "no one-time password is configured for this user"
        used = any(token.last_code and token.last_code == code for _number, token in tokens)
        return "a one-time password that was used" if used else "wrong one-time password"

    def _tokens(self, content: bytes) -> Iterator[tuple[int, Token]]:
        for number, line in enumerate(content.split(b"\n")):
            try:
                token = parse_token(line)
            except ValueError as error:
                _log.warning("plain: %s:%d does not count: %s", self.path, number + 1, error)
                continue
            if token is not None:
                yield number, token

    def _read(self) -> bytes:
        try:
            with open(self.path, "rb") as file:
                content = file.read(MAX_FILE + 1)
        except OSError as error:
            raise OtpFileError(f"cannot read {self.path}: {error.strerror}") from error
        if len(content) > MAX_FILE:
            raise OtpFileError(f"{self.path} is longer than {MAX_FILE} bytes")
        return content

    @contextlib.contextmanager
    def _locked(self) -> Iterator[str]:
        """The path behind all links, while nobody else changes what is there."""
        path = os.path.realpath(self.path)
        ours = _locks.setdefault(path, threading.Lock())
        if not ours.acquire(timeout=LOCK_WITHIN):
            raise OtpFileError(f"{path} was held by other logins for {LOCK_WITHIN:g} s")
        try:
            fd = self._lock_file(f"{path}.lock")
            try:
                yield path
            finally:
                # While it is held. One that stays would hold liboath off, which makes it and takes it for a lock.
                with contextlib.suppress(OSError):
                    os.unlink(f"{path}.lock")
                os.close(fd)
        finally:
            ours.release()

    def _lock_file(self, lock: str) -> int:
        try:
            for _try in range(_LOCKS_TRIED):
                fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                fcntl.lockf(fd, fcntl.LOCK_EX)
                if _is_at(fd, lock):
                    return fd
                # Who had it before has removed it: this lock holds nobody off.
                os.close(fd)
        except OSError as error:
            raise self._cannot_write(error) from error
        raise OtpFileError(f"{lock} was removed {_LOCKS_TRIED} times while it was waited for")

    def _write(self, path: str, content: bytes) -> None:
        try:
            _replace(path, content)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> OtpFileError:
        return OtpFileError(
            f"cannot write {self.path} ({error.strerror}): a one-time password could be used again, so nobody gets in"
        )


def _replace(path: str, content: bytes) -> None:
    new = f"{path}.new"
    old = os.stat(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # of one who died; whoever is alive holds the lock
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            os.fchown(fd, old.st_uid, old.st_gid)
            os.fchmod(fd, stat.S_IMODE(old.st_mode))
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
    # So that the code stays used where the machine dies now.
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_at(fd: int, path: str) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _used(token: Token, code: str, accepted: Accepted, now: float) -> bytes:
    return build_line(token, code, accepted.counter, time.strftime(_TIME, time.localtime(now)))


def _when(token: Token) -> list[float]:
    """When LAST-CODE was used: a local time, which an hour in autumn has twice."""
    try:
        read = time.strptime(token.last_time, _TIME)
        return [time.mktime((*read[:8], summer)) for summer in (0, 1)]
    except (ValueError, OverflowError):
        return []
