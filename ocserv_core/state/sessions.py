"""secmod's table of logical sessions, and how long their cookies live.

A session begins when a login is granted and ends when its cookie can open no tunnel any more. In between its
connections come and go; each is known by its worker's number, so that a message that is repeated changes nothing.

What may change the life of a cookie, and nothing else may: `grant` and `open` give it cookie-timeout + 15 s, `close`
does what CLOSE_RULES says once the last connection is gone, `log_out` as if that were a user's, `revoke` ends it,
`sweep` ends those whose time is over.
It never ends by time while a connection is open.

A session that accounting knows is not forgotten with its end: `take_ended` hands it over, its row stays in the store
(`ending`) until `forget` says that accounting has heard of the end.

Every change is noted for the store: `take_changes` hands over what must be written.
"""

from __future__ import annotations

import base64
import enum
import hashlib
from collections.abc import Callable, Collection, Iterable

import msgspec

from ..model import (
    CertificateFacts,
    ClientInfo,
    Cookie,
    DisconnectReason,
    Identity,
    Lease,
    SessionId,
    Traffic,
)

COOKIE_SLACK = 15.0
"""Seconds beyond cookie-timeout, for the login or reconnect that is under way."""

COOKIE_BYTES = 32
SID_BYTES = 21


def build_cookie(random: bytes) -> Cookie:
    """The `webvpn` cookie of 32 random bytes: base64url without padding."""
    return Cookie(base64.urlsafe_b64encode(random).rstrip(b"=").decode())


def build_sid(random: bytes) -> SessionId:
    """The session's public name, of 21 random bytes."""
    return SessionId(base64.urlsafe_b64encode(random).decode())


def hash_cookie(cookie: Cookie) -> bytes:
    """What is kept of a cookie: its SHA-256. 256 random bits need no salt."""
    return hashlib.sha256(cookie.encode()).digest()


class CookiePolicy(msgspec.Struct, frozen=True):
    """What a vhost's configuration says of cookies. `timeout` is cookie-timeout, in seconds.

    `same_certificate`: a session that began with a client certificate is reopened only with one of the same user
    (cisco-client-compat switches that off, since those clients present it once).
    """

    timeout: float
    persistent: bool = False
    deny_roaming: bool = False
    same_certificate: bool = True


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One logical session: a row of the table, and of the store.

    `expires` counts only while `workers` (the numbers of its open connections) is empty. `totals` is the traffic of
    the connections that ended, `running` what open ones have told since; `words` what open connections' workers said
    of their end. `login_ip` is where the login came from, `last_ip` the last connection, and `local_ip` where that
    came to. `started` is when the first tunnel was opened, `last_seen` when the last connection ended; 0.0 before.
    `updates` are options that a back end has changed since, by their names in ocserv.conf.
    `accounted`: accounting has opened it and must hear of its end; `ending`: it is over, and accounting may not
    have heard yet.
    """

    sid: SessionId
    cookie_hash: bytes
    vhost: str
    method: str
    identity: Identity
    client: ClientInfo
    login_ip: str
    last_ip: str
    created: float
    expires: float
    certificate: CertificateFacts | None = None
    workers: tuple[int, ...] = ()
    words: dict[int, DisconnectReason] = {}
    opened_once: bool = False
    revoked: bool = False
    lease: Lease = Lease()
    totals: Traffic = Traffic()
    running: dict[int, Traffic] = {}
    last_reason: DisconnectReason = DisconnectReason.UNSPECIFIED
    local_ip: str = ""
    started: float = 0.0
    last_seen: float = 0.0
    updates: dict[str, list[str]] = {}
    accounted: bool = False
    ending: bool = False

    @property
    def traffic(self) -> Traffic:
        """Over all connections, as far as is known."""
        return sum(self.running.values(), self.totals)

    @property
    def in_use(self) -> int:
        """How many connections are open: 1, or 2 while one takes over from another."""
        return len(self.workers)


class Refusal(enum.Enum):
    """Why a cookie opens no tunnel. The client is answered 401 for each; the text is for the log."""

    UNKNOWN = "unknown cookie"
    EXPIRED = "expired cookie"
    REVOKED = "revoked session"
    OTHER_VHOST = "cookie of another vhost"
    ROAMED = "cookie from another address (deny-roaming)"
    OTHER_CERTIFICATE = "cookie without the certificate that it was granted to"


class CookieRule(enum.Enum):
    """What the end of the last connection does to the cookie."""

    DELETE = "the session ends now"
    RENEW = "it lives cookie-timeout + 15 s from now"
    KEEP = "it lives as long as it would have, at least 15 s from now"


_D, _R, _K = CookieRule.DELETE, CookieRule.RENEW, CookieRule.KEEP

CLOSE_RULES: dict[DisconnectReason, tuple[CookieRule, CookieRule]] = {
    # reason                          persistent-cookies = false, true
    DisconnectReason.SERVER: (_D, _R),
    DisconnectReason.SESSION_TIMEOUT: (_D, _R),
    DisconnectReason.USER: (_D, _K),
    DisconnectReason.TEMPORARY: (_R, _R),
    DisconnectReason.IDLE_TIMEOUT: (_R, _R),
    DisconnectReason.DPD_TIMEOUT: (_R, _R),
    DisconnectReason.ERROR: (_R, _R),
    DisconnectReason.UNSPECIFIED: (_R, _R),
    DisconnectReason.HEALTH_PROBE: (_R, _R),
}


class CloseOutcome(msgspec.Struct, frozen=True):
    """What a close came to. `session` is as it stands now (or stood last), `traffic` and `reason` are the
    connection's. `ended`: the logical session is over."""

    session: Session
    traffic: Traffic
    reason: DisconnectReason
    ended: bool = False

    @property
    def cookie_lives(self) -> bool:
        """Whether the client may come back with its cookie."""
        return not self.ended and not self.session.revoked


