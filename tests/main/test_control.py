"""occtl's requests over a real socket, answered from tables that are only these tests'."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import ConfigError, ConfigErrors
from ocserv_core.ipc import control
from ocserv_core.ipc.control import (
    BanEntry,
    BanTable,
    DisconnectId,
    DisconnectUser,
    Done,
    PluginTable,
    Reload,
    Reply,
    Request,
    SessionEvent,
    SessionTable,
    ShowBans,
    ShowEvents,
    ShowId,
    ShowPlugins,
    ShowSessions,
    ShowStatus,
    ShowUser,
    ShowUsers,
    StatusReport,
    Stop,
    TerminateSession,
    Unban,
    UserEntry,
    UserState,
    UserTable,
)
from ocserv_core.ipc.messages import Message, Revoke, SessionRow, Terminate
from ocserv_core.log import NOTICE
from ocserv_core.main import control as control_module
from ocserv_core.main.control import ControlServer
from ocserv_core.main.events import Events
from ocserv_core.main.plugins import NO_PLUGINS
from ocserv_core.main.records import ConnectionState, TunnelRecord, WorkerRecord
from ocserv_core.model import Endpoint, Lease, PluginReport, SessionId
from ocserv_core.state.bans import Points
from tests.loop import on_loop, until

STATUS = StatusReport(True, 1, 2, 1, 0.0, 3, 4, 5, 0, 6, 7, 0.0, 8, 9, 10, 11, 12)


def record(number: int, username: str = "") -> WorkerRecord:
    """A connection whose worker's pid is 100 and its number; with a name it has a tunnel."""
    ends = Endpoint("192.0.2.7", 40000), Endpoint("192.0.2.1", 443)
    made = WorkerRecord(number, 1, *ends, 0.0, pid=100 + number)
    if username:
        sid = SessionId(f"sid-{number}")
        made.tunnel = TunnelRecord(sid, username, "", Lease(), "vpns0", 1, 0.0, SessionConfig())
        made.state = ConnectionState.TUNNEL
        made.sid, made.username = sid, username
    return made


class House:
    """Everything that the control server asks: secmod, workers, figures, the whole."""

    def __init__(self) -> None:
        self.records = {1: record(1, "alice"), 2: record(2, "bob"), 3: record(3)}
        self.rows: list[SessionRow] = []
        self.plugins: tuple[PluginReport, ...] = ()
        self.told: list[Message] = []
        self.ended: list[tuple[int, Terminate]] = []
        self.reload_error: ConfigErrors | None = None
        self.postponed: tuple[str, ...] = ()
        self.stopped = False
        self.events = Events()
        parts: tuple[Any, ...] = (self, self, self, self, NO_PLUGINS, self)
        self.server = ControlServer(*parts)
        self.address = f"\0ocserv-test-{os.getpid()}-{id(self)}"

    def tell(self, message: Message) -> None:
        self.told.append(message)

    async def list_sessions(self) -> list[SessionRow]:
        return self.rows

    async def list_plugins(self) -> tuple[PluginReport, ...]:
        return self.plugins

    async def end(self, worker: WorkerRecord, message: Terminate) -> None:
        self.ended.append((worker.number, message))

    def report(self) -> StatusReport:
        return STATUS

    def users(self) -> list[UserEntry]:
        names = {number: record.tunnel.username if record.tunnel else "" for number, record in self.records.items()}
        return [
            UserEntry(100 + number, UserState.CONNECTED, "default", "192.0.2.7", "192.0.2.1", 0.0, name)
            for number, name in names.items()
        ]

    def banned(self) -> list[Points]:
        return [Points("192.0.2.9", 90, 0.0, 300.0)]

    def known(self) -> list[Points]:
        return [*self.banned(), Points("192.0.2.8", 1, 0.0, 300.0)]

    def unban(self, ip: str) -> bool:
        if ip == "example":
            raise ValueError("'example' is no address")
        return ip == "192.0.2.9"

    async def reload(self) -> tuple[str, ...]:
        if self.reload_error:
            raise self.reload_error
        return self.postponed

    def stop(self) -> None:
        self.stopped = True

    # ---- asking

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self.address)
        return connection

    async def ask(self, request: Request) -> Reply:
        with self.connect() as connection:
            return await asyncio.to_thread(control.ask, connection, request, 10.0)

    async def end_of(self, data: bytes, *, leave: bool = False) -> bytes:
        """What a client gets that sends these bytes: empty where it is just cut off."""
        with self.connect() as connection:
            connection.sendall(data)
            if leave:
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            return await asyncio.to_thread(connection.recv, 65536)


