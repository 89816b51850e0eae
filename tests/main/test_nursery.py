"""Nurseries as main keeps them: real processes that fork real workers, for clients that say nothing."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocserv_core.config.worker import WorkerConfig, build_worker_config
from ocserv_core.errors import ConfigErrors, PeerViolation, SystemFailure
from ocserv_core.ipc.messages import Message, NurseryReady, NurseryRefused, Spawn, Spawned
from ocserv_core.main import nursery as nursery_module
from ocserv_core.main.configuration import read_contents
from ocserv_core.main.nursery import Nurseries, check_worker_config
from ocserv_core.model import Endpoint
from ocserv_core.system.memfd import shared_page
from tests.ipc.pairs import open_descriptors, settled_descriptors
from tests.loop import on_loop
from tests.secmod.test_prepare import configuration

pytestmark = pytest.mark.needs_root

NOBODY = ["65534", "65534"]


class House:
    """A main that has nothing but nurseries, and hears of their workers."""

    def __init__(self, empty_root: str) -> None:
        self.nurseries = Nurseries([*NOBODY, empty_root], {})
        self.nurseries.events = self
        self.pids: dict[int, int] = {}
        self.ended: list[tuple[int, int]] = []
        self.orphaned: list[int] = []
        self.clients: list[socket.socket] = []

    def on_spawned(self, generation: int, worker: int, pid: int, pidfd: int) -> None:
        os.close(pidfd)
        self.pids[worker] = pid

    def on_spawn_failed(self, worker: int, error: str) -> None:
        raise AssertionError(error)

    def on_exited(self, generation: int, pid: int, status: int) -> None:
        self.ended.append((pid, status))

    def on_orphans(self, generation: int) -> None:
        self.orphaned.append(generation)

    async def start(self, config: WorkerConfig) -> None:
        self.nurseries.commit(await self.nurseries.prepare(config))

    async def connect(self, number: int) -> int:
        """A client, and the pid of the worker that is forked for it."""
        self.ask(number)
        await until_soon(lambda: number in self.pids)
        return self.pids[number]

    def ask(self, number: int) -> None:
        """A client, and the question for its worker."""
        client, connection = socket.socketpair()
        main, worker_main = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        secmod, worker_secmod = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        page = shared_page()
        message = Spawn(number, Endpoint("192.0.2.7", 40000), Endpoint("192.0.2.1", 443))
        given = [connection, worker_main, worker_secmod]
        self.nurseries.spawn(message, [*(sock.fileno() for sock in given), page])
        for sock in given:
            sock.close()
        os.close(page)
        self.clients += [client, main, secmod]

    def leave(self) -> None:
        """Every client goes away."""
        for sock in self.clients:
            sock.close()
        self.clients.clear()


async def until_soon(condition: Callable[[], object]) -> None:
    """As `until`, for what another process does: the processor is left to it."""
    while not condition():  # noqa: ASYNC110 (what holds is nobody's event)
        await asyncio.sleep(0.005)


def children_of(pid: int) -> set[int]:
    """Those that run, or wait to be reaped."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def status_of(pid: int) -> str:
    """What the kernel tells of a process."""
    return Path(f"/proc/{pid}/status").read_text()


def worker_config(folder: Path, generation: int = 1) -> WorkerConfig:
    config = configuration(folder)
    return build_worker_config(config, generation, read_contents(config), {})


def play(folder: Path, dialogue: Callable[[House, WorkerConfig], Coroutine[Any, Any, None]]) -> None:
    empty = folder / "empty"
    empty.mkdir()

    async def life() -> None:
        house = House(str(empty))
        config = worker_config(folder)
        await house.start(config)
        try:
            await dialogue(house, config)
        finally:
            house.leave()
            await house.nurseries.stop(5.0)

    on_loop(life())


