"""occtl's commands: one table of words, argument, question and answer; and how words are matched with it.

Called by occtl.py with a `Console`; each command opens one connection, asks once, and returns the exit code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import occtl_acts as acts
from . import occtl_format as fmt
from . import occtl_shows as shows
from .occtl_console import FAILED, OK, Console, Unreachable, UsageError

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
    Command("disconnect user", "[NAME]", "End a user's connections", acts.disconnect_user),
    Command("disconnect id", "[ID]", "End the connection with this ID", acts.disconnect_id),
    Command("terminate user", "[NAME]", "End a user's connections and forget their cookies", acts.terminate_user),
    Command("terminate id", "[ID]", "End the connection with this ID and forget its cookie", acts.terminate_id),
    Command("unban ip", "[IP]", "Forgive an address its points, and end its ban", acts.unban),
    Command("terminate session", "[SID]", "Forget the session whose ID begins so", acts.terminate_session),
    Command("reload", "", "Read the server's configuration again", acts.reload_),
    Command("show status", "", "The server's state and statistics", shows.show_status),
    Command("show users", "", "The connected users", shows.show_users),
    Command("show events", "", "The connected users, then who comes and goes", shows.show_events),
    Command("show ip bans", "", "The addresses that are banned", shows.show_bans),
    Command("show ip ban points", "", "The addresses that have points", shows.show_ban_points),
    Command("show iroutes", "", "The networks behind the connected users", shows.show_iroutes),
    Command("show sessions all", "", "All sessions", shows.show_all_sessions),
    Command("show sessions valid", "", "The sessions that a client can come back to", shows.show_valid_sessions),
    Command("show session", "[SID]", "One session, by the beginning of its ID", shows.show_session),
    Command("plugin", "[WORDS]", "A command of a plugin", acts.run_plugin),
    Command("show plugins", "", "The back ends that are loaded", shows.show_plugins),
    Command("show user", "[NAME]", "All connections of one user", shows.show_user),
    Command("show id", "[ID]", "The connection with this ID", shows.show_id),
    Command("stop", "now", "End the server", acts.stop),
    Command("reset", "", "Reset the terminal", reset),
    Command("help", "or ?", "This list", help_),
    Command("exit", "", "Leave", leave),
    Command("?", "", "This list", help_, alias=True),
    Command("quit", "", "Leave", leave, alias=True),
    Command("show cookies all", "", "The same as show sessions all", shows.show_all_sessions, alias=True),
    Command("show cookies valid", "", "The same as show sessions valid", shows.show_valid_sessions, alias=True),
)