def play(dialogue: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    async def life() -> None:
        house = House()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(house.address)
        listener.listen()
        await house.server.start(listener)
        try:
            await dialogue(house)
        finally:
            house.server.close()

    on_loop(life())


def sid_row(number: int, username: str) -> SessionRow:
    return SessionRow(SessionId(f"sid-{number}"), "default", username, "", "", "192.0.2.7", 0.0, 9.0, number % 2)


def test_the_figures() -> None:
    async def dialogue(house: House) -> None:
        assert await house.ask(ShowStatus()) == STATUS

    play(dialogue)


@pytest.mark.parametrize(
    ("request_", "ids"),
    [
        (ShowUsers(), [101, 102, 103]),
        (ShowUser("bob"), [102]),
        (ShowUser("nobody"), []),
        (ShowId(101), [101]),
        (ShowId(9), []),
    ],
)
def test_connections_are_listed_and_chosen(request_: Request, ids: list[int]) -> None:
    async def dialogue(house: House) -> None:
        reply = await house.ask(request_)
        assert isinstance(reply, UserTable)
        assert [user.id for user in reply.users] == ids

    play(dialogue)


def test_sessions_are_listed() -> None:
    async def dialogue(house: House) -> None:
        house.rows = [sid_row(1, "alice"), sid_row(2, "bob")]
        reply = await house.ask(ShowSessions())
        assert isinstance(reply, SessionTable)
        assert [(row.sid, row.username, row.in_use) for row in reply.sessions] == [
            ("sid-1", "alice", True),
            ("sid-2", "bob", False),
        ]

    play(dialogue)


def test_back_ends_are_listed() -> None:
    async def dialogue(house: House) -> None:
        house.plugins = (PluginReport("default", "ocserv.auth", "plain", "secmod", "", "", "1.0", "closed"),)
        assert await house.ask(ShowPlugins()) == PluginTable(house.plugins)

    play(dialogue)


def test_a_user_is_disconnected_and_his_cookie_lives() -> None:
    async def dialogue(house: House) -> None:
        assert await house.ask(DisconnectUser("alice")) == Done(True)
        assert ([number for number, _ in house.ended], house.told) == ([1], [])

    play(dialogue)


def test_a_user_who_is_not_there_is_told() -> None:
    async def dialogue(house: House) -> None:
        assert await house.ask(DisconnectUser("nobody")) == Done(False)

    play(dialogue)


def test_a_user_is_terminated_with_all_his_sessions() -> None:
    async def dialogue(house: House) -> None:
        house.rows = [sid_row(1, "alice"), sid_row(7, "alice"), sid_row(2, "bob")]
        assert await house.ask(DisconnectUser("alice", terminate=True)) == Done(True)
        assert {str(message.sid) for message in house.told if isinstance(message, Revoke)} == {"sid-1", "sid-7"}
        assert [number for number, _ in house.ended] == [1]

    play(dialogue)


def test_who_has_only_a_session_can_be_terminated() -> None:
    async def dialogue(house: House) -> None:
        house.rows = [sid_row(9, "carol")]
        assert await house.ask(DisconnectUser("carol", terminate=True)) == Done(True)
        assert (house.told, house.ended) == ([Revoke(SessionId("sid-9"))], [])

    play(dialogue)


@pytest.mark.parametrize(("id_", "found"), [(102, [2]), (103, [3]), (9, []), (0, [])])
def test_one_connection_is_disconnected(id_: int, found: list[int]) -> None:
    async def dialogue(house: House) -> None:
        assert await house.ask(DisconnectId(id_)) == Done(bool(found))
        assert [number for number, _ in house.ended] == found

    play(dialogue)


@pytest.mark.parametrize("terminate", [True, False])
def test_who_was_ended_and_how_is_in_the_log(caplog: pytest.LogCaptureFixture, terminate: bool) -> None:
    caplog.set_level(NOTICE)
    verb = "terminate" if terminate else "disconnect"

    async def dialogue(house: House) -> None:
        await house.ask(DisconnectUser("alice", terminate=terminate))
        await house.ask(DisconnectId(9, terminate=terminate))

    play(dialogue)
    assert caplog.messages == [f"occtl: {verb} user 'alice': done", f"occtl: {verb} id 9: not found"]


def test_a_reload_that_succeeds() -> None:
    async def dialogue(house: House) -> None:
        assert await house.ask(Reload()) == Done(True)

    play(dialogue)


def test_what_a_reload_leaves_to_the_next_start_is_told() -> None:
    async def dialogue(house: House) -> None:
        house.postponed = ("'tcp-port' has changed", "'auth' has changed")
        assert await house.ask(Reload()) == Done(True, "'tcp-port' has changed\n'auth' has changed")

    play(dialogue)


def test_a_reload_that_fails_is_told_with_each_line() -> None:
    async def dialogue(house: House) -> None:
        house.reload_error = ConfigErrors([ConfigError("bad", "o.conf", 3), ConfigError("worse", "o.conf", 5)])
        assert await house.ask(Reload()) == Done(False, "o.conf:3: bad\no.conf:5: worse")

    play(dialogue)


def test_the_answer_to_stop_comes_before_the_end() -> None:
    async def dialogue(house: House) -> None:
        assert await house.ask(Stop()) == Done(True)
        await until(lambda: house.stopped)

    play(dialogue)


@pytest.mark.parametrize(
    ("data", "leaves"),
    [
        (b"\xff\xff\xff\xff", False),
        (b"\x00\x00\x00\x02\xff\xff", False),
        (b"\x00\x00\x00\x06\x91\xa4Oops", False),
        (b"\x00\x00\x00\x0c\x92\xa8ShowUser\xa1\xff", False),
        (b"\x00\x00\x00\x09half", True),
        (b"\x00", True),
        (b"", True),
    ],
)
def test_what_is_no_request_is_cut_off_and_told(data: bytes, leaves: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue(house: House) -> None:
        assert await house.end_of(data, leave=leaves) == b""
        assert await house.ask(Reload()) == Done(True)

    play(dialogue)
    assert caplog.messages[0].startswith("control socket: ")


def test_a_slow_client_is_cut_off_and_hinders_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "REQUEST_TIMEOUT", 0.05)

    async def dialogue(house: House) -> None:
        with house.connect() as slow:
            slow.sendall(b"\x00\x00")
            assert await house.ask(Reload()) == Done(True)
            slow.settimeout(10)
            assert await asyncio.to_thread(slow.recv, 1) == b""

    play(dialogue)


def test_a_client_that_leaves_before_its_answer_is_no_error() -> None:
    async def dialogue(house: House) -> None:
        for _ in range(5):
            with house.connect() as connection:
                connection.sendall(control.build_frame(ShowStatus()))
        assert await house.ask(ShowStatus()) == STATUS

    play(dialogue)


@pytest.mark.needs_root
def test_only_root_may_ask(caplog: pytest.LogCaptureFixture) -> None:
    program = """
import socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.settimeout(10)
    s.connect("\\0" + sys.argv[1])
    try:
        s.sendall(bytes.fromhex(sys.argv[2]))
        print(len(s.recv(100)))
    except ConnectionError:
        print(0)
"""

    async def dialogue(house: House) -> None:
        frame = control.build_frame(Stop()).hex()
        command = ["/usr/bin/python3", "-c", program, house.address[1:], frame]
        asked = await asyncio.to_thread(_as_nobody, command)
        assert (asked, house.stopped) == ("0\n", False)

    play(dialogue)
    assert "control socket: uid 65534 (pid" in caplog.text


def _as_nobody(command: list[str]) -> str:
    ran = subprocess.run(command, user=65534, group=65534, cwd="/", capture_output=True, text=True, timeout=30)
    return ran.stdout or ran.stderr


def test_secmod_is_told_to_forget_a_session() -> None:
    async def dialogue(house: House) -> None:
        house.rows = [sid_row(1, "alice")]
        assert await house.ask(TerminateSession(SessionId("sid-1"))) == Done(True)
        assert (house.told, house.ended) == ([Revoke(SessionId("sid-1"))], [])
        assert await house.ask(TerminateSession(SessionId("sid-9"))) == Done(False)
        assert len(house.told) == 1

    play(dialogue)


# ---- events -------------------------------------------------------------------------------------------------------


def test_events_follow_the_table_of_who_is_there() -> None:
    async def dialogue(house: House) -> None:
        with house.connect() as connection:
            there = await asyncio.to_thread(control.ask, connection, ShowEvents(), 10.0)
            assert isinstance(there, UserTable)
            assert [user.username for user in there.users] == ["alice", "bob"]
            ended = SessionEvent(there.users[0], "idle timeout", 7.0)
            house.events.publish(ended)
            assert control.parse_reply(await asyncio.to_thread(control.read_frame, connection)) == ended
            left = asyncio.create_task(until(lambda: not house.events.listening))
            connection.shutdown(socket.SHUT_WR)
            await left

    play(dialogue)


def test_who_is_banned_and_who_has_points() -> None:
    async def dialogue(house: House) -> None:
        worst = BanEntry("192.0.2.9", 90, 300.0)
        assert await house.ask(ShowBans()) == BanTable((worst,))
        assert await house.ask(ShowBans(points=True)) == BanTable((worst, BanEntry("192.0.2.8", 1, 300.0)))

    play(dialogue)


@pytest.mark.parametrize(("ip", "ok"), [("192.0.2.9", True), ("192.0.2.7", False), ("example", False)])
def test_an_address_is_forgiven(ip: str, ok: bool) -> None:
    async def dialogue(house: House) -> None:
        answer = await house.ask(Unban(ip))
        assert isinstance(answer, Done)
        assert answer.ok is ok

    play(dialogue)
