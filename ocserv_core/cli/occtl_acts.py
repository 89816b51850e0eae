"""The commands of occtl that change something: what each asks, prints and exits with."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ..ipc import control
from ..ipc.control import (
    Done,
    SessionEntry,
)
from ..model import short
from . import occtl_format as fmt
from .occtl_console import FAILED, OK, Console, id_of
from .occtl_shows import ask_sessions

SID_LENGTH = 28
"""Characters of a session's whole ID."""


def unban(console: Console, ip: str) -> int:
    """`unban ip`."""
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        print(f"Cannot parse IP: {fmt.printable(ip)}", file=console.err)
        return FAILED
    done = console.ask(control.Unban(ip), Done)
    return _tell(console, done, f"IP '{ip}' was unbanned", f"could not unban IP '{ip}'")


def run_plugin(console: Console, words: str) -> int:
    """`plugin WORDS`: what a plugin of main does for it."""
    done = console.ask(control.RunPlugin(tuple(words.split())), Done)
    console.page(f"{done.text}\n")
    return OK if done.ok else FAILED


def disconnect_user(console: Console, name: str) -> int:
    """`disconnect user`: the cookies live on where they are persistent."""
    done = console.ask(control.DisconnectUser(name), Done)
    return _tell(console, done, f"user '{name}' was disconnected", f"could not disconnect user '{name}'")


def disconnect_id(console: Console, number: str) -> int:
    """`disconnect id`, likewise."""
    done = console.ask(control.DisconnectId(id_of(number)), Done)
    return _tell(console, done, f"connection ID '{number}' was disconnected", f"could not disconnect ID '{number}'")


def terminate_user(console: Console, name: str) -> int:
    """`terminate user`: the cookies die too."""
    done = console.ask(control.DisconnectUser(name, terminate=True), Done)
    good = f"user '{name}' was terminated (session invalidated)"
    return _tell(console, done, good, f"could not terminate user '{name}'")


def terminate_id(console: Console, number: str) -> int:
    """`terminate id`, likewise."""
    done = console.ask(control.DisconnectId(id_of(number), terminate=True), Done)
    good = f"connection ID '{number}' was terminated (session invalidated)"
    return _tell(console, done, good, f"could not terminate ID '{number}'")


def terminate_session(console: Console, prefix: str) -> int:
    """`terminate session`: the one whose SID begins so."""
    if len(prefix) > SID_LENGTH:
        print(f"invalid session ID '{prefix}'", file=console.err)
        return FAILED
    found = [session for session in ask_sessions(console) if session.sid.startswith(prefix)]
    if len(found) != 1:
        print(fmt.printable(_no_single_session(prefix, found)), file=console.err)
        return FAILED
    (session,) = found
    done = console.ask(control.TerminateSession(session.sid), Done)
    name = f"session '{short(session.sid)}'"
    return _tell(console, done, f"{name} was terminated", f"could not terminate {name}")


def _no_single_session(prefix: str, found: Sequence[SessionEntry]) -> str:
    if not found:
        return f"no session matching '{prefix}' was found"
    lines = [f"  {session.sid}  user: {session.username}" for session in found]
    head = f"ambiguous session ID '{prefix}' matches {len(found)} sessions:"
    return "\n".join((head, *lines, "give more of the session ID"))


def reload_(console: Console, _argument: str) -> int:
    """`reload`: waits until the server has agreed or refused."""
    done = console.ask(control.Reload(), Done)
    return _tell(console, done, "Server scheduled to reload", "Error scheduling reload")


def stop(console: Console, _argument: str) -> int:
    """`stop now`."""
    done = console.ask(control.Stop(), Done)
    return _tell(console, done, "Server scheduled to stop", "Error scheduling server stop")


def _tell(console: Console, done: Done, good: str, bad: str) -> int:
    if done.text:
        print(fmt.printable(done.text), file=console.err)
    console.say(fmt.printable(good if done.ok else bad) + "\n")
    return OK if done.ok else FAILED
