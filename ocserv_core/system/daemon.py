"""Being a service: going to the background, the pid file, the word to systemd.

Called by main. The parent of a daemon waits until its child says that the server is ready, so that the exit status
of the command is the truth.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

from ..errors import StartError

_READY = b"ready"
_MAX_REPORT = 8192


class Readiness:
    """The background process's end of its report to the command that started it. Say one of the two, once."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def ready(self) -> None:
        """The server is up: the command exits with 0."""
        self._report(_READY)

    def failed(self, text: str) -> None:
        """The server cannot start: the command prints `text` and exits with 1."""
        self._report(text.encode()[:_MAX_REPORT])

    def _report(self, word: bytes) -> None:
        if self._fd < 0:
            return
        with contextlib.suppress(BrokenPipeError):  # the command was interrupted meanwhile; the server goes on
            os.write(self._fd, word)
        os.close(self._fd)
        self._fd = -1


def in_foreground() -> Readiness:
    """A report to nobody, for a server that stays in the foreground."""
    return Readiness(-1)


def daemonize(*, change_directory: bool = True, keep_stderr: bool = False) -> Readiness:
    """Continue as a child in the background, in a session of its own, without a terminal.

    Returns in the child only: the parent waits for the child's report and exits. Must be called while the process
    has a single thread, and before anything that does not survive a fork. Raises StartError.
    """
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        raise StartError(f"cannot go to the background: {error.strerror}") from error
    if pid:
        os.close(writer)
        _await_report(reader)
    os.close(reader)
    os.setsid()
    if change_directory:
        os.chdir("/")
    _leave_terminal(keep_stderr)
    return Readiness(writer)


def _await_report(reader: int) -> None:
    """The parent's rest of life. Ends the process; the child's death without a word is a failure too."""
    with open(reader, "rb") as pipe:
        word = pipe.read(_MAX_REPORT)
    if word == _READY:
        os._exit(0)
    text = word.decode("utf-8", "replace") or "ocserv: the server ended before it was ready"
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    os._exit(1)


def _leave_terminal(keep_stderr: bool) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1) if keep_stderr else (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


class PidFile:
    """The file that names the process: digits, no newline."""

    def __init__(self, path: str) -> None:
        """Write the file. Raises StartError."""
        self.path = path
        self._text = str(os.getpid())
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            with open(fd, "w", encoding="ascii") as file:
                file.write(self._text)
        except OSError as error:
            raise StartError(f"pid-file {path}: {error.strerror}") from error

    def remove(self) -> None:
        """Remove it, if it still names this process; a forked child's copy of the object does nothing."""
        if str(os.getpid()) != self._text:
            return
        try:
            with open(self.path, encoding="ascii") as file:
                if file.read(32) == self._text:
                    os.unlink(self.path)
        except FileNotFoundError:
            return


def sd_notify(state: str) -> bool:
    """Tell systemd (READY=1, RELOADING=1, STOPPING=1, STATUS=…). Returns whether anybody listens.

    Source: sd_notify(3); a leading @ is an abstract socket.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), target)
        except OSError:
            return False
    return True
