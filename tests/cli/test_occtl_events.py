"""`show events`, from its first answer to its end."""

from __future__ import annotations

import io
import json

import msgspec

from ocserv_core.cli import occtl_commands as commands
from ocserv_core.cli.occtl_console import OK, Console
from ocserv_core.ipc import control

from .conftest import ALICE, FakeServer

CAME = control.SessionEvent(ALICE)
WENT = control.SessionEvent(msgspec.structs.replace(ALICE, vhost="staff"), "idle timeout", 125.0)


def said(console: Console) -> str:
    assert isinstance(console.out, io.StringIO)
    return console.out.getvalue()


def test_who_is_there_comes_first_then_who_comes_and_goes(console: Console, server: FakeServer) -> None:
    server.replies, server.events = [control.UserTable((ALICE,))], [CAME, WENT]
    assert commands.run(console, "show events") == OK
    table, end, events = said(console).partition("Press 'q' or CTRL+C to quit\n")
    assert "alice" in table
    assert end
    assert events.splitlines() == [
        "default: connected user 'alice' (6832) from 192.0.2.2 with IP 198.51.100.50 2001:db8:5::58ef",
        (
            "staff: disconnect user 'alice' (6832) from 192.0.2.2 with IP 198.51.100.50 2001:db8:5::58ef"
            " (reason: idle timeout, time: 2m:05s)"
        ),
    ]


def test_each_event_is_an_array_of_its_own_in_json(console: Console, server: FakeServer) -> None:
    server.replies, server.events = [control.UserTable(())], [CAME, WENT]
    console.json = True
    commands.run(console, "show events")
    decoder, rest, arrays = json.JSONDecoder(), said(console).strip(), []
    while rest:
        array, end = decoder.raw_decode(rest)
        arrays.append(array)
        rest = rest[end:].strip()
    nobody, (came,), (went,) = arrays
    assert nobody == []
    assert (came["Event"], came["Username"]) == ("connected", "alice")
    assert (went["Event"], went["Reason"], went["raw_duration"]) == ("disconnected", "idle timeout", 125)


def test_a_server_that_ends_ends_the_events(console: Console, server: FakeServer) -> None:
    server.replies = [control.UserTable(())]
    assert commands.run(console, "show events") == OK