def test_a_worker_is_forked_and_its_end_is_told(tmp_path: Path) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        pid = await house.connect(1)
        house.leave()
        await until_soon(lambda: house.ended)
        assert house.ended == [(pid, 0)]

    play(tmp_path, dialogue)


def test_a_killed_worker_is_told_with_its_signal(tmp_path: Path) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        pid = await house.connect(1)
        os.kill(pid, signal.SIGKILL)
        await until_soon(lambda: house.ended)
        assert house.ended == [(pid, -9)]

    play(tmp_path, dialogue)


def test_neither_nursery_nor_worker_is_root(tmp_path: Path) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        pids = [await house.connect(1), *house.nurseries.pids]
        for pid in pids:
            status = status_of(pid)
            assert "Uid:\t65534\t65534\t65534\t65534" in status
            assert "NoNewPrivs:\t1" in status

    play(tmp_path, dialogue)


def test_a_nursery_that_dies_is_replaced_and_its_workers_go_on(tmp_path: Path) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        orphan = await house.connect(1)
        (before,) = house.nurseries.pids
        os.kill(before, signal.SIGKILL)
        await until_soon(lambda: house.nurseries.pids not in ([before], []))
        assert house.orphaned == [1]
        os.kill(orphan, 0)
        assert await house.connect(2) != orphan

    play(tmp_path, dialogue)


def test_a_nursery_whose_worker_crashed_is_replaced_and_its_other_workers_go_on(tmp_path: Path) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        other = await house.connect(1)
        (before,) = house.nurseries.pids
        house.nurseries.on_crash(1)
        house.nurseries.on_crash(1)
        await until_soon(lambda: house.nurseries.pids not in ([before], []))
        assert house.orphaned == [1]
        os.kill(other, 0)
        (after,) = house.nurseries.pids
        assert f"PPid:\t{after}\n" in status_of(await house.connect(2))

    play(tmp_path, dialogue)


def test_a_crash_of_an_earlier_nursery_s_worker_replaces_nothing(tmp_path: Path) -> None:
    async def dialogue(house: House, config: WorkerConfig) -> None:
        await house.connect(1)
        await house.start(msgspec.structs.replace(config, generation=2))
        before = house.nurseries.pids
        house.nurseries.on_crash(1)
        assert await house.connect(2)
        assert house.nurseries.pids == before

    play(tmp_path, dialogue)


def test_a_nursery_that_does_not_answer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        (before,) = house.nurseries.pids
        await house.connect(1)
        os.kill(before, signal.SIGSTOP)
        monkeypatch.setattr(nursery_module, "ANSWER_TIMEOUT", 0.05)
        house.ask(2)
        await until_soon(lambda: house.nurseries.pids not in ([before], []))
        assert house.orphaned == [1]
        monkeypatch.undo()
        assert await house.connect(3)

    play(tmp_path, dialogue)


def test_a_nursery_that_answers_late_but_has_answered_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        (before,) = house.nurseries.pids
        monkeypatch.setattr(nursery_module, "ANSWER_TIMEOUT", 0.0)
        house.ask(1)
        # main is held up; meanwhile the answer comes.
        (nursery,) = house.nurseries._all.values()
        select.select([nursery.channel._sock], [], [], 20)
        await until_soon(lambda: 1 in house.pids)
        assert house.nurseries.pids == [before]

    play(tmp_path, dialogue)


