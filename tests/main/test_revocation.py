"""Revocation lists: which have changed, and what is said of those that are too old."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ocserv_core.config.tree import ServerConfig
from ocserv_core.errors import ConfigError, ConfigErrors, OcservError
from ocserv_core.main.revocation import Revocation, Stamp, lists_of, stamps_of, tell_of_old_lists
from tests.loop import on_loop
from tests.secmod.test_prepare import configuration

ASKS = "auth = certificate\ncert-user-oid = 2.5.4.3\n"


class Running:
    """A configuration with one list that counts how often it was renewed."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "crl.pem"
        self.file.write_text("a list")
        self.current: ServerConfig = configuration(folder, f"{ASKS}crl = {self.file}\n")
        self.lists: Mapping[str, Stamp | None] = stamps_of(lists_of(self.current))
        self.crl_until: Mapping[str, float] = {}
        self.renewed = 0
        self.again = asyncio.Event()
        self.refuses: OcservError | None = None

    async def renew(self) -> None:
        self.renewed += 1
        self.again.set()
        if self.refuses:
            raise self.refuses
        self.lists = stamps_of(lists_of(self.current))


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def look(running: Running, times: int = 1) -> None:
    for _ in range(times):
        on_loop(Revocation(running).look())


def test_a_list_that_is_not_in_use_is_not_looked_at(tmp_path: Path) -> None:
    assert lists_of(configuration(tmp_path, f"crl = {tmp_path}/crl.pem\n")) == ()


def test_a_list_that_stays_is_not_read_again(running: Running) -> None:
    look(running)
    assert running.renewed == 0


def test_one_that_is_written_is_read_once(running: Running) -> None:
    running.file.write_text("a longer list")
    look(running, 2)
    assert running.renewed == 1


def test_one_that_is_replaced_by_an_older_file_is_read(running: Running, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("a list")
    os.utime(other, (0, 0))
    other.rename(running.file)
    look(running)
    assert running.renewed == 1


def test_one_that_cannot_be_used_is_told_of_and_tried_again(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    running.file.unlink()
    running.refuses = ConfigErrors([ConfigError("cannot read it", "o.conf", 3)])
    look(running, 2)
    assert running.renewed == 2
    assert "is not used, the one before stays in force" in caplog.text
    assert "o.conf:3: cannot read it" in caplog.text


@pytest.mark.parametrize(("until", "told"), [({}, False), ({"default": 200.0}, False), ({"default": 100.0}, True)])
def test_one_that_is_too_old_is_an_error(
    running: Running, until: dict[str, float], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tell_of_old_lists(running.current, until, now=100.0)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * told
    assert ("its next update was due 1970-01-01 00:01:40 UTC" in caplog.text) is told


def test_it_looks_again_and_again_by_itself(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocserv_core.main.revocation.EVERY", 0.0)

    async def two_looks() -> None:
        looking = asyncio.create_task(Revocation(running).run())
        for text in ("a second list", "the third list"):
            running.again.clear()
            running.file.write_text(text)
            await asyncio.wait_for(running.again.wait(), 10)
        looking.cancel()

    on_loop(two_looks())
    assert running.renewed == 2
