"""Where occtl's commands ask and print."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO, TypeVar

from ..errors import PeerLost, PeerViolation
from ..ipc import control

OK, FAILED, NOT_FOUND = 0, 1, 2

_R = TypeVar("_R", bound=control.Control)


class Unreachable(Exception):
    """No connection, or no reply; the words were printed already."""


@dataclass
class Console:
    """What a command needs of the world: the options, where to print, and what was listed before (for completion)."""

    socket_file: str = "/var/run/occtl.socket"
    json: bool = False
    pager: bool = True
    debug: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.time
    seen: dict[str, set[str]] = field(default_factory=dict)

    def ask(self, request: control.Request, expected: type[_R]) -> _R:
        """One connection, one question. Raises Unreachable."""
        with self.connect() as connection:
            return self.ask_over(connection, request, expected)

    def connect(self) -> socket.socket:
        """A connection to the server. Raises Unreachable."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self.socket_file)
        except OSError as error:
            connection.close()
            print(f"error connecting to ocserv socket '{self.socket_file}': {error.strerror or error}", file=self.err)
            raise Unreachable from error
        return connection

    def ask_over(self, connection: socket.socket, request: control.Request, expected: type[_R]) -> _R:
        """The first, and mostly the only, answer. Raises Unreachable."""
        try:
            reply = control.ask(connection, request)
        except (OSError, PeerLost, PeerViolation) as error:
            print("could not send message; possibly insufficient permissions or server is offline.", file=self.err)
            raise Unreachable from error
        if not isinstance(reply, expected):
            print(f"the server answered with {type(reply).__name__}; is it another version?", file=self.err)
            raise Unreachable
        return reply

    def say(self, words: str) -> None:
        """Print as it is."""
        self.out.write(words)
        self.out.flush()

    def page(self, words: str) -> None:
        """Print what may be long: through the pager where a person reads it at a terminal."""
        pager = os.environ.get("OCCTL_PAGER", os.environ.get("PAGER", "less")) if self.pager else ""
        if not (pager.strip() and words and self.out.isatty()):
            return self.say(words)
        environment = {"LESS": "FRSX"} | os.environ
        try:
            subprocess.run(shlex.split(pager), input=words, text=True, env=environment, check=False)
        except OSError:
            self.say(words)


class UsageError(Exception):
    """The argument cannot be meant: help is printed instead."""


def id_of(number: str) -> int:
    """A worker's pid. What is no number is no id, and 0 is none either."""
    try:
        value = int(number)
    except ValueError as error:
        raise UsageError from error
    if value == 0 or abs(value) > 0x7FFF_FFFF:
        raise UsageError
    return value
