"""What follows the first answer to `show events`: the server's words, until either side ends, or `q` is pressed."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator

from ..errors import PeerLost, PeerViolation
from ..ipc.control import SessionEvent, parse_reply, read_frame


def events_of(connection: socket.socket) -> Iterator[SessionEvent]:
    """Ends when the server does, at an interrupt, and at `q` where a person sits at a terminal."""
    connection.settimeout(None)
    with contextlib.suppress(KeyboardInterrupt, PeerLost, PeerViolation, OSError), _keys() as keyboard:
        while not _wants_to_quit(connection, keyboard):
            event = parse_reply(read_frame(connection))
            if isinstance(event, SessionEvent):
                yield event


def _wants_to_quit(connection: socket.socket, keyboard: list[int]) -> bool:
    """Waits for the server's next word; True where the person comes first."""
    while True:
        ready, _, _ = select.select([connection.fileno(), *keyboard], [], [])
        if connection.fileno() in ready:
            return False
        if sys.stdin.read(1).lower() in ("q", ""):
            return True


@contextlib.contextmanager
def _keys() -> Iterator[list[int]]:
    """The keyboard, key by key; nothing where there is none."""
    if not sys.stdin.isatty():
        yield []
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        yield [keyboard]
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
