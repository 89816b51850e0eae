from __future__ import annotations

import io
import json

import msgspec
import pytest

from ocserv_core.cli import occtl_commands as commands
from ocserv_core.cli.occtl_console import Console
from ocserv_core.cli.occtl_format import date_text
from ocserv_core.ipc import control
from ocserv_core.model import PluginCounters, PluginReport, SessionId

from .conftest import ALICE, NOW, SESSION, SID, STATUS, FakeServer


def out(console: Console) -> str:
    assert isinstance(console.out, io.StringIO)
    return console.out.getvalue()


def err(console: Console) -> str:
    assert isinstance(console.err, io.StringIO)
    return console.err.getvalue()


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("show status", control.ShowStatus()),
        ("SHOW  Status", control.ShowStatus()),
        ("show user alice", control.ShowUser("alice")),
        ("show user Alice", control.ShowUser("Alice")),
        ("show usersalice", control.ShowUsers()),
        ("show id 12", control.ShowId(12)),
        ("show events", control.ShowEvents()),
        ("show sessions valid", control.ShowSessions()),
        ("show cookies all", control.ShowSessions()),
        ("show session rA", control.ShowSessions()),
        ("disconnect user alice", control.DisconnectUser("alice")),
        ("disconnect id -1", control.DisconnectId(-1)),
        ("terminate user alice", control.DisconnectUser("alice", terminate=True)),
        ("terminate id 12", control.DisconnectId(12, terminate=True)),
        ("show ip bans", control.ShowBans()),
        ("show ip ban points", control.ShowBans(points=True)),
        ("unban ip 192.0.2.9", control.Unban("192.0.2.9")),
        ("reload", control.Reload()),
        ("stop", control.Stop()),
        ("stop now", control.Stop()),
    ],
)
def test_a_command_asks(console: Console, server: FakeServer, line: str, request_: control.Request) -> None:
    server.replies = [None]
    commands.run(console, line)
    assert server.asked == [request_]


@pytest.mark.parametrize(
    ("line", "good", "bad"),
    [
        ("disconnect user bob", "user 'bob' was disconnected", "could not disconnect user 'bob'"),
        ("disconnect id 7", "connection ID '7' was disconnected", "could not disconnect ID '7'"),
        ("unban ip 192.0.2.9", "IP '192.0.2.9' was unbanned", "could not unban IP '192.0.2.9'"),
        ("terminate user bob", "user 'bob' was terminated (session invalidated)", "could not terminate user 'bob'"),
        ("terminate id 7", "connection ID '7' was terminated (session invalidated)", "could not terminate ID '7'"),
        ("reload", "Server scheduled to reload", "Error scheduling reload"),
        ("stop", "Server scheduled to stop", "Error scheduling server stop"),
    ],
)
def test_what_was_done_and_what_was_not(console: Console, server: FakeServer, line: str, good: str, bad: str) -> None:
    server.replies = [control.Done(ok=True), control.Done(ok=False)]
    assert [commands.run(console, line), commands.run(console, line)] == [0, 1]
    assert out(console) == f"{good}\n{bad}\n"


def test_a_reload_that_failed_prints_its_errors(console: Console, server: FakeServer) -> None:
    server.replies = [control.Done(ok=False, text="ocserv.conf:3: unknown\nocserv.conf:5: not a number")]
    assert commands.run(console, "reload") == 1
    assert err(console) == "ocserv.conf:3: unknown\nocserv.conf:5: not a number\n"


def test_what_a_reload_leaves_to_the_next_start_is_told_beside(console: Console, server: FakeServer) -> None:
    server.replies = [control.Done(ok=True, text="'tcp-port' has changed")]
    assert commands.run(console, "reload") == 0
    assert (out(console), err(console)) == ("Server scheduled to reload\n", "'tcp-port' has changed\n")


def test_nobody_is_connected(console: Console, server: FakeServer) -> None:
    server.replies = [control.UserTable(())]
    assert (commands.run(console, "show users"), out(console)) == (0, "")


def test_nobody_is_connected_as_json(console: Console, server: FakeServer) -> None:
    server.replies, console.json = [control.UserTable(())], True
    assert (commands.run(console, "show users"), out(console)) == (0, "[\n]\n")


@pytest.mark.parametrize("line", ["show user bob", "show id 9"])
def test_a_user_that_is_not_there(console: Console, server: FakeServer, line: str) -> None:
    server.replies = [control.UserTable(())]
    assert (commands.run(console, line), out(console)) == (2, "user or ID not found\n")


def test_all_connections_of_a_user_as_json(console: Console, server: FakeServer) -> None:
    server.replies, console.json = [control.UserTable((ALICE, ALICE))], True
    assert commands.run(console, "show user alice") == 0
    assert [user["ID"] for user in json.loads(out(console))] == [6832, 6832]


def test_status_begins_with_its_note(console: Console, server: FakeServer) -> None:
    server.replies = [STATUS]
    assert commands.run(console, "show status") == 0
    assert out(console).splitlines()[2:5] == ["", "General info:", "\tStatus: online"]


