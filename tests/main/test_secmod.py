"""secmod as main keeps it: real processes, started, killed, replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from ocserv_core.config.tree import ServerConfig
from ocserv_core.config.worker import WorkerConfig
from ocserv_core.errors import ConfigErrors, PeerLost, PeerViolation, StartError
from ocserv_core.ipc.async_channel import AsyncChannel
from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.messages import (
    AuthCont,
    AuthGranted,
    AuthInit,
    AuthPrompt,
    BanPoints,
    CliStats,
    FromSecmodToMain,
    FromSecmodToWorker,
    Revoke,
    SecmodStats,
    SessionOpen,
    SessionReply,
    WorkerAttach,
)
from ocserv_core.main import keeper
from ocserv_core.main.configuration import Configuration
from ocserv_core.main.keeper import MAX_DEATHS, Keeper
from ocserv_core.main.nursery import Nurseries
from ocserv_core.main.secmod import Secmod
from ocserv_core.model import ClientInfo, Cookie, Endpoint, SessionId, Traffic
from ocserv_core.system.crypt import hash_password
from tests.ipc.pairs import open_descriptors, settled_descriptors, some_descriptor
from tests.loop import on_loop, turn, until
from tests.secmod.test_prepare import configuration


class FakeNursery:
    def __init__(self) -> None:
        self.crl_until: dict[str, float] = {}


class FakeNurseries:
    """Agree to everything."""

    async def prepare(self, _config: WorkerConfig) -> FakeNursery:
        return FakeNursery()

    def commit(self, _nursery: FakeNursery) -> None:
        return None


class House:
    """A main that has nothing but secmod, and who keeps it."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.services = 0
        self.doomed = False
        self.cut_off: list[int] = []
        self.points: list[BanPoints] = []
        self.worker: Channel[FromSecmodToWorker] | None = None
        self.secmod = Secmod(
            {},
            open_sessions=list,
            on_fresh=self._on_fresh,
            on_disconnect=lambda _message: None,
            on_update=lambda _message: None,
            on_cut_off=self.cut_off.append,
            on_points=self.points.append,
            on_death=self._on_death,
        )
        self.configuration = Configuration(self.secmod, cast("Nurseries", FakeNurseries()))
        self.keeper: Keeper = Keeper(self.secmod, self.configuration.renew, self._on_doomed)

    def _on_fresh(self) -> None:
        self.services += 1
        if self.worker is not None:
            self.worker.close()
        self.worker = self.attach(2)

    def _on_death(self, error: PeerLost | PeerViolation) -> None:
        self.keeper.on_death(error)

    def _on_doomed(self) -> None:
        self.doomed = True

    async def start(self) -> None:
        self.secmod.start()
        await self.configuration.apply(self.config)

    async def end(self) -> None:
        self.keeper.stop()
        await self.secmod.stop(5.0)
        if self.worker is not None:
            self.worker.close()

    async def kill(self) -> None:
        """Until main knows of it."""
        os.kill(self.secmod.pid, signal.SIGKILL)
        await until_soon(lambda: not self.secmod.ready)

    async def die(self) -> None:
        """Kill it, and wait for the next one."""
        before = self.services
        os.kill(self.secmod.pid, signal.SIGKILL)
        await until_soon(lambda: self.services > before or self.doomed)

    def attach(self, number: int = 1) -> Channel[FromSecmodToWorker]:
        """A worker's channel."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            message = WorkerAttach(number, Endpoint("192.0.2.7", 1), Endpoint("192.0.2.1", 443))
            self.secmod.attach(message, theirs.fileno())
        return Channel(ours, FromSecmodToWorker, trusted=True)

    async def log_in(self) -> AuthGranted:
        """The whole of a login, in a thread: a worker waits blocking."""
        return await asyncio.to_thread(_log_in, self.attach())

    async def open(self, cookie: str) -> SessionReply:
        """By the worker that every secmod is told of."""
        return await self.secmod.open_session(
            lambda request: SessionOpen(request, 2, "default", Cookie(cookie), "192.0.2.7", ClientInfo())
        )


def _log_in(worker: Channel[FromSecmodToWorker]) -> AuthGranted:
    prompt, _ = worker.ask(AuthInit("default", "alice", "", ClientInfo()), (AuthPrompt,), 20)
    granted, _ = worker.ask(AuthCont(prompt.handle, "right"), (AuthGranted,), 20)
    worker.close()
    return granted


async def until_soon(condition: Callable[[], object]) -> None:
    """As `until`, for what another process does: the processor is left to it."""
    while not condition():  # noqa: ASYNC110 (what holds is nobody's event)
        await asyncio.sleep(0.005)


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    made = configuration(tmp_path, f"cookie-timeout = 300\nstate-dir = {tmp_path}/state\n")
    (tmp_path / "ocpasswd").write_text(f"alice:staff:{hash_password(b'right', '$5$saltsaltsaltsalt')}\n")
    (tmp_path / "state").mkdir()
    return made


def play(config: ServerConfig, dialogue: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """With a secmod that runs, and is ended whatever comes."""

    async def life() -> None:
        house = House(config)
        await house.start()
        try:
            await dialogue(house)
        finally:
            house.keeper.stop()
            await house.end()

    on_loop(life())


def test_a_login_and_its_figures(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        granted = await house.log_in()
        assert (await house.open(granted.cookie)).sid == granted.sid
        await until_soon(lambda: house.secmod.stats != SecmodStats(0, 0, 0, 0.0, 0.0))
        assert house.secmod.stats.auth_successes == 1

    play(config, dialogue)


def test_a_configuration_that_cannot_be_is_told_with_its_line(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        os.unlink(config.default.options.server_keys[0])
        with pytest.raises(ConfigErrors, match=r"^o\.conf:5: cannot read"):
            await house.secmod.configure(2, config)
        assert await house.log_in()

    play(config, dialogue)


def test_after_its_death_there_is_another_and_cookies_live(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        granted = await house.log_in()
        before = house.secmod.pid
        await house.die()
        assert house.secmod.pid != before
        assert not (await house.open(granted.cookie)).refused

    play(config, dialogue)


def test_a_question_that_was_under_way_is_asked_again(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        granted = await house.log_in()
        os.kill(house.secmod.pid, signal.SIGSTOP)
        asking = asyncio.create_task(house.open(granted.cookie))
        await asyncio.sleep(0)
        await house.die()
        assert (await asking).sid == granted.sid

    play(config, dialogue)


def test_a_question_while_there_is_none_waits_for_the_next(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        granted = await house.log_in()
        os.kill(house.secmod.pid, signal.SIGKILL)
        await until_soon(lambda: not house.secmod.ready)
        assert (await house.open(granted.cookie)).sid == granted.sid

    play(config, dialogue)


def test_a_revocation_while_there_is_none_reaches_the_next(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        granted = await house.log_in()
        os.kill(house.secmod.pid, signal.SIGKILL)
        await until_soon(lambda: not house.secmod.ready)
        house.secmod.tell(Revoke(granted.sid))
        assert (await house.open(granted.cookie)).refused

    play(config, dialogue)


def test_a_worker_that_comes_while_there_is_none_finds_its_channel_closed(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        os.kill(house.secmod.pid, signal.SIGKILL)
        await until_soon(lambda: not house.secmod.ready)
        worker = house.attach()
        with pytest.raises(PeerLost):
            worker.receive(1)
        await until_soon(lambda: house.services == 2)

    play(config, dialogue)


def test_a_worker_that_breaks_its_permits_is_named_to_main(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        worker = house.attach(7)
        worker.send(CliStats(SessionId("nobody's"), Traffic()))
        await until_soon(lambda: house.cut_off)
        assert house.cut_off == [7]
        worker.close()

    play(config, dialogue)


def test_too_many_deaths_end_the_server(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        for _ in range(MAX_DEATHS):
            await house.die()
        assert (house.doomed, house.services) == (True, MAX_DEATHS)

    play(config, dialogue)


def test_a_death_during_a_reload_fails_the_reload_and_nothing_else(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        os.kill(house.secmod.pid, signal.SIGSTOP)
        reload = asyncio.create_task(house.configuration.apply(config))
        await turn()
        await house.die()
        with pytest.raises(StartError):
            await reload
        assert await house.log_in()

    play(config, dialogue)


def test_what_was_prepared_dies_with_it(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        await house.secmod.configure(9, config)
        await house.die()
        with pytest.raises(StartError):
            house.secmod.commit(9)

    play(config, dialogue)


def test_what_hinders_its_return_is_told_and_tried_again(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "RETRY_AFTER", 0.01)
    key = config.default.options.server_keys[0]

    async def dialogue(house: House) -> None:
        os.rename(key, f"{key}.away")
        await house.kill()
        await until_soon(lambda: "secmod cannot be restarted" in caplog.text)
        os.rename(f"{key}.away", key)
        await until_soon(lambda: house.services == 2)
        assert await house.log_in()

    play(config, dialogue)


def test_it_ends_with_its_channel(config: ServerConfig) -> None:
    async def dialogue(house: House) -> None:
        pid = house.secmod.pid
        await house.end()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    play(config, dialogue)


def test_descriptors_from_secmod_are_a_violation_and_are_closed(config: ServerConfig) -> None:
    async def dialogue() -> None:
        house = House(config)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends: list[Exception] = []
        channel = AsyncChannel[FromSecmodToMain](
            ours, FromSecmodToMain, trusted=True, on_message=house.secmod._on_message, on_end=ends.append
        )
        before = settled_descriptors()
        Channel[Any](theirs, FromSecmodToMain, trusted=True).send(house.secmod.stats, [some_descriptor()])
        await until(lambda: ends)
        assert (channel.closed, open_descriptors()) == (True, before)
        theirs.close()

    on_loop(dialogue())
