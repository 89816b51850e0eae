"""Logical sessions at secmod: granted by a login, opened and closed by main, kept in the store.

The rules are state/sessions.py's; this file feeds them time and randomness, and writes down every change.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator

import msgspec

from ..config.tree import ServerConfig
from ..errors import StateError
from ..ipc.messages import (
    AuthGranted,
    FinalStats,
    OpenSessions,
    SessionClose,
    SessionLeased,
    SessionOpen,
    SessionReply,
    SessionRow,
)
from ..model import Cookie, DisconnectReason, Identity, SessionId, Traffic, short
from ..plugin.backends import Login
from ..state.sessions import (
    COOKIE_BYTES,
    SID_BYTES,
    CookiePolicy,
    Put,
    Refusal,
    Session,
    SessionTable,
    build_cookie,
    build_sid,
)
from .composition import Method
from .store import Change, MemoryStore, SqliteStore

_log = logging.getLogger(__name__)

WRITE_TIMEOUT = 2.0
"""Seconds that a login waits for its session to be on disk; a slow disk delays it, and no longer."""


class Sessions:
    """The table, its store, and the configuration whose cookie rules hold."""

    def __init__(self, store: MemoryStore | SqliteStore, disconnect: Callable[[SessionId], None]) -> None:
        """disconnect: ends the tunnel of a session whose user has logged out."""
        self._store = store
        self._disconnect = disconnect
        self._config: ServerConfig | None = None
        self._told: set[SessionId] = set()
        self._table = SessionTable(self._read())

    def __len__(self) -> int:
        return len(self._table)

    def use(self, config: ServerConfig) -> None:
        """The rules of this configuration hold from now on."""
        self._config = config

    # ---- the life of a session

    async def grant(self, login: Login, method: Method, identity: Identity) -> AuthGranted:
        """A login succeeded. The cookie is given out when it is on disk, so that it survives whatever comes."""
        cookie = build_cookie(os.urandom(COOKIE_BYTES))
        session = self._table.grant(
            sid=build_sid(os.urandom(SID_BYTES)),
            cookie=cookie,
            vhost=login.vhost,
            method=method.name,
            identity=identity,
            client=login.client,
            ip=login.remote_ip,
            now=time.time(),
            policy=self._policy(login.vhost),
            certificate=login.certificate,
        )
        await self._write_and_wait()
        _log.info(
            "'%s' from %s is authenticated by %s (session %s, group '%s')",
            identity.username,
            login.remote_ip,
            method.name,
            short(session.sid),
            identity.group,
        )
        return AuthGranted(session.sid, cookie, identity.username, identity.group)

    def open(self, message: SessionOpen) -> SessionReply:
        """May this cookie open a tunnel?"""
        found = self._table.open(
            message.cookie,
            vhost=message.vhost,
            worker=message.worker,
            ip=message.remote_ip,
            client=message.client,
            now=time.time(),
            policy=self._policy(message.vhost),
            certificate=message.certificate,
        )
        self._write()
        if isinstance(found, Refusal):
            return SessionReply(message.request, refused=found.value, status=401)
        return SessionReply(
            message.request,
            sid=found.sid,
            identity=found.identity,
            login_ip=found.login_ip,
            started=found.created,
            lease=found.lease,
        )

    def note_lease(self, message: SessionLeased) -> None:
        """Remember the addresses for the next time."""
        self._table.note_lease(message.sid, message.lease)
        self._write()

    def note_word(self, sid: SessionId, worker: int, reason: DisconnectReason) -> None:
        """A worker said why it ends."""
        self._table.note_word(sid, worker, reason)

    def close(self, message: SessionClose) -> FinalStats:
        """A connection ended."""
        session = self._table.get(message.sid)
        outcome = self._table.close(
            message.sid,
            worker=message.worker,
            reason=message.reason,
            traffic=message.traffic,
            now=time.time(),
            policy=self._policy(session.vhost if session else ""),
        )
        self._write()
        if outcome is None:
            return FinalStats(message.request, message.sid, message.traffic, message.reason, cookie_lives=False)
        return FinalStats(
            message.request, message.sid, outcome.traffic, outcome.reason, cookie_lives=outcome.cookie_lives
        )

    def revoke(self, sid: SessionId) -> None:
        """Forget the session and its cookie."""
        if self._table.revoke(sid) is not None:
            _log.info("session %s is revoked", short(sid))
        else:
            # The store may still have it: perhaps it could not be read when this process began.
            self._store.apply(Change(sid, None))
        self._write()

    def log_out(self, cookie: Cookie) -> None:
        """The client of this cookie says good-bye."""
        now = time.time()
        session = self._table.living(cookie, now)
        if session is None:
            return
        _log.info("'%s' logs out (session %s)", session.identity.username, short(session.sid))
        if self._table.log_out(session.sid, now, self._policy(session.vhost)) is not None:
            self._disconnect(session.sid)
        self._write()

    def knows(self, cookie: Cookie, vhost: str | None) -> bool:
        """Whether the cookie is of a session that lives; of `vhost`, where that is known."""
        session = self._table.living(cookie, time.time())
        return session is not None and vhost in (None, session.vhost)

    # ---- housekeeping

    def reconcile(self, message: OpenSessions) -> None:
        """main has told which tunnels are up: what else the store calls open ended unseen."""
        self._told.update(message.sids)
        if message.last:
            for session in self._table.reconcile(self._told, time.time(), self._policy):
                _log.info("session %s of '%s' ended unseen", short(session.sid), session.identity.username)
            self._told.clear()
            self._write()

    def attach(self, sid: SessionId, worker: int) -> None:
        """After a restart: a worker already carries this session."""
        self._table.attach(sid, worker)
        self._write()

    def sweep(self) -> None:
        """Forget sessions whose cookie has expired."""
        for session in self._table.sweep(time.time()):
            _log.debug("session %s has expired", short(session.sid))
        self._write()

    def on_stats(self, sid: SessionId, traffic: Traffic) -> None:
        """Interim statistics of a connection; accounting back ends will hear of them."""
        _log.debug("session %s: rx %d, tx %d", short(sid), traffic.rx_bytes, traffic.tx_bytes)

    def rows(self) -> list[SessionRow]:
        """As `occtl show sessions` lists them."""
        return [_row(session) for session in self._table.rows(time.time())]

    def close_store(self) -> None:
        """Write what is left."""
        self._store.close()

    def _policy(self, vhost: str) -> CookiePolicy:
        """The cookie rules of a vhost; of the default one where it was removed by a reload."""
        if self._config is None:
            raise StateError("there is no configuration in force yet")
        named = next((v for v in self._config.vhosts if v.name == vhost), self._config.default)
        options = named.options
        return CookiePolicy(
            timeout=float(options.cookie_timeout),
            persistent=options.persistent_cookies,
            deny_roaming=options.deny_roaming,
            same_certificate=not options.cisco_client_compat,
        )

    def _read(self) -> Iterator[Session]:
        for sid, data in self._store.load():
            session = _decode(data)
            if session is not None:
                yield session
            else:
                self._store.apply(Change(sid, None))

    def _write(self) -> None:
        for change in self._table.take_changes():
            self._store.apply(_encode(change))

    async def _write_and_wait(self) -> None:
        written = asyncio.Event()
        loop = asyncio.get_running_loop()

        def done() -> None:
            loop.call_soon_threadsafe(written.set)

        for change in self._table.take_changes():
            encoded = _encode(change)
            self._store.apply(Change(encoded.sid, encoded.data, done))
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                await written.wait()
        except TimeoutError:
            _log.warning("the session store is slow: a login goes on before it is on disk")


def _encode(change: object) -> Change:
    if isinstance(change, Put):
        return Change(change.session.sid, msgspec.msgpack.encode(change.session))
    sid = getattr(change, "sid", "")
    return Change(sid, None)


def _decode(row: bytes) -> Session | None:
    """None for what another version wrote, or nobody: that client logs in again, all others go on."""
    try:
        return msgspec.msgpack.decode(row, type=Session)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.error("a session in the store cannot be read (%s): it is forgotten", error)
        return None


def _row(session: Session) -> SessionRow:
    return SessionRow(
        sid=session.sid,
        vhost=session.vhost,
        username=session.identity.username,
        group=session.identity.group,
        user_agent=session.client.user_agent,
        remote_ip=session.last_ip,
        created=session.created,
        expires=0.0 if session.workers else session.expires,
        in_use=session.in_use,
        opened=session.opened_once,
        certificate=session.certificate is not None,
    )
