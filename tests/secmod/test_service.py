"""secmod over real socket pairs, with a main that is only these tests."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from ocserv_core.config.tree import ServerConfig
from ocserv_core.errors import PeerLost, PeerViolation
from ocserv_core.ipc.async_channel import AsyncChannel
from ocserv_core.ipc.messages import (
    AuthCont,
    AuthDenied,
    AuthGranted,
    AuthInit,
    AuthPrompt,
    BanPoints,
    CliStats,
    Commit,
    ConfigRefused,
    Configure,
    Configured,
    Discard,
    DisconnectSession,
    DisconnectWorker,
    FinalStats,
    FromSecmodToMain,
    FromSecmodToWorker,
    ListPlugins,
    ListSessions,
    LogOut,
    Message,
    OpenSessions,
    PluginList,
    ProfileReply,
    ProfileRequest,
    Revoke,
    SecmodStats,
    SessionClose,
    SessionLeased,
    SessionList,
    SessionOpen,
    SessionReply,
    Sign,
    SignReply,
    WorkerAttach,
)
from ocserv_core.model import (
    AddressPair,
    ClientInfo,
    Cookie,
    DisconnectReason,
    Endpoint,
    Lease,
    Offence,
    SessionId,
    Traffic,
)
from ocserv_core.secmod import prepare as prepare_module
from ocserv_core.secmod.service import Service
from ocserv_core.secmod.sessions import Sessions
from ocserv_core.system.crypt import hash_password
from ocserv_core.system.memfd import sealed_memfd
from tests.ipc.pairs import open_descriptors, settled_descriptors
from tests.loop import on_loop, turn, until

from .test_prepare import configuration

M = TypeVar("M", bound=Message)
LEASE = Lease(AddressPair("192.0.2.1", "192.0.2.77", 24))


class Ear:
    """An end of a channel, and what came of it."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        self.heard: list[Message] = []
        self.ends: list[PeerLost | PeerViolation] = []
        self.channel = AsyncChannel[Any](
            sock, incoming, trusted=True, on_message=self._on_message, on_end=self.ends.append
        )

    def _on_message(self, message: Message, _fds: list[int]) -> None:
        self.heard.append(message)

    async def hear(self, kind: type[M]) -> M:
        """The next message of a kind; others are left for who wants them."""
        await until(lambda: self.ends or any(isinstance(message, kind) for message in self.heard))
        found = next(message for message in self.heard if isinstance(message, kind))
        self.heard.remove(found)
        return found


class House:
    """secmod, and a main that asks it."""

    def __init__(self, config: ServerConfig) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.config = config
        self.main = Ear(ours, FromSecmodToMain)
        self.service = Service(theirs)
        self.running = asyncio.create_task(self.service.run())
        self.workers = 0
        self.ears: dict[int, Ear] = {}

    async def configure(self, generation: int = 1, config: ServerConfig | None = None) -> None:
        fd = sealed_memfd("test", msgspec.msgpack.encode(config or self.config))
        self.main.channel.send(Configure(generation), [fd])
        os.close(fd)
        await until(lambda: any(isinstance(said, Configured | ConfigRefused) for said in self.main.heard))

    async def start(self, *sids: Any) -> None:
        await self.configure()
        await self.main.hear(Configured)
        self.main.channel.send(Commit(1))
        self.main.channel.send(OpenSessions(tuple(sids), last=True))

    def attach(self, *, sid: Any = None, ip: str = "192.0.2.7", number: int = 0) -> Ear:
        """A new worker's end."""
        self.workers = number or self.workers + 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            remote, local = Endpoint(ip, 40000), Endpoint("192.0.2.1", 443)
            self.main.channel.send(WorkerAttach(self.workers, remote, local, sid), [theirs.fileno()])
        self.ears[self.workers] = Ear(ours, FromSecmodToWorker)
        return self.ears[self.workers]

    async def log_in(self, worker: Ear, password: str = "right") -> AuthGranted:
        worker.channel.send(AuthInit("default", "alice", "", ClientInfo()))
        prompt = await worker.hear(AuthPrompt)
        worker.channel.send(AuthCont(prompt.handle, password))
        return await worker.hear(AuthGranted)

    async def open(self, cookie: Cookie, worker: int = 1, request: int = 1, *, vhost: str = "default") -> SessionReply:
        """By a worker that is attached first if need be."""
        if worker not in self.ears:
            self.attach(number=worker)
        self.main.channel.send(SessionOpen(request, worker, vhost, cookie, "192.0.2.7", ClientInfo()))
        return await self.main.hear(SessionReply)

    async def close(
        self, sid: Any, reason: DisconnectReason = DisconnectReason.UNSPECIFIED, *, worker: int = 1, request: int = 2
    ) -> FinalStats:
        self.main.channel.send(SessionClose(request, worker, sid, Traffic(10, 20, 1, 2), reason))
        return await self.main.hear(FinalStats)

    async def end(self) -> None:
        self.main.channel.close()
        await self.running