class Put(msgspec.Struct, frozen=True):
    """Write this session to the store, over what it had."""

    session: Session


class Delete(msgspec.Struct, frozen=True):
    """Delete the session from the store."""

    sid: SessionId


class SessionTable:
    """The sessions by name and by cookie. `sessions`: what the store had."""

    def __init__(self, sessions: Iterable[Session] = ()) -> None:
        stored = list(sessions)
        self._by_sid = {session.sid: session for session in stored if not session.ending}
        self._ended = [session for session in stored if session.ending]
        self._by_cookie = {session.cookie_hash: session.sid for session in self._by_sid.values()}
        self._changes: dict[SessionId, Put | Delete] = {}

    # ---- the life of a session

    def grant(
        self,
        *,
        sid: SessionId,
        cookie: Cookie,
        vhost: str,
        method: str,
        identity: Identity,
        client: ClientInfo,
        ip: str,
        now: float,
        policy: CookiePolicy,
        certificate: CertificateFacts | None = None,
    ) -> Session:
        """A login succeeded: the session begins, without a connection yet."""
        session = Session(
            sid=sid,
            cookie_hash=hash_cookie(cookie),
            vhost=vhost,
            method=method,
            identity=identity,
            client=client,
            login_ip=ip,
            last_ip=ip,
            created=now,
            expires=_renewed(now, policy),
            certificate=certificate,
        )
        self._by_cookie[session.cookie_hash] = sid
        return self._put(session)

    def open(
        self,
        cookie: Cookie,
        *,
        vhost: str,
        worker: int,
        ip: str,
        client: ClientInfo,
        now: float,
        policy: CookiePolicy,
        certificate: CertificateFacts | None = None,
        local_ip: str = "",
    ) -> Session | Refusal:
        """A connection wants to use the session. The same worker's asking again is answered the same."""
        session = self.may_open(cookie, vhost=vhost, ip=ip, now=now, policy=policy, certificate=certificate)
        if isinstance(session, Refusal) or worker in session.workers:
            return session
        return self._change(
            session,
            workers=(*session.workers, worker),
            expires=_renewed(now, policy),
            opened_once=True,
            last_ip=ip,
            local_ip=local_ip,
            client=client,
            started=session.started or now,
        )

    def may_open(
        self,
        cookie: Cookie,
        *,
        vhost: str,
        ip: str,
        now: float,
        policy: CookiePolicy,
        certificate: CertificateFacts | None = None,
    ) -> Session | Refusal:
        """Whether a connection could use the session; nothing changes."""
        session = self.by_cookie(cookie)
        if session is None:
            return Refusal.UNKNOWN
        return _refusal(session, vhost, ip, now, policy, certificate) or session

    def close(
        self,
        sid: SessionId,
        *,
        worker: int,
        reason: DisconnectReason,
        traffic: Traffic,
        now: float,
        policy: CookiePolicy,
    ) -> CloseOutcome | None:
        """A connection ended. `reason` is main's knowledge; where that is UNSPECIFIED, the worker's word counts.

        None where the session is not known any more.
        """
        session = self._by_sid.get(sid)
        if session is None:
            return None
        if worker not in session.workers:
            return CloseOutcome(session, traffic, session.last_reason)
        told = session.words.get(worker, DisconnectReason.UNSPECIFIED)
        ended_by = reason if reason != DisconnectReason.UNSPECIFIED else told
        session = self._change(
            session,
            workers=tuple(number for number in session.workers if number != worker),
            words={number: word for number, word in session.words.items() if number != worker},
            totals=session.totals + traffic,
            running={number: told for number, told in session.running.items() if number != worker},
            last_reason=ended_by,
            last_seen=now,
        )
        if session.workers:
            return CloseOutcome(session, traffic, ended_by)
        session, ended = self._end_use(session, ended_by, now, policy)
        return CloseOutcome(session, traffic, ended_by, ended=ended)

    def _end_use(
        self, session: Session, reason: DisconnectReason, now: float, policy: CookiePolicy
    ) -> tuple[Session, bool]:
        """The last connection is gone: the session as it is now, and whether it is over."""
        rule = CLOSE_RULES[reason][policy.persistent]
        if session.revoked or rule is CookieRule.DELETE:
            self._delete(session)
            return session, True
        if rule is CookieRule.KEEP:
            return self._change(session, expires=max(session.expires, now + COOKIE_SLACK)), False
        return self._change(session, expires=_renewed(now, policy)), False

    def log_out(self, sid: SessionId, now: float, policy: CookiePolicy) -> Session | None:
        """The user said goodbye without a BYE: before a tunnel was ever opened the cookie lives 15 s more, after one
        CLOSE_RULES decide, now or when the connections that are open end. Returns the session where there are such.
        """
        session = self._by_sid.get(sid)
        if session is None or session.workers:
            return session
        if session.opened_once:
            self._end_use(session, DisconnectReason.USER, now, policy)
        else:
            self._change(session, expires=min(session.expires, now + COOKIE_SLACK))
        return None

    def revoke(self, sid: SessionId) -> Session | None:
        """The cookie opens nothing from now on; the session is over with its last connection, or at once."""
        session = self._by_sid.get(sid)
        if session is None:
            return None
        if session.workers:
            return self._change(session, revoked=True)
        self._delete(session)
        return session

    def sweep(self, now: float) -> list[Session]:
        """End and return the sessions whose time is over."""
        over = [session for session in self._by_sid.values() if not session.workers and session.expires <= now]
        for session in over:
            self._delete(session)
        return over

    # ---- what is learned of it

    def note_word(self, sid: SessionId, worker: int, reason: DisconnectReason) -> None:
        """A worker's last word: why it ends its connection."""
        session = self._by_sid.get(sid)
        if session is not None and worker in session.workers:
            self._change(session, words={**session.words, worker: reason})

    def note_lease(self, sid: SessionId, lease: Lease) -> None:
        """The addresses that it got, to get them again."""
        session = self._by_sid.get(sid)
        if session is not None and session.lease != lease:
            self._change(session, lease=lease)

    def note_traffic(self, sid: SessionId, worker: int, traffic: Traffic) -> Session | None:
        """What an open connection has carried so far; it never becomes less. None where it is not open."""
        session = self._by_sid.get(sid)
        if session is None or worker not in session.workers:
            return None
        most = traffic.at_least(session.running.get(worker, Traffic()))
        return self._change(session, running={**session.running, worker: most})

    def note_update(self, sid: SessionId, options: dict[str, list[str]]) -> None:
        """These options hold from now on."""
        session = self._by_sid.get(sid)
        if session is not None:
            self._change(session, updates={**session.updates, **options})

    def note_accounted(self, sid: SessionId) -> None:
        """Accounting has opened it."""
        session = self._by_sid.get(sid)
        if session is not None and not session.accounted:
            self._change(session, accounted=True)

    def attach(self, sid: SessionId, worker: int) -> None:
        """After a restart of secmod: this worker carries the session."""
        session = self._by_sid.get(sid)
        if session is not None and worker not in session.workers:
            self._change(session, workers=(*session.workers, worker), opened_once=True)

    def reconcile(
        self, open_sids: Collection[SessionId], now: float, policy_of: Callable[[str], CookiePolicy]
    ) -> list[Session]:
        """After a restart: what the store calls open, but main does not, ended unseen. Its cookie lives on.

        policy_of: a vhost's policy. Returns the sessions that were closed so, as they are now.
        """
        lost = [s for s in self._by_sid.values() if s.workers and s.sid not in open_sids]
        # When it ended nobody knows; what its connections have told is what it has carried.
        closed = [
            self._change(
                s,
                workers=(),
                words={},
                totals=s.traffic,
                running={},
                last_reason=DisconnectReason.ERROR,
                last_seen=now,
            )
            for s in lost
        ]
        return [self._end_use(s, DisconnectReason.ERROR, now, policy_of(s.vhost))[0] for s in closed]

    # ---- looking

    def get(self, sid: SessionId) -> Session | None:
        """The session of this name."""
        return self._by_sid.get(sid)

    def by_cookie(self, cookie: Cookie) -> Session | None:
        """The session that this cookie was granted to, whether or not it may still be opened."""
        sid = self._by_cookie.get(hash_cookie(cookie))
        return None if sid is None else self._by_sid[sid]

    def living(self, cookie: Cookie, now: float) -> Session | None:
        """The session that this cookie may still be used for."""
        session = self.by_cookie(cookie)
        if session is None or session.revoked or not (session.workers or session.expires > now):
            return None
        return session

    def rows(self, now: float) -> list[Session]:
        """Every session that has not expired, oldest first."""
        return [session for session in self._by_sid.values() if session.workers or session.expires > now]

    def __len__(self) -> int:
        return len(self._by_sid)

    # ---- accounting

    def take_ended(self) -> list[Session]:
        """The sessions that are over since the last call, and of whose end accounting must hear."""
        ended, self._ended = self._ended, []
        return ended

    def forget(self, sid: SessionId) -> None:
        """Accounting has heard of its end."""
        self._changes[sid] = Delete(sid)

    # ---- the store

    def take_changes(self) -> list[Put | Delete]:
        """What must be written since the last call; of several changes to a session only the last."""
        changes = list(self._changes.values())
        self._changes.clear()
        return changes

    def _put(self, session: Session) -> Session:
        self._by_sid[session.sid] = session
        self._changes[session.sid] = Put(session)
        return session

    def _change(self, session: Session, **fields: object) -> Session:
        return self._put(msgspec.structs.replace(session, **fields))

    def _delete(self, session: Session) -> None:
        del self._by_sid[session.sid]
        del self._by_cookie[session.cookie_hash]
        if session.accounted:
            over = msgspec.structs.replace(session, ending=True)
            self._changes[session.sid] = Put(over)
            self._ended.append(over)
        else:
            self._changes[session.sid] = Delete(session.sid)


def _renewed(now: float, policy: CookiePolicy) -> float:
    return now + policy.timeout + COOKIE_SLACK


def _refusal(
    session: Session, vhost: str, ip: str, now: float, policy: CookiePolicy, certificate: CertificateFacts | None
) -> Refusal | None:
    """The checks in the order of ipc-and-state: does it live, then is it this client's."""
    other_user = certificate is None or session.certificate is None or certificate.user != session.certificate.user
    checks = (
        (session.revoked, Refusal.REVOKED),
        (not session.workers and session.expires <= now, Refusal.EXPIRED),
        (session.vhost != vhost, Refusal.OTHER_VHOST),
        (policy.deny_roaming and ip != session.login_ip, Refusal.ROAMED),
        (policy.same_certificate and session.certificate is not None and other_user, Refusal.OTHER_CERTIFICATE),
    )
    return next((refusal for failed, refusal in checks if failed), None)