def test_status_of_a_server_that_is_gone_is_offline(console: Console) -> None:
    console.json, console.socket_file = True, "/nonexistent/occtl.socket"
    assert (commands.run(console, "show status"), json.loads(out(console))) == (1, {"Status": "offline"})


def test_a_socket_that_is_not_there(console: Console) -> None:
    console.socket_file = "/nonexistent/occtl.socket"
    assert commands.run(console, "show users") == 1
    assert err(console) == (
        "error connecting to ocserv socket '/nonexistent/occtl.socket': No such file or directory\n"
    )


def test_a_server_that_closes_without_a_reply(console: Console, server: FakeServer) -> None:
    server.replies = [None]
    assert commands.run(console, "show users") == 1
    assert err(console) == "could not send message; possibly insufficient permissions or server is offline.\n"


def test_a_reply_to_another_question_is_no_answer(console: Console, server: FakeServer) -> None:
    server.replies = [control.Done(ok=True)]
    assert commands.run(console, "show users") == 1


def test_a_session_is_found_by_the_beginning_of_its_id(console: Console, server: FakeServer) -> None:
    server.replies = [control.SessionTable((SESSION,))]
    assert commands.run(console, f"show session {SID[:4]}") == 0
    assert f"Full session ID: {SID}" in out(console)


def test_the_case_of_a_session_id_matters(console: Console, server: FakeServer) -> None:
    server.replies = [control.SessionTable((SESSION,))]
    code = commands.run(console, f"show session {SID[:4].lower()}")
    assert (code, out(console)) == (2, "Session ID not found or expired\n")


def test_a_session_is_terminated_by_the_beginning_of_its_id(console: Console, server: FakeServer) -> None:
    server.replies = [control.SessionTable((SESSION,)), control.Done(True)]
    assert commands.run(console, "terminate session rA") == 0
    assert server.asked[1] == control.TerminateSession(SID)
    assert out(console) == "session 'rA204x' was terminated\n"


def test_no_session_is_terminated_where_several_may_be_meant(console: Console, server: FakeServer) -> None:
    other = msgspec.structs.replace(SESSION, sid=SessionId("rAx" + SID[3:]), username="bob")
    server.replies = [control.SessionTable((SESSION, other))]
    assert commands.run(console, "terminate session rA") == 1
    assert err(console).splitlines()[:3] == [
        "ambiguous session ID 'rA' matches 2 sessions:",
        f"  {SID}  user: alice",
        f"  {other.sid}  user: bob",
    ]
    assert len(server.asked) == 1


def test_a_session_that_is_not_there_is_not_terminated(console: Console, server: FakeServer) -> None:
    server.replies = [control.SessionTable((SESSION,))]
    assert commands.run(console, "terminate session x") == 1
    assert err(console) == "no session matching 'x' was found\n"


def test_what_is_too_long_for_a_session_id_is_not_asked_for(console: Console, server: FakeServer) -> None:
    assert commands.run(console, f"terminate session {SID}x") == 1
    assert (err(console), server.asked) == (f"invalid session ID '{SID}x'\n", [])


IROUTES = msgspec.structs.replace(ALICE, iroutes=("192.0.2.128/25", "2001:db8:7::/48"))


def test_each_network_behind_a_user_has_its_line(console: Console, server: FakeServer) -> None:
    server.replies = [control.UserTable((ALICE, IROUTES))]
    assert commands.run(console, "show iroutes") == 0
    head, *rows = [line.split() for line in out(console).splitlines()]
    assert head == ["id", "user", "vhost", "device", "vpn-ip", "iroute"]
    whose = ["6832", "alice", "default", "vpns0", "198.51.100.50"]
    assert rows == [[*whose, "192.0.2.128/25"], [*whose, "2001:db8:7::/48"]]


def test_as_json_each_user_is_told_of(console: Console, server: FakeServer) -> None:
    server.replies = [control.UserTable((ALICE, IROUTES))]
    console.json = True
    assert commands.run(console, "show iroutes") == 0
    without, with_ = json.loads(out(console))
    assert (without["iRoutes"], with_["iRoutes"]) == ([], ["192.0.2.128/25", "2001:db8:7::/48"])
    assert with_["IP"] == "198.51.100.50"


def test_valid_sessions_are_the_authenticated_ones(console: Console, server: FakeServer) -> None:
    waiting = msgspec.structs.replace(SESSION, state=control.UserState.AUTHENTICATING)
    server.replies, console.json = [control.SessionTable((SESSION, waiting))], True
    commands.run(console, "show sessions valid")
    assert [session["State"] for session in json.loads(out(console))] == ["authenticated"]


RADIUS = PluginReport(
    "default",
    "ocserv.auth",
    "radius",
    "secmod",
    "ocserv-acct-radius",
    "1.2",
    "1.0",
    "open",
    working=2,
    counters=PluginCounters(
        granted=7, failed=5, stretches=20, busy=4.0, busiest=3.0, last_error="no answer within 30 s"
    ),
)


