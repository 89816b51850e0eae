"""occtl's commands: one table of words, argument, question and answer; and how words are matched with it.

Called by occtl.py with a `Console`; each command opens one connection, asks once, and returns the exit code.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO, TypeVar

from ..errors import PeerLost, PeerViolation
from ..ipc import control
from ..ipc.control import (
    BanTable,
    Done,
    PluginTable,
    SessionEntry,
    SessionTable,
    StatusReport,
    UserEntry,
    UserState,
    UserTable,
)
from ..model import short
from . import occtl_format as fmt
from . import occtl_views as views
from .occtl_events import events_of

OK, FAILED, NOT_FOUND = 0, 1, 2

SID_LENGTH = 28
"""Characters of a session's whole ID."""

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


Action = Callable[[Console, str], int]


class Command(NamedTuple):
    """One row of the table. `argument` is what help shows behind the words; in brackets it must be given."""

    words: str
    argument: str
    help: str
    action: Action
    alias: bool = False

    @property
    def needs_argument(self) -> bool:
        """Whether nothing can be done without one."""
        return self.argument.startswith("[")

    def help_line(self) -> str:
        """Its line of `help`."""
        if self.argument:
            return f" {self.words:>12} {self.argument}\t{self.help}\n"
        return f" {self.words:>16}\t{self.help}\n"


class UsageError(Exception):
    """The argument cannot be meant: help is printed instead."""


# ---- matching -------------------------------------------------------------------------------------------------


def run(console: Console, line: str, *, interactive: bool = False) -> int:
    """Carry out one line; returns the exit code. An empty line is 1, as after `occtl -j`."""
    text = " ".join(line.split())
    if not text:
        return FAILED
    found = _match(text)
    if found is None:
        return _no_command(console, text)
    command, argument = found
    if command.needs_argument and argument in ("", "?"):
        return _usage(console, command, interactive)
    try:
        return command.action(console, argument)
    except UsageError:
        return _usage(console, command, interactive)
    except Unreachable:
        return FAILED


def _match(text: str) -> tuple[Command, str] | None:
    """The command that begins `text`, and the rest of it. Whole words go first; then, as with the C server,
    `show usersalice` is `show users` too, but never where more words would make a command of it."""
    lower = text.lower()
    whole = [command for command in COMMANDS if f"{lower} ".startswith(f"{command.words} ")]
    if not whole and not any(command.words.startswith(lower) for command in COMMANDS):
        whole = [command for command in COMMANDS if lower.startswith(command.words)]
    return (whole[0], text[len(whole[0].words) :].strip()) if whole else None


def _no_command(console: Console, text: str) -> int:
    begun = [command for command in COMMANDS if command.words.startswith(text.lower())]
    console.say("".join(command.help_line() for command in begun))
    if not begun:
        print(f"unknown command: {fmt.printable(text)}", file=console.err)
        print("use help or '?' to get a list of the available commands", file=console.err)
    return FAILED


def _usage(console: Console, command: Command, interactive: bool) -> int:
    shown = [command] if interactive else COMMANDS
    console.say("".join(each.help_line() for each in shown))
    return FAILED


def candidates(console: Console, line: str) -> list[str]:
    """What could be typed on: the next words of commands, or names that the last lists showed."""
    start = line.lower()
    for command in COMMANDS:
        if command.needs_argument and start.startswith(f"{command.words} "):
            names = console.seen.get(command.argument, set())
            return sorted(f"{command.words} {name}" for name in names if f"{command.words} {name}".startswith(line))
    return [command.words for command in COMMANDS if command.words.startswith(start) and command.words != "?"]


# ---- actions --------------------------------------------------------------------------------------------------


def show_status(console: Console, _argument: str) -> int:
    """`show status`; says that the server is offline where nobody answers."""
    try:
        report = console.ask(control.ShowStatus(), StatusReport)
    except Unreachable:
        console.say(fmt.json_object(views.OFFLINE) + "\n" if console.json else fmt.plain(views.OFFLINE).lstrip())
        return FAILED
    view = views.status_view(report, console.clock(), debug=console.debug)
    console.say(fmt.json_object(view) + "\n" if console.json else views.STATUS_NOTE + fmt.plain(view))
    return OK


def show_users(console: Console, _argument: str) -> int:
    """`show users`: a table, one connection a line."""
    users = console.ask(control.ShowUsers(), UserTable).users
    _remember_users(console, users)
    now = console.clock()
    if console.json:
        console.page(fmt.json_array(views.user_view(user, now) for user in users))
    else:
        console.page(fmt.printable(views.users_table(users, now)))
    return OK