def test_what_hinders_a_replacement_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [OSError(24, "Too many open files"), SystemFailure("fork")]

    def fail(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return start(*arguments)

    async def dialogue(house: House, _config: WorkerConfig) -> None:
        (before,) = house.nurseries.pids
        monkeypatch.setattr(nursery_module, "_start", fail)
        monkeypatch.setattr(nursery_module, "RESTART_DELAY", 0.0)
        os.kill(before, signal.SIGKILL)
        await until_soon(lambda: house.nurseries.pids not in ([before], []))
        assert failures == []

    start = nursery_module._start
    play(tmp_path, dialogue)


def test_a_nursery_that_is_just_being_started_ends_with_the_others(tmp_path: Path) -> None:
    started: list[int] = []

    async def dialogue(house: House, _config: WorkerConfig) -> None:
        (before,) = house.nurseries.pids
        os.kill(before, signal.SIGKILL)
        await until_soon(lambda: children_of(os.getpid()) - {before})
        started.extend(children_of(os.getpid()) - {before})
        await house.nurseries.stop(5.0)

    play(tmp_path, dialogue)
    assert not children_of(os.getpid()) & set(started)


def test_a_nursery_that_names_a_stranger_is_replaced(tmp_path: Path) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        (nursery,) = house.nurseries._all.values()
        before = settled_descriptors()
        with pytest.raises(PeerViolation):
            nursery._on_message(Spawned(1, os.getpid()), [os.pidfd_open(os.getpid())])
        assert (house.pids, open_descriptors()) == ({}, before)

    play(tmp_path, dialogue)


@pytest.mark.parametrize("message", [NurseryReady(1), NurseryRefused(1, ())])
def test_a_nursery_that_is_ready_does_not_say_so_again(tmp_path: Path, message: Message) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        (nursery,) = house.nurseries._all.values()
        with pytest.raises(PeerViolation):
            nursery._on_message(message, [])

    play(tmp_path, dialogue)


def test_an_old_nursery_without_workers_ends_with_the_next_one(tmp_path: Path) -> None:
    async def dialogue(house: House, config: WorkerConfig) -> None:
        await house.start(msgspec.structs.replace(config, generation=2))
        await until_soon(lambda: len(house.nurseries.pids) == 1)
        assert house.nurseries.generation == 2

    play(tmp_path, dialogue)


def test_an_old_nursery_with_a_worker_stays_and_new_clients_go_to_the_new_one(tmp_path: Path) -> None:
    async def dialogue(house: House, config: WorkerConfig) -> None:
        await house.connect(1)
        await house.start(msgspec.structs.replace(config, generation=2))
        old, new = house.nurseries.pids
        pid = await house.connect(2)
        assert f"PPid:\t{new}\n" in status_of(pid)
        assert f"PPid:\t{old}\n" in status_of(house.pids[1])

    play(tmp_path, dialogue)


def test_a_reload_that_is_quicker_than_a_replacement_wins(tmp_path: Path) -> None:
    async def dialogue(house: House, config: WorkerConfig) -> None:
        (before,) = house.nurseries.pids
        reloaded = await house.nurseries.prepare(msgspec.structs.replace(config, generation=2))
        os.kill(before, signal.SIGKILL)
        await until_soon(lambda: not house.nurseries.generation)
        house.nurseries.commit(reloaded)
        replacing = house.nurseries._restarting
        assert replacing is not None
        await replacing
        assert house.nurseries.generation == 2

    play(tmp_path, dialogue)


def test_a_certificate_that_gnutls_refuses_is_told_and_nothing_has_changed(tmp_path: Path) -> None:
    async def dialogue(house: House, config: WorkerConfig) -> None:
        vhost = config.vhosts[0]
        broken = msgspec.structs.replace(vhost.certificates[0], chain_pem=b"nonsense")
        wrong = msgspec.structs.replace(vhost, certificates=(broken,))
        with pytest.raises(ConfigErrors):
            await house.nurseries.prepare(msgspec.structs.replace(config, generation=2, vhosts=(wrong,)))
        assert house.nurseries.generation == 1
        assert await house.connect(1)

    play(tmp_path, dialogue)


def test_a_configuration_can_be_checked_without_a_privilege(tmp_path: Path) -> None:
    on_loop(check_worker_config(worker_config(tmp_path)))


def test_a_nursery_ends_with_its_channel(tmp_path: Path) -> None:
    async def dialogue(house: House, _config: WorkerConfig) -> None:
        (pid,) = house.nurseries.pids
        await house.nurseries.stop(10.0)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    play(tmp_path, dialogue)
