"""The table of sessions on disk, and what becomes of it on a bad one."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocserv_core.secmod import store as store_module
from ocserv_core.secmod.store import SCHEMA_VERSION, Change, MemoryStore, SqliteStore, open_store


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sessions.sqlite")


def write(path: str, *changes: Change) -> None:
    """A process that makes these changes and ends."""
    store = SqliteStore(path)
    for change in changes:
        store.apply(change)
    store.close()


def rows(path: str) -> list[bytes]:
    """What the next process finds."""
    store = SqliteStore(path)
    store.close()
    return [data for _, data in store.load()]


class Again(logging.Handler):
    """Hears that a store can be written again."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "again, nothing is lost" in record.getMessage():
            self.told.set()


@pytest.fixture
def again() -> Iterator[threading.Event]:
    handler = Again()
    logger = logging.getLogger("ocserv_core.secmod.store")
    logger.addHandler(handler)
    yield handler.told
    logger.removeHandler(handler)


def put(store: SqliteStore, *changes: Change) -> None:
    """Until the writer has done what it can for them."""
    for change in changes:
        done = threading.Event()
        store.apply(Change(change.sid, change.data, done.set))
        assert done.wait(10)


@contextlib.contextmanager
def locked(path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody else writes, for longer than the store waits."""
    monkeypatch.setattr(store_module, "BUSY_TIMEOUT", 0.01)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_what_was_written_is_found_by_the_next_process(path: str) -> None:
    write(path, Change("a", b"1"), Change("b", b"2"))
    assert sorted(rows(path)) == [b"1", b"2"]


def test_a_session_is_written_over(path: str) -> None:
    write(path, Change("a", b"1"), Change("a", b"2"))
    assert rows(path) == [b"2"]


def test_a_session_is_deleted(path: str) -> None:
    write(path, Change("a", b"1"), Change("b", b"2"), Change("a", None))
    assert rows(path) == [b"2"]


def test_rows_are_handed_over_once(path: str) -> None:
    write(path, Change("a", b"1"))
    store = SqliteStore(path)
    store.close()
    assert (store.load(), store.load()) == ([("a", b"1")], [])


def test_whoever_waits_is_told_when_it_is_written(path: str) -> None:
    written = threading.Event()
    store = SqliteStore(path)
    store.apply(Change("a", b"1", written.set))
    assert written.wait(10)
    assert sqlite3.connect(path).execute("SELECT data FROM sessions").fetchall() == [(b"1",)]
    store.close()


def test_only_the_server_can_read_it(path: str) -> None:
    before = os.umask(0o077)
    try:
        write(path, Change("a", b"1"))
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_file_that_is_no_database_is_put_aside(path: str, caplog: pytest.LogCaptureFixture) -> None:
    Path(path).write_bytes(b"no database" * 1000)
    write(path, Change("a", b"1"))
    assert rows(path) == [b"1"]
    assert Path(f"{path}.corrupt").read_bytes() == b"no database" * 1000
    assert len(caplog.records) == 1


def test_a_database_cut_in_half_is_put_aside(path: str) -> None:
    write(path, *(Change(str(number), bytes(500)) for number in range(200)))
    os.truncate(path, os.stat(path).st_size // 2)
    write(path, Change("a", b"1"))
    assert rows(path) == [b"1"]


def test_a_schema_of_another_version_is_put_aside_and_told(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    write(path, Change("a", b"1"))
    assert rows(path) == [b"1"]
    assert f"another version of the server (schema {SCHEMA_VERSION + 1})" in caplog.text


def test_a_folder_that_is_not_there_leaves_it_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written = threading.Event()
    store = SqliteStore(str(tmp_path / "missing" / "sessions.sqlite"))
    store.apply(Change("a", b"1", written.set))
    store.apply(Change("b", b"2"))
    store.close()
    assert written.is_set()
    assert len(caplog.records) == 1
    assert "cookies will not outlive this process" in caplog.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    made = subprocess.run(command, capture_output=True, timeout=10)
    if made.returncode:
        pytest.skip(f"needs a tmpfs ({made.stderr.decode().strip()})")
    yield mount
    subprocess.run(["umount", str(mount)], check=True, timeout=10)


def test_a_full_disk_is_told_once_and_the_server_goes_on(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = SqliteStore(str(small_disk / "sessions.sqlite"))
    told = []
    for number in range(100):
        done = threading.Event()
        store.apply(Change(str(number), bytes(4000), done.set))
        told.append(done.wait(10))
    store.close()
    assert all(told)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_disk_that_has_room_again_gets_all_that_it_missed(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, filler = str(small_disk / "sessions.sqlite"), small_disk / "filler"
    write(path, Change("a", b"1"))
    store = SqliteStore(path, retry_after=0.0)
    with contextlib.suppress(OSError):
        filler.write_bytes(bytes(65536))
    put(store, Change("b", b"2"), Change("a", None))
    filler.unlink()
    put(store, Change("c", b"3"))
    store.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert rows(path) == [b"2", b"3"]


def test_what_was_revoked_while_the_store_was_locked_does_not_come_back(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, Change("a", b"1"), Change("b", b"2"))
    with locked(path, monkeypatch):
        store = SqliteStore(path)
        put(store, Change("a", None), Change("b", b"3"), Change("b", b"4"))
    store.close()
    assert rows(path) == [b"4"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_locked_store_is_tried_again_by_itself(
    path: str, monkeypatch: pytest.MonkeyPatch, again: threading.Event
) -> None:
    write(path, Change("a", b"1"))
    store = SqliteStore(path, retry_after=0.01)
    with locked(path, monkeypatch):
        put(store, Change("b", b"2"))
    assert again.wait(10)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
    store.close()


def test_while_it_is_broken_nobody_waits_for_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def fail(_database: object, _changes: object) -> None:
        tries.append(1)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store_module, "_write", fail)
    store = SqliteStore(path)
    put(store, *(Change(str(number), b"") for number in range(10)))
    assert len(tries) == 1
    store.close()
    assert len(tries) == 2


def test_a_store_that_breaks_twice_is_told_twice(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(path)
    store = SqliteStore(path, retry_after=0.0)
    for _ in range(2):
        with locked(path, monkeypatch):
            put(store, Change("a", b"1"))
        put(store, Change("a", b"2"))
    store.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"] * 2


def test_a_read_only_disk_is_told_once_and_the_server_goes_on(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=10)
    write(str(small_disk / "sessions.sqlite"), Change("a", b"1"), Change("b", b"2"))
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_store_in_memory_forgets() -> None:
    done = threading.Event()
    store = MemoryStore()
    store.apply(Change("a", b"1", done.set))
    store.close()
    assert (store.load(), done.is_set()) == ([], True)


@pytest.mark.parametrize(("name", "kind"), [("memory", MemoryStore), ("sqlite", SqliteStore)])
def test_a_store_is_opened_by_its_name(tmp_path: Path, name: str, kind: type) -> None:
    store = open_store(name, str(tmp_path))
    store.close()
    assert type(store) is kind
