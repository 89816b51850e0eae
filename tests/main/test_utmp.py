"""Sessions are recorded in their order, and a record that fails is told of once."""

from __future__ import annotations

import functools
import logging
from typing import Any

import pytest

from ocserv_core.config.server import ServerOptions
from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import SystemFailure
from ocserv_core.main import utmp as module
from ocserv_core.main.records import TunnelRecord, WorkerRecord
from ocserv_core.main.utmp import Utmp
from ocserv_core.model import Endpoint, Lease, SessionId
from tests.loop import on_loop, until

WORKER = WorkerRecord(1, 1, Endpoint("192.0.2.7", 40000), Endpoint("192.0.2.1", 443), 0.0, pid=4711)
TUNNEL = TunnelRecord(SessionId("s"), "alice", "", Lease(), "vpns0", 1, 0.0, SessionConfig())


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "write_login", lambda *told: found.append(("login", *told[:-1])))
    monkeypatch.setattr(module, "write_logout", lambda *told: found.append(("logout", *told[:-1])))
    return found


def test_who_comes_and_goes_is_written_in_that_order(written: list[tuple[Any, ...]]) -> None:
    async def dialogue() -> None:
        utmp = Utmp(ServerOptions)
        utmp.on_up(WORKER, TUNNEL)
        utmp.on_down(WORKER, TUNNEL)
        await until(lambda: len(written) == 2)
        assert written == [("login", "vpns0", 4711, "alice", "192.0.2.7"), ("logout", "vpns0", 4711)]
        await utmp.close()

    on_loop(dialogue())


def test_who_was_recorded_is_recorded_as_gone_whatever_a_reload_says(written: list[tuple[Any, ...]]) -> None:
    async def dialogue() -> None:
        options = ServerOptions()
        utmp = Utmp(lambda: options)
        utmp.on_up(WORKER, TUNNEL)
        options = ServerOptions(use_utmp=False)
        utmp.on_down(WORKER, TUNNEL)
        await until(lambda: len(written) == 2)
        options = ServerOptions()
        utmp.on_down(WORKER, TUNNEL)
        await utmp.close()
        assert [what for what, *_ in written] == ["login", "logout"]

    on_loop(dialogue())


def test_without_the_option_nothing_is(written: list[tuple[Any, ...]]) -> None:
    async def dialogue() -> None:
        options = ServerOptions(use_utmp=False)
        utmp = Utmp(lambda: options)
        utmp.on_up(WORKER, TUNNEL)
        await utmp.close()
        assert written == []

    on_loop(dialogue())


def test_what_cannot_be_written_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "ocserv_core")

    def fail(*_told: object) -> None:
        raise SystemFailure("utmp: No space left on device")

    monkeypatch.setattr(module, "write_login", fail)

    async def dialogue() -> None:
        utmp = Utmp(ServerOptions)
        for number in (1, 2):
            utmp.on_up(WORKER, TUNNEL)
            await until(functools.partial(_are_told, caplog, number))
        await utmp.close()

    on_loop(dialogue())
    assert [(record.levelname, record.message) for record in _told(caplog)] == [
        ("WARNING", "sessions are not recorded: utmp: No space left on device"),
        ("DEBUG", "sessions are not recorded: utmp: No space left on device"),
    ]


def _are_told(caplog: pytest.LogCaptureFixture, count: int) -> bool:
    return len(_told(caplog)) == count


def _told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Without what asyncio says of itself."""
    return [record for record in caplog.records if record.name.startswith("ocserv_core")]
