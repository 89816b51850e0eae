"""The table of sessions on disk: a small SQLite database in the state folder, so that cookies outlive secmod and
the server. A thread of its own writes, many changes in one transaction; nothing here delays a Sign.

A row is (sid, MessagePack of the session); cookies are in it as SHA-256 only. When the disk is full, read-only or
the file locked, that is said once and the server goes on in memory; what could not be written is kept, the latest of
each session, and tried again until it can.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
MAX_BATCH = 1024

RETRY_AFTER = 5.0
"""Seconds between two tries of a store that cannot be written."""

BUSY_TIMEOUT = 2.0
"""Seconds that the writer waits for somebody else's lock: as long as a login waits for the writer."""


@dataclass(frozen=True, slots=True)
class Change:
    """Write one session, or delete it where `data` is None. `done` is called in the writer's thread afterwards,
    whether it could be written or not."""

    sid: str
    data: bytes | None
    done: Callable[[], None] = field(default=lambda: None)


Row = tuple[str, bytes]
"""A session's name, and what was written of it."""


class MemoryStore:
    """`session-store = memory`: nothing outlives the process."""

    def load(self) -> list[Row]:
        """Nothing."""
        return []

    def apply(self, change: Change) -> None:
        """Forget it."""
        change.done()

    def close(self) -> None:
        """Nothing to close."""


class SqliteStore:
    """`session-store = sqlite`: the file `sessions.sqlite` in the state folder, 0600, WAL."""

    def __init__(self, path: str, retry_after: float = RETRY_AFTER) -> None:
        self._path = path
        self._retry_after = retry_after
        self._queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._database: sqlite3.Connection | None = None
        self._unwritten: dict[str, Change] = {}
        self._broken = False
        self._next_try = 0.0
        self._thread = threading.Thread(target=self._write_all, name="session-store", daemon=True)
        self._rows = self._open_and_read()
        self._thread.start()

    def load(self) -> list[Row]:
        """What the last process left, read once at the start."""
        rows, self._rows = self._rows, []
        return rows

    def apply(self, change: Change) -> None:
        """Queue a change; returns at once."""
        self._queue.put(change)

    def close(self) -> None:
        """Write what is queued and what could not be written before, then end."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    # ---- the start

    def _open_and_read(self) -> list[Row]:
        try:
            with contextlib.closing(_connect(self._path)) as database:
                return database.execute("SELECT sid, CAST(data AS BLOB) FROM sessions").fetchall()
        except sqlite3.DatabaseError as error:
            return self._start_anew(error)

    def _start_anew(self, error: sqlite3.DatabaseError) -> list[Row]:
        """A file that is no database is put aside; anything else (disk full, read-only) leaves us in memory."""
        if isinstance(error, sqlite3.OperationalError):
            self._tell_broken(error)
            return []
        aside = f"{self._path}.corrupt"
        _log.error("the session store %s is corrupt (%s): kept as %s, begun anew", self._path, error, aside)
        try:
            os.replace(self._path, aside)
            _connect(self._path).close()
        except (OSError, sqlite3.DatabaseError) as second:
            self._tell_broken(second)
        return []

    # ---- the writer's thread

    def _write_all(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._next_batch()
            self._unwritten.update((change.sid, change) for change in batch)
            if self._unwritten and (ended or not self._broken or time.monotonic() >= self._next_try):
                self._try_to_write()
            for change in batch:
                change.done()
        self._close_database()

    def _next_batch(self) -> tuple[list[Change], bool]:
        """What is queued, and whether it is the last; nothing where it is time to try again."""
        batch: list[Change] = []
        try:
            item = self._queue.get(timeout=self._patience())
            while item is not None:
                batch.append(item)
                if len(batch) >= MAX_BATCH or self._queue.empty():
                    return batch, False
                item = self._queue.get()
        except queue.Empty:
            return batch, False
        return batch, True

    def _patience(self) -> float | None:
        return max(0.0, self._next_try - time.monotonic()) if self._unwritten else None

    def _try_to_write(self) -> None:
        try:
            if self._database is None:
                self._database = _connect(self._path)
            _write(self._database, self._unwritten.values())
        except sqlite3.Error as error:
            self._close_database()
            self._tell_broken(error)
            self._next_try = time.monotonic() + self._retry_after
        else:
            self._unwritten.clear()
            self._tell_well()

    def _close_database(self) -> None:
        """What of a transaction was not committed is undone by it."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _tell_broken(self, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            _log.error(
                "the session store %s cannot be used (%s): cookies will not outlive this process until it can; "
                "it is tried again every %.0f s",
                self._path,
                error,
                self._retry_after,
            )

    def _tell_well(self) -> None:
        if self._broken:
            self._broken = False
            _log.warning("the session store %s can be written again, nothing is lost", self._path)


def open_store(name: str, state_dir: str) -> MemoryStore | SqliteStore:
    """The store that `session-store` names: "sqlite" or "memory"."""
    return MemoryStore() if name == "memory" else SqliteStore(os.path.join(state_dir, "sessions.sqlite"))


def _connect(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        _prepare(database)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, SCHEMA_VERSION):
        raise sqlite3.DatabaseError(f"written by another version of the server (schema {version})")
    database.execute("CREATE TABLE IF NOT EXISTS sessions (sid TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID")
    database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _write(database: sqlite3.Connection, changes: Iterable[Change]) -> None:
    database.execute("BEGIN")
    for change in changes:
        if change.data is None:
            database.execute("DELETE FROM sessions WHERE sid = ?", (change.sid,))
        else:
            database.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (change.sid, change.data))
    database.execute("COMMIT")
