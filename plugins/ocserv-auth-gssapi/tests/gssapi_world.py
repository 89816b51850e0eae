"""A key server for the tests of this plugin, with alice and the VPN server in it, and tokens of hers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.kdc import Kdc, missing

PASSWORD = "alices-password"

needs_kdc = pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")


class World:
    """It runs; `keytab` has the server's keys."""

    def __init__(self, folder: Path) -> None:
        self.kdc = Kdc(folder)
        self.kdc.add("alice", PASSWORD)
        self.kdc.start()
        self.keytab = self.kdc.keytab()
        self._cache = self.kdc.ticket("alice", PASSWORD)

    def token(self, end_point: bytes = b"") -> str:
        """A fresh one of alice's, as a back end gets it."""
        return base64.b64encode(self.kdc.token(self._cache, end_point=end_point)).decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all tests of a module."""
    world = World(tmp_path_factory.mktemp("kdc"))
    yield world
    world.kdc.stop()


@pytest.fixture
def world(made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, for the library in this process: it has a replay cache of the test's own."""
    monkeypatch.setenv("KRB5_CONFIG", made.kdc.config)
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    return made