def show_events(console: Console, _argument: str) -> int:
    """`show events`: who is connected, then who comes and goes, until `q` or an interrupt."""
    with console.connect() as connection:
        users = console.ask_over(connection, control.ShowEvents(), UserTable).users
        _remember_users(console, users)
        now = console.clock()
        if console.json:
            console.say(fmt.json_array(views.user_view(user, now) for user in users))
        else:
            console.say(fmt.printable(views.users_table(users, now)) + "Press 'q' or CTRL+C to quit\n")
        for event in events_of(connection):
            shown = views.event_view(event, console.clock())
            console.say(fmt.json_array([shown]) if console.json else fmt.printable(views.event_text(event)))
    return OK


def show_iroutes(console: Console, _argument: str) -> int:
    """`show iroutes`: one network a line; as JSON every connection, also those without one."""
    users = console.ask(control.ShowUsers(), UserTable).users
    connected = [user for user in users if user.username]
    if console.json:
        console.page(fmt.json_array(map(views.iroutes_view, connected)))
    else:
        console.page(fmt.printable(views.iroutes_table(connected)))
    return OK


def show_user(console: Console, name: str) -> int:
    """`show user`: every field of his connections."""
    return _show_connections(console, console.ask(control.ShowUser(name), UserTable).users)


def show_id(console: Console, number: str) -> int:
    """`show id`: every field of one connection."""
    return _show_connections(console, console.ask(control.ShowId(_id(number)), UserTable).users)


def _show_connections(console: Console, users: Sequence[UserEntry]) -> int:
    _remember_users(console, users)
    shown = [views.user_view(user, console.clock()) for user in users]
    if console.json:
        console.page(fmt.json_array(shown))
    else:
        console.page("".join(map(fmt.plain, shown)) or "user or ID not found\n")
    return OK if users else NOT_FOUND


def _remember_users(console: Console, users: Sequence[UserEntry]) -> None:
    console.seen["[NAME]"] = {user.username for user in users if user.username}
    console.seen["[ID]"] = {str(user.id) for user in users}


def show_all_sessions(console: Console, _argument: str) -> int:
    """`show sessions all`."""
    return _show_table(console, _sessions(console))


def show_valid_sessions(console: Console, _argument: str) -> int:
    """`show sessions valid`: those whose cookie opens a tunnel."""
    valid = [session for session in _sessions(console) if session.state is UserState.AUTHENTICATED]
    return _show_table(console, valid)


def _show_table(console: Console, sessions: Sequence[SessionEntry]) -> int:
    if console.json:
        console.page(fmt.json_array(map(views.session_view, sessions)))
    else:
        console.page(fmt.printable(views.sessions_table(sessions, console.clock())))
    return OK


def show_session(console: Console, prefix: str) -> int:
    """`show session`: those whose SID begins so."""
    found = [session for session in _sessions(console) if session.sid.startswith(prefix)]
    shown = [views.session_view(session) for session in found]
    if console.json:
        console.page(fmt.json_array(shown))
    else:
        console.page("\n".join(map(fmt.plain, shown)) or "Session ID not found or expired\n")
    return OK if found else NOT_FOUND


def _sessions(console: Console) -> Sequence[SessionEntry]:
    sessions = console.ask(control.ShowSessions(), SessionTable).sessions
    console.seen["[SID]"] = {session.sid for session in sessions}
    return sessions


def show_bans(console: Console, _argument: str) -> int:
    """`show ip bans`: who is banned now, and until when."""
    entries = console.ask(control.ShowBans(), BanTable).entries
    console.seen["[IP]"] = {entry.ip for entry in entries}
    now = console.clock()
    if console.json:
        console.page(fmt.json_array(views.ban_view(entry, now) for entry in entries))
    else:
        console.page(views.bans_table(entries, now))
    return OK


def show_ban_points(console: Console, _argument: str) -> int:
    """`show ip ban points`: every address of which anything is known."""
    entries = console.ask(control.ShowBans(points=True), BanTable).entries
    console.seen["[IP]"] = {entry.ip for entry in entries}
    if console.json:
        console.page(fmt.json_array(map(views.points_view, entries)))
    else:
        console.page(views.points_table(entries))
    return OK


def unban(console: Console, ip: str) -> int:
    """`unban ip`."""
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        print(f"Cannot parse IP: {fmt.printable(ip)}", file=console.err)
        return FAILED
    done = console.ask(control.Unban(ip), Done)
    return _tell(console, done, f"IP '{ip}' was unbanned", f"could not unban IP '{ip}'")


