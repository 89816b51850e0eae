"""The commands of occtl that show something: what each asks, prints and exits with."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc import control
from ..ipc.control import (
    BanTable,
    PluginTable,
    SessionEntry,
    SessionTable,
    StatusReport,
    UserEntry,
    UserState,
    UserTable,
)
from . import occtl_format as fmt
from . import occtl_views as views
from .occtl_console import FAILED, NOT_FOUND, OK, Console, Unreachable, id_of
from .occtl_events import events_of


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
    return _show_connections(console, console.ask(control.ShowId(id_of(number)), UserTable).users)


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
    return _show_table(console, ask_sessions(console))


def show_valid_sessions(console: Console, _argument: str) -> int:
    """`show sessions valid`: those whose cookie opens a tunnel."""
    valid = [session for session in ask_sessions(console) if session.state is UserState.AUTHENTICATED]
    return _show_table(console, valid)


def _show_table(console: Console, sessions: Sequence[SessionEntry]) -> int:
    if console.json:
        console.page(fmt.json_array(map(views.session_view, sessions)))
    else:
        console.page(fmt.printable(views.sessions_table(sessions, console.clock())))
    return OK


def show_session(console: Console, prefix: str) -> int:
    """`show session`: those whose SID begins so."""
    found = [session for session in ask_sessions(console) if session.sid.startswith(prefix)]
    shown = [views.session_view(session) for session in found]
    if console.json:
        console.page(fmt.json_array(shown))
    else:
        console.page("\n".join(map(fmt.plain, shown)) or "Session ID not found or expired\n")
    return OK if found else NOT_FOUND


def ask_sessions(console: Console) -> Sequence[SessionEntry]:
    """All of them, which the prompt completes from now on."""
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


def show_plugins(console: Console, _argument: str) -> int:
    """`show plugins`: the back ends that are loaded, and how they do."""
    shown = [views.plugin_view(plugin) for plugin in console.ask(control.ShowPlugins(), PluginTable).plugins]
    if console.json:
        console.page(fmt.json_array(shown))
    else:
        console.page("\n".join(map(fmt.plain, shown)))
    return OK
