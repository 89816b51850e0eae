"""Logical sessions at secmod: granted by a login, opened and closed by main, kept in the store.

The rules are state/sessions.py's; this file feeds them time and randomness, writes down every change, and tells
accounting of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from .. import plugin
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
    SessionStart,
    SessionStarted,
)
from ..model import Cookie, DisconnectReason, Identity, SessionId, Traffic, short
from ..plugin.backends import Denied, Login, Unavailable
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
from .accounting import Accounting, Ending, InstanceOf
from .composition import Method
from .configuration import TunnelRefused, options_of, with_updates
from .instance import Instance
from .store import Change, MemoryStore, SqliteStore

_log = logging.getLogger(__name__)

WRITE_TIMEOUT = 2.0
"""Seconds that a login waits for its session to be on disk; a slow disk delays it, and no longer."""

ACCOUNTING_ENDS_WITHIN = 0.7
"""Seconds that the end of the process waits for accounting; main's patience with it is about a second (END_WITHIN)."""


class Sessions:
    """The table, its store, and the configuration whose cookie rules hold."""

    def __init__(
        self,
        store: MemoryStore | SqliteStore,
        disconnect: Callable[[SessionId, DisconnectReason, str], None],
        instance_of: InstanceOf,
    ) -> None:
        """disconnect: ends the tunnel of a session whose user has logged out, or that was revoked."""
        self._store = store
        self._disconnect = disconnect
        self._config: ServerConfig | None = None
        self._told: set[SessionId] = set()
        self._table = SessionTable(self._read())
        self._accounting = Accounting(instance_of, time.time, self._on_end_told)

    def __len__(self) -> int:
        return len(self._table)

    def use(self, config: ServerConfig) -> None:
        """The rules of this configuration hold from now on."""
        self._config = config
        self._write()

    # ---- the life of a session

    async def grant(self, login: Login, method: Method, identity: Identity) -> AuthGranted:
        """A login succeeded. The cookie is given out when it is on disk, so that it survives whatever comes."""
        cookie = build_cookie(os.urandom(COOKIE_BYTES))
        session = self._table.grant(
            sid=build_sid(os.urandom(SID_BYTES)),
            cookie=cookie,
            vhost=login.vhost,
            method=method.name,
            identity=msgspec.structs.replace(identity, token=""),
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
        return AuthGranted(session.sid, cookie, identity.username, identity.group, identity.token)

    async def open(self, message: SessionOpen, local_ip: str, configuration: Sequence[Instance]) -> SessionReply:
        """May this cookie open a tunnel, and what holds for it?"""
        policy = self._policy(message.vhost)
        asked: dict[str, Any] = {
            "vhost": message.vhost,
            "ip": message.remote_ip,
            "policy": policy,
            "certificate": message.certificate,
        }
        found = self._table.may_open(message.cookie, now=time.time(), **asked)
        if isinstance(found, Refusal):
            return SessionReply(message.request, refused=found.value, status=401)
        try:
            overlay = await options_of(view(found, message.remote_ip, local_ip), configuration)
        except TunnelRefused as refusal:
            return SessionReply(message.request, refused=str(refusal), status=refusal.status)
        # While a back end was asked, the session may have ended.
        found = self._table.open(
            message.cookie, worker=message.worker, client=message.client, local_ip=local_ip, now=time.time(), **asked
        )
        self._write()
        if isinstance(found, Refusal):
            return SessionReply(message.request, refused=found.value, status=401)
        overlay = with_updates(overlay, found.identity.username, found.updates)
        return SessionReply(
            message.request,
            sid=found.sid,
            identity=found.identity,
            login_ip=found.login_ip,
            started=found.created,
            lease=found.lease,
            overlay=overlay,
            accounted=self._accounting.wants(found.vhost),
        )

    async def start(self, message: SessionStart) -> SessionStarted:
        """It has its addresses: tell accounting, once; of a reconnect it hears by statistics."""
        session = self._table.get(message.sid)
        if session is None or session.revoked:
            return SessionStarted(message.request, refused="the session is over", status=401)
        if session.accounted:
            self._accounting.report(view(session), session.traffic, time.time())
            return SessionStarted(message.request)
        try:
            await self._accounting.start(view(session))
        except Denied as denial:
            return SessionStarted(message.request, refused=f"accounting denies: {denial}", status=401)
        except Unavailable as silence:
            return SessionStarted(message.request, refused=f"accounting is not available: {silence}", status=503)
        except Exception:  # noqa: BLE001 (a plugin's fault is this session's, and nobody else's)
            _log.exception("the start of session %s could not be accounted", short(session.sid))
            return SessionStarted(message.request, refused="accounting failed", status=503)
        self._table.note_accounted(message.sid)
        self._write()
        return SessionStarted(message.request)

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

    def revoke(self, sid: SessionId, text: str = "revoked") -> None:
        """Forget the session and its cookie, and end its tunnel; `text` says why."""
        revoked = self._table.revoke(sid)
        if revoked is not None:
            _log.info("session %s is revoked", short(sid))
            if revoked.workers:
                # Also the one that is being opened, of which main's list of users knows nothing.
                self._disconnect(sid, DisconnectReason.SERVER, text)
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
            self._disconnect(session.sid, DisconnectReason.USER, "logged out")
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

    def on_stats(self, sid: SessionId, worker: int, traffic: Traffic) -> None:
        """Interim statistics of a connection."""
        _log.debug("session %s: rx %d, tx %d", short(sid), traffic.rx_bytes, traffic.tx_bytes)
        session = self._table.note_traffic(sid, worker, traffic)
        if session is not None and session.accounted:
            self._accounting.report(view(session), session.traffic, time.time())
        self._write()

    def note_update(self, sid: SessionId, options: plugin.Options) -> None:
        """A back end has changed these options; they hold at a reconnect too."""
        lines = {name: [value] if isinstance(value, str) else list(value) for name, value in options.items()}
        self._table.note_update(sid, lines)
        self._write()

    def views(self, vhost: str) -> list[plugin.Session]:
        """The sessions of a vhost with a tunnel, for back ends."""
        return [
            view(session) for session in self._table.rows(time.time()) if session.workers and session.vhost == vhost
        ]

    def rows(self) -> list[SessionRow]:
        """As `occtl show sessions` lists them."""
        return [_row(session) for session in self._table.rows(time.time())]

    async def end(self) -> None:
        """Tell accounting and write what is left, within the time that an end may take."""
        await self._accounting.close(ACCOUNTING_ENDS_WITHIN)
        self._write()
        self._store.close()

    def _on_end_told(self, sid: SessionId) -> None:
        self._table.forget(sid)
        self._write()

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
        for session in self._table.take_ended():
            self._accounting.end(Ending(view(session), session.totals, session.last_reason, session.last_seen))

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


def view(session: Session, remote_ip: str = "", local_ip: str = "") -> plugin.Session:
    """As back ends see it; with the addresses of a connection that is being opened."""
    identity = session.identity
    return plugin.Session(
        sid=session.sid,
        vhost=session.vhost,
        username=identity.username,
        group=identity.group,
        groups=identity.groups,
        attributes=identity.attributes,
        method=session.method,
        client=session.client,
        remote_ip=remote_ip or session.last_ip,
        local_ip=local_ip or session.local_ip,
        lease=session.lease,
        created=session.created,
        started=session.started,
    )


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
