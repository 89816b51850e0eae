"""What a worker may ask of secmod, and the answers: the permits of one worker.

The first message that names a vhost fixes it for this worker. A worker that asks for anything out of turn is cut
off: its channel is closed, which ends it.
"""

from __future__ import annotations

import asyncio
import base64
import enum
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from ..errors import PeerLost, PeerViolation
from ..ipc.async_channel import AsyncChannel
from ..ipc.messages import (
    AuthCont,
    AuthDenied,
    AuthGranted,
    AuthInit,
    CliStats,
    Decrypt,
    DecryptReply,
    FromWorkerToSecmod,
    KdcReply,
    KdcRequest,
    LogOut,
    Message,
    ProfileReply,
    ProfileRequest,
    Sign,
    SignReply,
)
from ..ipc.permits import Gate, Permit
from ..model import Cookie, DisconnectReason, Endpoint, SessionId, Traffic
from ..plugin.backends import Login
from .conversation import Conversation, Conversations
from .kdc import KdcForwarder
from .prepare import Prepared, PreparedVhost

_log = logging.getLogger(__name__)

MAX_KEY_USES = 4
"""Signatures and decryptions per worker: a handshake needs one, a second after HelloRetryRequest none more."""


REPORT_EVERY = 1.0
"""Seconds: the least that stats-report-time can be."""

MAX_REPORTS = 100
"""Reports beyond one for each such time."""


class Phase(enum.Enum):
    """A worker's life as secmod sees it."""

    FRESH = enum.auto()
    NAMED = enum.auto()
    LOGGED_IN = enum.auto()
    TUNNEL = enum.auto()


class SessionDesk(Protocol):
    """What a worker needs of the sessions."""

    def on_stats(self, sid: SessionId, worker: int, traffic: Traffic) -> None:
        """Cumulative traffic of a connection that goes on."""

    def log_out(self, cookie: Cookie) -> None:
        """The client of this cookie says good-bye."""

    def knows(self, cookie: Cookie, vhost: str | None) -> bool:
        """Whether the cookie is of a session that lives; of `vhost`, where that is known."""


