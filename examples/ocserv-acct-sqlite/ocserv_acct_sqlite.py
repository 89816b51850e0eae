"""`acct = "sqlite[file=/var/lib/ocserv/sessions.sqlite]"`: who was connected, when, and how much went through."""

import contextlib
import sqlite3
from collections.abc import Mapping

from ocserv_core.plugin import BackendContext, DisconnectReason, OptionError, Session, Traffic, Unavailable, hookimpl

SCHEMA = """CREATE TABLE IF NOT EXISTS sessions (
    sid TEXT PRIMARY KEY, username TEXT, remote_ip TEXT, started REAL,
    rx_bytes INT DEFAULT 0, tx_bytes INT DEFAULT 0, ended REAL, reason TEXT)"""


class SqliteAccounting:
    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        if set(options) != {"file"}:
            raise OptionError("say file=FILE, the database")
        self._file = options["file"]

    @hookimpl
    def ocserv_session_open(self, session: Session) -> None:
        """The same session may be opened twice: the second time says the same."""
        row = (session.sid, session.username, session.remote_ip, session.started)
        self._write("INSERT OR IGNORE INTO sessions (sid, username, remote_ip, started) VALUES (?, ?, ?, ?)", *row)

    @hookimpl
    def ocserv_session_stats(self, session: Session, traffic: Traffic) -> None:
        self._write(
            "UPDATE sessions SET rx_bytes = ?, tx_bytes = ? WHERE sid = ?",
            traffic.rx_bytes, traffic.tx_bytes, session.sid,
        )  # fmt: skip

    @hookimpl
    def ocserv_session_close(self, session: Session, traffic: Traffic, reason: DisconnectReason, at: float) -> None:
        self._write(
            "UPDATE sessions SET rx_bytes = ?, tx_bytes = ?, ended = ?, reason = ? WHERE sid = ?",
            traffic.rx_bytes, traffic.tx_bytes, at, reason.text, session.sid,
        )  # fmt: skip

    def _write(self, statement: str, *values: object) -> None:
        try:
            with contextlib.closing(sqlite3.connect(self._file)) as database, database:
                database.execute(SCHEMA)
                database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{self._file}: {error}") from error