def test_a_back_end_tells_where_it_comes_from_and_how_it_does(console: Console, server: FakeServer) -> None:
    server.replies = [control.PluginTable((RADIUS,))]
    assert commands.run(console, "show plugins") == 0
    assert [line.strip() for line in out(console).splitlines()] == [
        "Plugin: radius   Group: ocserv.auth   vhost: default",
        "Distribution: ocserv-acct-radius   Version: 1.2   API: 1.0",
        "Process: secmod   Breaker: open",
        "Working: 2   Waiting: 0",
        "Granted: 7   Denied: 0   Failed: 5   Refused: 0",
        "Stretches of work: 20   Mean: 200.0 ms   Longest: 3000.0 ms",
        "Last error: no answer within 30 s",
    ]


def test_back_ends_as_json(console: Console, server: FakeServer) -> None:
    server.replies, console.json = [control.PluginTable((RADIUS,))], True
    assert commands.run(console, "show plugins") == 0
    (radius,) = json.loads(out(console))
    assert (radius["Plugin"], radius["Breaker"], radius["Granted"]) == ("radius", "open", 7)


def test_an_unknown_command(console: Console, server: FakeServer) -> None:
    assert commands.run(console, "show weather") == 1
    assert err(console).startswith("unknown command: show weather\n")
    assert (out(console), server.asked) == ("", [])


def test_the_beginning_of_commands_lists_them(console: Console) -> None:
    assert commands.run(console, "show") == 1
    assert {line.split("\t")[0].strip() for line in out(console).splitlines()} >= {"show status", "show user [NAME]"}
    assert "reload" not in out(console)


@pytest.mark.parametrize("line", ["show user", "show user ?", "show id", "show id 0", "show id abc", "disconnect id x"])
def test_a_missing_argument_prints_all_of_the_help(console: Console, server: FakeServer, line: str) -> None:
    assert commands.run(console, line) == 1
    assert len(out(console).splitlines()) == len(commands.COMMANDS)
    assert server.asked == []


def test_a_missing_argument_at_the_prompt_prints_that_command_s_help(console: Console) -> None:
    commands.run(console, "show user", interactive=True)
    assert out(console) == "    show user [NAME]\tAll connections of one user\n"


@pytest.mark.parametrize("line", ["help", "?"])
def test_help(console: Console, line: str) -> None:
    assert commands.run(console, line) == 0
    assert out(console).splitlines()[0] == "Available Commands"
    assert "           reload\t" in out(console)


def test_an_empty_line_is_no_command(console: Console) -> None:
    assert (commands.run(console, "  "), out(console), err(console)) == (1, "", "")


def test_commands_are_completed(console: Console) -> None:
    assert commands.candidates(console, "show ses") == ["show sessions all", "show sessions valid", "show session"]


def test_names_of_the_last_list_are_completed(console: Console, server: FakeServer) -> None:
    server.replies = [control.UserTable((ALICE,))]
    commands.run(console, "show users")
    assert commands.candidates(console, "disconnect user a") == ["disconnect user alice"]


def test_no_two_commands_have_the_same_words() -> None:
    words = [command.words for command in commands.COMMANDS]
    assert len(words) == len(set(words))


# ---- bans ---------------------------------------------------------------------------------------------------------

BANS = control.BanTable((control.BanEntry("192.0.2.9", 40, NOW + 200), control.BanEntry("2001:db8:3::", 1, 0.0)))


def test_show_ip_bans_tells_when_they_are_over(console: Console, server: FakeServer) -> None:
    server.replies = [BANS]
    assert commands.run(console, "show ip bans") == 0
    head, first, _ = out(console).splitlines()
    assert head == "             IP      score                        expires"
    assert first == f"      192.0.2.9         40     {date_text(NOW + 200)} ( 3m:20s)"


def test_show_ip_bans_in_json_has_the_end_as_since(console: Console, server: FakeServer) -> None:
    console.json = True
    server.replies = [BANS]
    commands.run(console, "show ip bans")
    assert json.loads(out(console))[0] == {
        "IP": "192.0.2.9",
        "Since": date_text(NOW + 200),
        "_Since": " 3m:20s",
        "Score": 40,
    }


def test_show_ip_ban_points(console: Console, server: FakeServer) -> None:
    server.replies = [BANS]
    commands.run(console, "show ip ban points")
    assert out(console).splitlines() == [
        "             IP      score",
        "      192.0.2.9         40",
        "   2001:db8:3::          1",
    ]


def test_show_ip_ban_points_in_json(console: Console, server: FakeServer) -> None:
    console.json = True
    server.replies = [BANS]
    commands.run(console, "show ip ban points")
    assert json.loads(out(console)) == [{"IP": "192.0.2.9", "Score": 40}, {"IP": "2001:db8:3::", "Score": 1}]


@pytest.mark.parametrize("line", ["show ip bans", "show ip ban points"])
def test_without_bans_there_is_no_header(console: Console, server: FakeServer, line: str) -> None:
    server.replies = [control.BanTable(())]
    assert commands.run(console, line) == 0
    assert out(console) == ""


def test_unban_of_no_address_asks_nobody(console: Console, server: FakeServer) -> None:
    assert commands.run(console, "unban ip example") == 1
    assert (err(console), server.asked) == ("Cannot parse IP: example\n", [])