def show_plugins(console: Console, _argument: str) -> int:
    """`show plugins`: the back ends that are loaded, and how they do."""
    shown = [views.plugin_view(plugin) for plugin in console.ask(control.ShowPlugins(), PluginTable).plugins]
    if console.json:
        console.page(fmt.json_array(shown))
    else:
        console.page("\n".join(map(fmt.plain, shown)))
    return OK


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
    done = console.ask(control.DisconnectId(_id(number)), Done)
    return _tell(console, done, f"connection ID '{number}' was disconnected", f"could not disconnect ID '{number}'")


def terminate_user(console: Console, name: str) -> int:
    """`terminate user`: the cookies die too."""
    done = console.ask(control.DisconnectUser(name, terminate=True), Done)
    good = f"user '{name}' was terminated (session invalidated)"
    return _tell(console, done, good, f"could not terminate user '{name}'")


def terminate_id(console: Console, number: str) -> int:
    """`terminate id`, likewise."""
    done = console.ask(control.DisconnectId(_id(number), terminate=True), Done)
    good = f"connection ID '{number}' was terminated (session invalidated)"
    return _tell(console, done, good, f"could not terminate ID '{number}'")


def terminate_session(console: Console, prefix: str) -> int:
    """`terminate session`: the one whose SID begins so."""
    if len(prefix) > SID_LENGTH:
        print(f"invalid session ID '{prefix}'", file=console.err)
        return FAILED
    found = [session for session in _sessions(console) if session.sid.startswith(prefix)]
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


def _id(number: str) -> int:
    """A worker's pid. What is no number is no id, and 0 is none either."""
    try:
        value = int(number)
    except ValueError as error:
        raise UsageError from error
    if value == 0 or abs(value) > 0x7FFF_FFFF:
        raise UsageError
    return value


def reset(console: Console, _argument: str) -> int:
    """`reset`: the terminal, as the C client does it."""
    console.say("\033c")
    return OK


def help_(console: Console, _argument: str) -> int:
    """`help`: every command."""
    listed = (command.help_line() for command in COMMANDS if not command.alias)
    console.say("Available Commands\n" + "".join(listed))
    return OK


def leave(_console: Console, _argument: str) -> int:
    """`exit`: ends the prompt."""
    raise SystemExit(OK)


# `show users` before `show user`, `show sessions …` before `show session`: the first that fits is taken.
COMMANDS = (
    Command("disconnect user", "[NAME]", "End a user's connections", disconnect_user),
    Command("disconnect id", "[ID]", "End the connection with this ID", disconnect_id),
    Command("terminate user", "[NAME]", "End a user's connections and forget their cookies", terminate_user),
    Command("terminate id", "[ID]", "End the connection with this ID and forget its cookie", terminate_id),
    Command("unban ip", "[IP]", "Forgive an address its points, and end its ban", unban),
    Command("terminate session", "[SID]", "Forget the session whose ID begins so, and its cookie", terminate_session),
    Command("reload", "", "Read the server's configuration again", reload_),
    Command("show status", "", "The server's state and statistics", show_status),
    Command("show users", "", "The connected users", show_users),
    Command("show events", "", "The connected users, then who comes and goes", show_events),
    Command("show ip bans", "", "The addresses that are banned", show_bans),
    Command("show ip ban points", "", "The addresses that have points", show_ban_points),
    Command("show iroutes", "", "The networks behind the connected users", show_iroutes),
    Command("show sessions all", "", "All sessions", show_all_sessions),
    Command("show sessions valid", "", "The sessions that a client can come back to", show_valid_sessions),
    Command("show session", "[SID]", "One session, by the beginning of its ID", show_session),
    Command("plugin", "[WORDS]", "A command of a plugin", run_plugin),
    Command("show plugins", "", "The back ends that are loaded", show_plugins),
    Command("show user", "[NAME]", "All connections of one user", show_user),
    Command("show id", "[ID]", "The connection with this ID", show_id),
    Command("stop", "now", "End the server", stop),
    Command("reset", "", "Reset the terminal", reset),
    Command("help", "or ?", "This list", help_),
    Command("exit", "", "Leave", leave),
    Command("?", "", "This list", help_, alias=True),
    Command("quit", "", "Leave", leave, alias=True),
    Command("show cookies all", "", "The same as show sessions all", show_all_sessions, alias=True),
    Command("show cookies valid", "", "The same as show sessions valid", show_valid_sessions, alias=True),
)