class WorkerPeer:
    """One worker: its channel, its phase, its conversation. `on_kerberos` hears of the address of each KdcRequest."""

    def __init__(
        self,
        number: int,
        remote: Endpoint,
        local: Endpoint,
        prepared: Prepared,
        logins: Conversations,
        sessions: SessionDesk,
        kdc: KdcForwarder,
        on_kerberos: Callable[[str], None],
    ) -> None:
        self.number = number
        self.remote = remote
        self.local = local
        self.sid: SessionId | None = None
        self.last_reason: DisconnectReason | None = None
        self.channel: AsyncChannel[FromWorkerToSecmod] | None = None
        self._prepared = prepared
        self._logins = logins
        self._sessions = sessions
        self._kdc = kdc
        self._on_kerberos = on_kerberos
        self._gate = Gate(PERMITS, Phase.FRESH)
        self._vhost: PreparedVhost | None = None
        self._key_uses = 0
        self._using_key = False
        self._born = time.monotonic()
        self._reports = 0
        self._key = 0
        self._forwarding: asyncio.Task[None] | None = None
        self._conversation: Conversation | None = None

    @property
    def vhost(self) -> str | None:
        """The vhost that it has named; None before that."""
        return None if self._vhost is None else self._vhost.name

    def on_message(self, message: Message, fds: list[int]) -> None:
        """The channel's door: nothing passes that the table does not list for this phase."""
        self._gate.admit(message, fds)(self, message)

    def on_end(self, error: PeerLost | PeerViolation) -> None:
        """The worker ended, or broke its permits and is cut off."""
        if isinstance(error, PeerViolation):
            _log.error("worker %d (%s) is cut off: %s", self.number, self.remote.ip, error)
        if self._conversation is not None:
            self._logins.abandon(self._conversation, self._on_auth_reply)
        if self._forwarding is not None:
            self._forwarding.cancel()

    def enter_tunnel(self, sid: SessionId) -> None:
        """main opened the session for this worker: from now on statistics, nothing else."""
        self.sid = sid
        self._gate.phase = Phase.TUNNEL

    def answer_sign(self, message: Sign) -> None:
        """One signature of the handshake."""
        self._use_key(message, SignReply)

    def answer_decrypt(self, message: Decrypt) -> None:
        """The premaster secret of an RSA key exchange."""
        self._use_key(message, DecryptReply)

    def answer_auth_init(self, message: AuthInit) -> None:
        """A login begins; one at a time."""
        vhost = self._name_vhost(message.vhost)
        method = vhost.composition.choose(message.method)
        if method is None:
            raise PeerViolation(f"vhost {vhost.name} has no method '{message.method}'")
        if self._conversation is not None:
            self._logins.give_up(self._conversation, self._on_auth_reply)
        login = Login(
            username=message.username,
            group=message.group,
            vhost=vhost.name,
            remote_ip=self.remote.ip,
            client=message.client,
            certificate=message.certificate,
            began=time.monotonic(),
            local_ip=self.local.ip,
            end_point=vhost.end_point(self._key),
        )
        deadline = vhost.auth_timeout
        self._conversation = self._logins.start(login, method, deadline, self._on_auth_reply)

    def answer_auth_cont(self, message: AuthCont) -> None:
        """The next answer of a login, perhaps one that another connection began."""
        answer = base64.b64encode(message.token).decode() if message.token else message.answer
        found = self._logins.answer(message.handle, self.remote.ip, answer, self._on_auth_reply)
        if found is None:
            return
        if self._conversation is not None and self._conversation is not found:
            self._logins.give_up(self._conversation, self._on_auth_reply)
        self._conversation = found

    def answer_log_out(self, message: LogOut) -> None:
        """Whoever has the cookie may end its session."""
        self._sessions.log_out(message.cookie)

    def answer_profile_request(self, message: ProfileRequest) -> None:
        """The profile is for users, and the worker does not know whose a cookie is."""
        self._send(ProfileReply(self._sessions.knows(message.cookie, self.vhost)))

    def answer_kdc_request(self, message: KdcRequest) -> None:
        """A Kerberos message goes to a key server that the configuration names, and its answer comes back: one at a
        time, as the worker asks."""
        if self._forwarding is not None and not self._forwarding.done():
            raise PeerViolation("a Kerberos message before the answer to another")
        proxies = self._name_vhost(message.vhost).proxies
        self._on_kerberos(self.remote.ip)
        self._forwarding = self._kdc.forward(proxies, message, self.remote.ip, self._on_kdc_reply)

    def answer_cli_stats(self, message: CliStats) -> None:
        """Traffic so far; the last one tells why the connection ended."""
        if message.sid != self.sid:
            raise PeerViolation("statistics of another session")
        if min(msgspec.structs.astuple(message.traffic)) < 0:
            raise PeerViolation("negative statistics")
        self._reports += 1
        if self._reports > MAX_REPORTS + (time.monotonic() - self._born) / REPORT_EVERY:
            raise PeerViolation("statistics without end")
        if message.reason is None:
            self._sessions.on_stats(message.sid, self.number, message.traffic)
        else:
            self.last_reason = message.reason

    def _on_auth_reply(self, reply: Message) -> None:
        if isinstance(reply, AuthGranted | AuthDenied):
            self._conversation = None
        if isinstance(reply, AuthGranted):
            self._gate.phase = Phase.LOGGED_IN
        self._send(reply)

    def _on_kdc_reply(self, reply: KdcReply) -> None:
        # One that has its tunnel by now has not waited for it.
        if self._gate.phase is not Phase.TUNNEL:
            self._send(reply)

    def _use_key(self, asked: Sign | Decrypt, reply: Callable[[bytes], SignReply | DecryptReply]) -> None:
        """One at a time, as the worker asks. The key tells which certificate the client was shown."""
        self._name_vhost(asked.vhost)
        self._key = asked.key
        self._key_uses += 1
        if self._key_uses > MAX_KEY_USES:
            raise PeerViolation("too many uses of a private key")
        if self._using_key:
            raise PeerViolation("a use of a private key before the answer to another")
        self._using_key = True
        self._prepared.signers.ask(asked, lambda data: self._on_key_used(reply(data)))

    def _on_key_used(self, reply: SignReply | DecryptReply) -> None:
        self._using_key = False
        self._send(reply)

    def _name_vhost(self, name: str) -> PreparedVhost:
        if self._vhost is None:
            self._vhost = self._prepared.vhosts.get(name)
            if self._gate.phase is Phase.FRESH:
                self._gate.phase = Phase.NAMED
        if self._vhost is None or self._vhost.name != name:
            raise PeerViolation(f"vhost '{name}' is not this worker's")
        return self._vhost

    def _send(self, message: Message) -> None:
        if self.channel is not None:
            self.channel.send(message)


Answer: TypeAlias = Callable[[WorkerPeer, Message], None]

_BEFORE_TUNNEL = frozenset({Phase.FRESH, Phase.NAMED, Phase.LOGGED_IN})
_BEFORE_LOGIN = frozenset({Phase.FRESH, Phase.NAMED})


def _permit(answer: Callable[[WorkerPeer, Any], None], phases: frozenset[enum.Enum]) -> Permit[Answer]:
    return Permit(answer, phases)


PERMITS: Mapping[type[Message], Permit[Answer]] = {
    Sign: _permit(WorkerPeer.answer_sign, _BEFORE_LOGIN),
    Decrypt: _permit(WorkerPeer.answer_decrypt, _BEFORE_LOGIN),
    AuthInit: _permit(WorkerPeer.answer_auth_init, _BEFORE_TUNNEL),
    AuthCont: _permit(WorkerPeer.answer_auth_cont, _BEFORE_TUNNEL),
    LogOut: _permit(WorkerPeer.answer_log_out, _BEFORE_TUNNEL),
    ProfileRequest: _permit(WorkerPeer.answer_profile_request, _BEFORE_TUNNEL),
    KdcRequest: _permit(WorkerPeer.answer_kdc_request, _BEFORE_TUNNEL),
    CliStats: _permit(WorkerPeer.answer_cli_stats, frozenset({Phase.TUNNEL})),
}
