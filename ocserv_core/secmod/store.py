"""The table of sessions on disk: a small SQLite database in the state folder, so that cookies outlive secmod and
the server. A thread of its own writes, many changes in one transaction; nothing here delays a Sign.

A row is (sid, MessagePack of the session); cookies are in it as SHA-256 only. When the disk is full, read-only or
the file corrupt, that is said once and the server goes on in memory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
MAX_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Change:
    """Write one session, or delete it where `data` is None. `done` is called in the writer's thread afterwards,
    whether it could be written or not."""

    sid: str
    data: bytes | None
    done: Callable[[], None] = field(default=lambda: None)


class MemoryStore:
    """`session-store = memory`: nothing outlives the process."""

    def load(self) -> list[bytes]:
        """Nothing."""
        return []

    def apply(self, change: Change) -> None:
        """Forget it."""
        change.done()

    def close(self) -> None:
        """Nothing to close."""


class SqliteStore:
    """`session-store = sqlite`: the file `sessions.sqlite` in the state folder, 0600, WAL."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._broken = False
        self._thread = threading.Thread(target=self._write_all, name="session-store", daemon=True)
        self._rows = self._open_and_read()
        self._thread.start()

    def load(self) -> list[bytes]:
        """What the last process left, read once at the start."""
        rows, self._rows = self._rows, []
        return rows

    def apply(self, change: Change) -> None:
        """Queue a change; returns at once."""
        self._queue.put(change)

    def close(self) -> None:
        """Write what is queued, then end."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _open_and_read(self) -> list[bytes]:
        try:
            with contextlib.closing(_connect(self._path)) as database:
                return [row[0] for row in database.execute("SELECT data FROM sessions")]
        except sqlite3.DatabaseError as error:
            return self._start_anew(error)

    def _start_anew(self, error: sqlite3.DatabaseError) -> list[bytes]:
        """A file that is no database is put aside; anything else (disk full, read-only) leaves us in memory."""
        if isinstance(error, sqlite3.OperationalError):
            self._give_up(error)
            return []
        aside = f"{self._path}.corrupt"
        _log.error("the session store %s is corrupt (%s): kept as %s, begun anew", self._path, error, aside)
        try:
            os.replace(self._path, aside)
            _connect(self._path).close()
        except (OSError, sqlite3.DatabaseError) as second:
            self._give_up(second)
        return []

    def _write_all(self) -> None:
        database: sqlite3.Connection | None = None
        while True:
            batch, ended = self._next_batch()
            if not self._broken:
                try:
                    database = database or _connect(self._path)
                    _write(database, batch)
                except sqlite3.DatabaseError as error:
                    self._give_up(error)
            for change in batch:
                change.done()
            if ended:
                break
        if database is not None:
            database.close()

    def _next_batch(self) -> tuple[list[Change], bool]:
        batch: list[Change] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= MAX_BATCH or self._queue.empty():
                return batch, False
            item = self._queue.get()
        return batch, True

    def _give_up(self, error: Exception) -> None:
        self._broken = True
        _log.error(
            "the session store %s cannot be used (%s): cookies will not outlive this process; "
            "mend it and restart the server",
            self._path,
            error,
        )


def open_store(name: str, state_dir: str) -> MemoryStore | SqliteStore:
    """The store that `session-store` names: "sqlite" or "memory"."""
    return MemoryStore() if name == "memory" else SqliteStore(os.path.join(state_dir, "sessions.sqlite"))


def _connect(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, SCHEMA_VERSION):
        database.close()
        raise sqlite3.DatabaseError(f"written by another version of the server (schema {version})")
    database.execute("CREATE TABLE IF NOT EXISTS sessions (sid TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID")
    database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    return database


def _write(database: sqlite3.Connection, batch: list[Change]) -> None:
    database.execute("BEGIN")
    for change in batch:
        if change.data is None:
            database.execute("DELETE FROM sessions WHERE sid = ?", (change.sid,))
        else:
            database.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (change.sid, change.data))
    database.execute("COMMIT")