Dialogue = Callable[[House], Coroutine[Any, Any, None]]


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    made = configuration(tmp_path, f"cookie-timeout = 300\nstate-dir = {tmp_path}/state\n")
    (tmp_path / "ocpasswd").write_text(f"alice:staff:{hash_password(b'right', '$5$saltsaltsaltsalt')}\n")
    (tmp_path / "state").mkdir()
    return made


def play(config: ServerConfig, dialogue: Dialogue, *, started: bool = True) -> None:
    """One life of secmod; afterwards no descriptor is left of it but its workers' ends here."""

    async def life() -> None:
        house = House(config)
        if started:
            await house.start()
        await dialogue(house)
        await house.end()

    on_loop(life())


def test_a_configuration_is_prepared_and_nothing_more(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        await house.configure(7)
        assert (await house.main.hear(Configured)).generation == 7
        house.main.channel.send(Discard(7))
        await turn()
        assert house.main.ends == []

    play(config, dialogue, started=False)


def test_a_configuration_that_cannot_be_is_refused_with_its_lines(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        os.unlink(config.default.options.server_keys[0])
        await house.configure(7)
        refused = await house.main.hear(ConfigRefused)
        assert [(fault.file, fault.line) for fault in refused.faults] == [("o.conf", 5)]

    play(config, dialogue, started=False)


def test_a_refused_configuration_leaves_the_old_one_in_force(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        os.unlink(config.default.options.server_keys[0])
        await house.configure(2)
        await house.main.hear(ConfigRefused)
        assert await house.log_in(house.attach())

    play(config, dialogue)


def test_signs_go_on_while_a_configuration_is_prepared(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        fd = sealed_memfd("test", msgspec.msgpack.encode(config))
        house.main.channel.send(Configure(2), [fd])
        os.close(fd)
        worker.channel.send(Sign("default", 0, "ECDSA-SHA256", hashlib.sha256(b"").digest()))
        assert (await worker.hear(SignReply)).signature
        await house.main.hear(Configured)

    play(config, dialogue)


def test_from_the_first_question_to_the_cookie_s_end(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        reply = await house.open(granted.cookie)
        assert (reply.refused, reply.sid, reply.login_ip) == ("", granted.sid, "192.0.2.7")
        worker.channel.send(CliStats(granted.sid, Traffic(), DisconnectReason.USER))
        final = await house.close(granted.sid)
        assert (final.reason, final.traffic, final.cookie_lives) == (
            DisconnectReason.USER,
            Traffic(10, 20, 1, 2),
            False,
        )
        assert (await house.open(granted.cookie, worker=2)).status == 401

    play(config, dialogue)


def test_a_worker_s_last_word_is_heard_before_its_session_is_closed(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        await house.open(granted.cookie)
        # Both lie in their sockets before secmod's loop turns; main's is read first.
        house.main.channel.send(SessionClose(2, 1, granted.sid, Traffic(), DisconnectReason.UNSPECIFIED))
        worker.channel.send(CliStats(granted.sid, Traffic(), DisconnectReason.IDLE_TIMEOUT))
        worker.channel.close()
        assert (await house.main.hear(FinalStats)).reason is DisconnectReason.IDLE_TIMEOUT

    play(config, dialogue)


def test_main_s_reason_goes_before_the_worker_s_word(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        await house.open(granted.cookie)
        worker.channel.send(CliStats(granted.sid, Traffic(), DisconnectReason.ERROR))
        final = await house.close(granted.sid, DisconnectReason.SERVER)
        assert (final.reason, final.cookie_lives) == (DisconnectReason.SERVER, False)

    play(config, dialogue)


def test_a_question_that_is_repeated_is_answered_the_same(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        granted = await house.log_in(house.attach())
        assert await house.open(granted.cookie) == await house.open(granted.cookie)
        first = await house.close(granted.sid, DisconnectReason.TEMPORARY)
        assert first == await house.close(granted.sid, DisconnectReason.TEMPORARY)

    play(config, dialogue)


def test_figures_come_with_each_login(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        await house.log_in(worker)
        stats = await house.main.hear(SecmodStats)
        assert (stats.sessions, stats.auth_successes, stats.auth_failures) == (1, 1, 0)
        assert 0 < stats.auth_seconds_max == stats.auth_seconds_total

    play(config, dialogue)


def test_a_failed_login_is_counted(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        worker.channel.send(AuthInit("default", "alice", "", ClientInfo()))
        for _ in range(3):
            prompt = await worker.hear(AuthPrompt)
            worker.channel.send(AuthCont(prompt.handle, "wrong"))
        await worker.hear(AuthDenied)
        assert (await house.main.hear(SecmodStats)).auth_failures == 1

    play(config, dialogue)


def test_a_cookie_survives_a_restart(config: ServerConfig) -> None:
    granted: list[AuthGranted] = []

    async def first(house: House) -> None:
        granted.append(await house.log_in(house.attach()))

    async def second(house: House) -> None:
        assert (await house.open(granted[0].cookie)).sid == granted[0].sid

    play(config, first)
    play(config, second)


def test_addresses_survive_a_restart(config: ServerConfig) -> None:
    granted: list[AuthGranted] = []

    async def first(house: House) -> None:
        granted.append(await house.log_in(house.attach()))
        await house.open(granted[0].cookie)
        house.main.channel.send(SessionLeased(granted[0].sid, LEASE))
        await house.close(granted[0].sid, DisconnectReason.TEMPORARY)

    async def second(house: House) -> None:
        assert (await house.open(granted[0].cookie)).lease == LEASE

    play(config, first)
    play(config, second)


def test_a_tunnel_goes_on_over_a_restart_of_secmod(config: ServerConfig) -> None:
    granted: list[AuthGranted] = []

    async def first(house: House) -> None:
        granted.append(await house.log_in(house.attach()))
        await house.open(granted[0].cookie)

    async def second() -> None:
        house = House(config)
        await house.start(granted[0].sid)
        worker = house.attach(sid=granted[0].sid)
        worker.channel.send(CliStats(granted[0].sid, Traffic(), DisconnectReason.USER))
        assert (await house.close(granted[0].sid)).reason is DisconnectReason.USER
        await house.end()

    play(config, first)
    on_loop(second())


def test_a_tunnel_that_ended_unseen_is_closed_and_its_cookie_lives(config: ServerConfig) -> None:
    granted: list[AuthGranted] = []

    async def first(house: House) -> None:
        granted.append(await house.log_in(house.attach()))
        await house.open(granted[0].cookie)

    async def second(house: House) -> None:
        house.main.channel.send(ListSessions(1))
        (row,) = (await house.main.hear(SessionList)).rows
        assert (row.in_use, row.opened) == (0, True)
        assert not (await house.open(granted[0].cookie)).refused

    play(config, first)
    play(config, second)


def test_a_session_that_is_revoked_opens_nothing(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        granted = await house.log_in(house.attach())
        house.main.channel.send(Revoke(granted.sid))
        assert (await house.open(granted.cookie)).refused

    play(config, dialogue)


def test_a_logout_before_a_tunnel_ends_the_session_soon(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        worker.channel.send(LogOut(granted.cookie))
        worker.channel.send(ProfileRequest(granted.cookie))
        assert (await worker.hear(ProfileReply)).granted
        house.main.channel.send(ListSessions(1))
        (row,) = (await house.main.hear(SessionList)).rows
        assert row.expires - row.created < 20
        assert not any(isinstance(message, DisconnectSession) for message in house.main.heard)

    play(config, dialogue)


def test_a_logout_ends_the_tunnel_as_a_bye_would(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        await house.open(granted.cookie)
        house.attach().channel.send(LogOut(granted.cookie))
        ordered = await house.main.hear(DisconnectSession)
        assert (ordered.sid, ordered.reason) == (granted.sid, DisconnectReason.USER)
        assert not (await house.close(granted.sid, ordered.reason)).cookie_lives

    play(config, dialogue)


def test_a_logout_with_a_cookie_that_nobody_has_does_nothing(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        worker.channel.send(LogOut(Cookie("x" * 43)))
        worker.channel.send(ProfileRequest(Cookie("x" * 43)))
        assert not (await worker.hear(ProfileReply)).granted

    play(config, dialogue)


def test_the_back_ends_are_listed_with_what_became_of_their_logins(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        await house.log_in(house.attach())
        house.main.channel.send(ListPlugins(3))
        listed = await house.main.hear(PluginList)
        (plain,) = listed.plugins
        assert (listed.request, plain.name, plain.vhost, plain.process) == (3, "plain", "default", "secmod")
        assert (plain.distribution, plain.api, plain.breaker) == ("ocserv-core", "1.0", "closed")
        did = plain.counters
        assert (did.granted, did.denied, plain.working, did.stretches) == (1, 0, 0, 2)
        assert 0.0 < did.busiest <= did.busy

    play(config, dialogue)


def test_many_sessions_are_listed_in_parts(config: ServerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocserv_core.secmod.service.LIST_PART", 2)

    async def dialogue(house: House) -> None:
        for _ in range(3):
            await house.log_in(house.attach())
        house.main.channel.send(ListSessions(9))
        first, second = await house.main.hear(SessionList), await house.main.hear(SessionList)
        assert [(len(part.rows), part.last, part.request) for part in (first, second)] == [(2, False, 9), (1, True, 9)]

    play(config, dialogue)


def test_a_row_that_cannot_be_read_is_told_and_deleted(config: ServerConfig, caplog: pytest.LogCaptureFixture) -> None:
    async def first(house: House) -> None:
        await house.log_in(house.attach())

    async def second(house: House) -> None:
        house.main.channel.send(ListSessions(1))
        assert len((await house.main.hear(SessionList)).rows) == 1

    play(config, first)
    path = f"{config.server.state_dir}/sessions.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO sessions VALUES ('x', ?)", (b"nonsense",))
    play(config, second)
    play(config, second)
    assert caplog.text.count("cannot be read") == 1


def test_no_cookie_is_on_the_disk(config: ServerConfig) -> None:
    granted: list[AuthGranted] = []

    async def first(house: House) -> None:
        granted.append(await house.log_in(house.attach()))

    play(config, first)
    written = b"".join(path.read_bytes() for path in Path(config.server.state_dir).iterdir())
    assert granted[0].sid.encode() in written
    assert granted[0].cookie.encode() not in written


# ---- whatever happens


def test_a_worker_that_breaks_its_permits_is_cut_off_alone(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        good, bad = house.attach(), house.attach()
        bad.channel.send(CliStats("another's", Traffic()))  # type: ignore[arg-type]  # a text is a text
        await until(lambda: bad.ends)
        assert await house.log_in(good)
        assert await house.main.hear(DisconnectWorker) == DisconnectWorker(2)

    play(config, dialogue)


def test_a_worker_that_is_cut_off_in_its_tunnel_is_main_s_to_kill(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        await house.open(granted.cookie)
        worker.channel.send(Sign("default", 0, "ECDSA-SHA256", b""))
        assert await house.main.hear(DisconnectWorker) == DisconnectWorker(1)
        assert (await house.close(granted.sid)).sid == granted.sid

    play(config, dialogue)


def test_a_worker_that_ends_is_nobody_to_kill(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        house.attach().channel.close()
        house.main.channel.send(ListSessions(1))
        await house.main.hear(SessionList)
        assert not any(isinstance(message, DisconnectWorker) for message in house.main.heard)

    play(config, dialogue)


def test_a_worker_that_claims_another_vhost_than_it_named_is_cut_off(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        assert (await house.open(granted.cookie, vhost="other")).status == 503
        assert await house.main.hear(DisconnectWorker) == DisconnectWorker(1)
        await until(lambda: worker.ends)

    play(config, dialogue)


def test_a_worker_that_left_secmod_opens_nothing(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        worker.channel.close()
        await turn()
        assert (await house.open(granted.cookie)).refused == "the worker is gone"

    play(config, dialogue)


def test_main_s_questions_are_answered_though_secmod_fails(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object) -> None:
        raise KeyError("a bug")

    for name in ("open", "close", "rows"):
        monkeypatch.setattr(Sessions, name, fail)

    async def dialogue(house: House) -> None:
        assert (await house.open(Cookie("c"), request=4)) == SessionReply(4, refused="secmod failed", status=503)
        closed = await house.close("sid", DisconnectReason.USER, request=5)
        assert (closed.request, closed.traffic, closed.cookie_lives) == (5, Traffic(10, 20, 1, 2), True)
        house.main.channel.send(ListSessions(6))
        assert await house.main.hear(SessionList) == SessionList(6, (), last=True)

    play(config, dialogue)
    assert caplog.text.count("could not be answered") == 3


@pytest.mark.parametrize("fault", [KeyError("a bug"), SystemExit(3), StopIteration()])
def test_a_configuration_that_a_bug_hinders_is_refused(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: BaseException
) -> None:
    def fail(*_arguments: object) -> None:
        raise fault

    monkeypatch.setattr(prepare_module, "prepare", fail)

    async def dialogue(house: House) -> None:
        await house.configure(7)
        refused = await house.main.hear(ConfigRefused)
        assert (refused.generation, type(fault).__name__ in refused.faults[0].message) == (7, True)

    play(config, dialogue, started=False)
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("nonsense", [b"", b"\xc1", b"\x93\x01\x02\x03"])
def test_a_configuration_that_cannot_be_read_is_refused(config: ServerConfig, nonsense: bytes) -> None:
    async def dialogue(house: House) -> None:
        fd = sealed_memfd("test", nonsense)
        house.main.channel.send(Configure(7), [fd])
        os.close(fd)
        assert (await house.main.hear(ConfigRefused)).generation == 7

    play(config, dialogue, started=False)


@pytest.mark.parametrize(
    "message",
    [
        Commit(7),
        ListPlugins(1),
        ListSessions(1),
        Revoke(SessionId("s")),
        OpenSessions((), last=True),
        SessionOpen(1, 1, "default", Cookie("c"), "192.0.2.7", ClientInfo()),
    ],
)
def test_before_its_configuration_secmod_serves_nobody(config: ServerConfig, message: Message) -> None:
    async def dialogue(house: House) -> None:
        house.main.channel.send(message)
        await until(lambda: house.main.ends)

    play(config, dialogue, started=False)


@pytest.mark.parametrize(
    ("message", "fds"),
    [(Configure(1), 0), (Commit(1), 1), (Revoke("x"), 1)],  # type: ignore[arg-type]  # likewise
)
def test_descriptors_where_none_belong_end_secmod(config: ServerConfig, message: Message, fds: int) -> None:
    async def dialogue(house: House) -> None:
        house.main.channel.send(message, [0] * fds)
        await until(lambda: house.main.ends)

    play(config, dialogue)


def test_a_whole_life_leaves_no_descriptor_behind(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach()
        granted = await house.log_in(worker)
        await house.open(granted.cookie)
        worker.channel.close()
        await house.close(granted.sid)

    play(config, dialogue)
    before = settled_descriptors()
    play(config, dialogue)
    assert open_descriptors() == before


def test_sessions_are_looked_at_every_sec_mod_db_cleanup_time(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[bool] = []
    monkeypatch.setattr(Sessions, "sweep", lambda _self: swept.append(True))
    server = msgspec.structs.replace(config.server, sec_mod_db_cleanup_time=1)

    async def dialogue(_house: House) -> None:
        await until(lambda: swept)

    play(msgspec.structs.replace(config, server=server), dialogue)


def test_main_hears_of_a_wrong_password_and_of_whose_address(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach(ip="192.0.2.9")
        worker.channel.send(AuthInit("default", "alice", "", ClientInfo()))
        prompt = await worker.hear(AuthPrompt)
        worker.channel.send(AuthCont(prompt.handle, "wrong"))
        assert await house.main.hear(BanPoints) == BanPoints("192.0.2.9", Offence.PASSWORD)

    play(config, dialogue)
