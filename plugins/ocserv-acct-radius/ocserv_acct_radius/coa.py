"""CoA and Disconnect (RFC 5176) in secmod: which sessions a signed request means, and what is done to them. What
strangers send is read by a child (coa_child.py) and not here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from ocserv_core.plugin import BackendContext, OptionError, Session, SessionActs

from .coa_process import ChildProcess, Ended
from .coa_words import Answered, Asked, Client, ErrorCause, Setup, Told
from .config import options_of
from .options import CoaOptions, Settings
from .words import flat

_log = logging.getLogger(__name__)

AGAIN_AFTER = 5.0
"""Seconds from the end of a child, or from a port that was taken, to the next try."""


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """A vhost that wants to hear requests: several may name one address, and each has sessions of its own. `hosts` are
    those that may ask, with the secrets that they share with us; a name counts with all its addresses."""

    coa: CoaOptions
    vhost: str
    sessions: SessionActs
    nas_identifier: str
    hosts: tuple[Client, ...]

    def __repr__(self) -> str:
        return f"Member({self.vhost})"


def member_of(settings: Settings, context: BackendContext) -> Member | None:
    """None without `coa`. OptionError where a client's secret is not known."""
    if settings.coa is None:
        return None
    file = settings.file
    hosts = [(server.host, server.secret) for server in (*file.auth_servers, *file.acct_servers)]
    if settings.coa.clients:
        hosts = [(host, file.secrets.of(host) or _no_secret(host)) for host in settings.coa.clients]
    return Member(settings.coa, context.vhost, context.sessions, settings.nas_identifier, tuple(dict.fromkeys(hosts)))


def _no_secret(host: str) -> bytes:
    raise OptionError(f"coa-client={host}: it has no secret; write a line '{host} SECRET' into the file `servers`")


async def hear(member: Member) -> None:
    """Until it is cancelled."""
    key = (member.coa.address, member.coa.port)
    listener = _listeners.setdefault(key, Listener(member.coa))
    async with listener.joined(member):
        await listener.run()


class Listener:
    """One address. The first who comes does the work for all."""

    def __init__(self, coa: CoaOptions) -> None:
        self._coa = coa
        self._members: list[Member] = []
        self._work = asyncio.Lock()
        self._child: ChildProcess | None = None

    @contextlib.asynccontextmanager
    async def joined(self, member: Member) -> AsyncIterator[None]:
        """Its sessions are found, and its hosts are heard."""
        self._members.append(member)
        try:
            if self._child is not None:
                await self._child.send(await self._setup())
            yield
        finally:
            self._members.remove(member)

    async def run(self) -> None:
        """Hear requests, by one child after another; where somebody else does that already, wait."""
        async with self._work:
            while True:
                try:
                    with await self._bind() as listening:
                        await self._serve(listening)
                except OSError as error:
                    said = "radius: cannot hear CoA on %s port %d: %s; next try in %g s"
                    _log.error(said, self._coa.address, self._coa.port, error.strerror or error, AGAIN_AFTER)
                except Ended as end:
                    _log.error("radius: the process that hears CoA has ended: %s; the next in %g s", end, AGAIN_AFTER)
                await asyncio.sleep(AGAIN_AFTER)

    async def _bind(self) -> socket.socket:
        found = await asyncio.get_running_loop().getaddrinfo(
            self._coa.address, self._coa.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self._coa.address != "::")
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
        return listening

    async def _serve(self, listening: socket.socket) -> None:
        async with ChildProcess(listening) as child:
            await child.send(await self._setup())
            self._child = child
            _log.info("radius: CoA and Disconnect are heard on %s port %d", self._coa.address, self._coa.port)
            try:
                while True:
                    await self._on_message(child, await child.receive())
            finally:
                self._child = None

    async def _on_message(self, child: ChildProcess, message: Asked | Told) -> None:
        if isinstance(message, Told):
            _log.warning("radius: CoA of %s dropped: %s", flat(message.client), flat(message.why))
        else:
            await child.send(Answered(message.number, self.act(message)))

    async def _setup(self) -> Setup:
        hosts = [host for member in self._members for host in member.hosts]
        clients = [client for found in await asyncio.gather(*map(_resolve, hosts)) for client in found]
        return Setup(tuple(clients), self._coa.window, self._coa.require_timestamp)

    # ---- what is done

    def act(self, asked: Asked) -> ErrorCause:
        """Do what a client has signed; NONE where it is done."""
        cause = self._refusal(asked)
        meant = [] if cause else [(one, member) for member in self._members for one in _meant(asked, member)]
        if not cause and not meant:
            cause = ErrorCause.SESSION_CONTEXT_NOT_FOUND
        for session, member in meant:
            cause = cause or _do(asked, session, member.sessions)
        kind = "Disconnect" if asked.disconnect else "CoA"
        names = ", ".join(f"{name}={flat(text)}" for name, text in asked.names.items())
        outcome = f"refused ({cause.name})" if cause else f"done to {len(meant)} sessions"
        _log.info("radius: %s of %s for %s: %s", kind, flat(asked.client), names or "nobody", outcome)
        return cause

    def _refusal(self, asked: Asked) -> ErrorCause:
        identifiers = {member.nas_identifier for member in self._members}
        if asked.nas_identifier and any(identifiers) and asked.nas_identifier not in identifiers:
            return ErrorCause.NAS_IDENTIFICATION_MISMATCH
        if asked.unsupported == "Service-Type":
            return ErrorCause.UNSUPPORTED_SERVICE
        if asked.unsupported:
            return ErrorCause.UNSUPPORTED_ATTRIBUTE
        if not asked.names or not (asked.disconnect or asked.changes):
            return ErrorCause.MISSING_ATTRIBUTE
        return ErrorCause.NONE


_listeners: dict[tuple[str, int], Listener] = {}


def _meant(asked: Asked, member: Member) -> Iterable[Session]:
    return [one for one in member.sessions.find(member.vhost) if _fits(one, asked)]


def _fits(session: Session, asked: Asked) -> bool:
    lease = session.lease
    own = {
        "Acct-Session-Id": (session.sid,),
        "User-Name": (session.username, session.attributes.get("User-Name")),
        "Framed-IP-Address": (lease.ipv4.remote,) if lease.ipv4 else (),
        "Framed-IPv6-Address": (lease.ipv6.remote,) if lease.ipv6 else (),
        "Calling-Station-Id": (session.remote_ip,),
    }
    return all(text in own[name] for name, text in asked.names.items() if name in own)


def _do(asked: Asked, session: Session, sessions: SessionActs) -> ErrorCause:
    if asked.disconnect:
        sessions.disconnect(session.sid, f"Disconnect-Request of {flat(asked.client)}")
        return ErrorCause.NONE
    try:
        sessions.update(session.sid, options_of(asked.changes, session.username, zeros=True))
    except OptionError as error:
        _log.warning("radius: CoA of %s: %s", flat(asked.client), error)
        return ErrorCause.INVALID_ATTRIBUTE_VALUE
    return ErrorCause.NONE


async def _resolve(host: Client) -> Sequence[Client]:
    name, secret = host
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        _log.warning("radius: requests of %s are not heard: %s", name, error.strerror or error)
        return ()
    return [(str(address[4][0]), secret) for address in found]
