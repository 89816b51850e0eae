"""Every message between the processes, by pair. Askers and answerers share the message's name:
`AuthInit` is sent by the worker (link.py, login.py, tunnel.py) and handled by secmod's `answer_auth_init`.

The names in brackets are those of the system description. A message is one MessagePack array that begins with the
name of its type, sent as one SOCK_SEQPACKET datagram; descriptors ride along where `fds` is said. What a receiver
permits, and when, stands in its own table (permits.py); what it does not permit ends the sender.

Times are seconds of the wall clock (Unix), since they outlive processes. Addresses are text in canonical form.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..config.session import SessionConfig
from ..config.user import UserOptions
from ..config.values import BackendSpec
from ..model import (
    CertificateFacts,
    ClientInfo,
    Cookie,
    DisconnectReason,
    Endpoint,
    Identity,
    Lease,
    Offence,
    Offloads,
    PluginReport,
    SessionId,
    Traffic,
)
from ..state.latency import LatencyTotals

MAX_MESSAGE = 48 * 1024
"""Bytes of one message; what may be larger goes by sealed memfd."""

MAX_LOG_LINE = 1024
"""Characters of a LogLine."""


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """The base of all messages; the tag is the class's name."""


# ---- worker → secmod ------------------------------------------------------------------------------------------


class Sign(Message, frozen=True):
    """[SM_CMD_SIGN] Sign with key number `key` of `vhost`. `algorithm` is a name of secmod's table of algorithms;
    `data` is the digest, or the whole text for Ed25519. Answer: SignReply."""

    vhost: str
    key: int
    algorithm: str
    data: bytes


class Decrypt(Message, frozen=True):
    """[SM_CMD_DECRYPT] Decrypt an RSA premaster secret (PKCS#1 v1.5). Answer: DecryptReply."""

    vhost: str
    key: int
    data: bytes


class AuthInit(Message, frozen=True):
    """[SEC_AUTH_INIT] A login begins. `method` is one of the vhost's alternatives ("" = its primary).
    `certificate` is what the worker verified, None without one. Answer: an AuthReply."""

    vhost: str
    username: str
    group: str
    client: ClientInfo
    method: str = ""
    certificate: CertificateFacts | None = None


class AuthCont(Message, frozen=True):
    """[SEC_AUTH_CONT] The answer to an AuthPrompt's question: the user's text, or the octets of a token that the
    client's security mechanism (GSSAPI) has made. Answer: an AuthReply."""

    handle: str
    answer: str
    token: bytes = b""


class LogOut(Message, frozen=True):
    """The client says good-bye in HTTP: the session of this cookie ends as by a user's BYE. No answer."""

    cookie: Cookie


class ProfileRequest(Message, frozen=True):
    """May who has this cookie see the user profile? Answer: ProfileReply."""

    cookie: Cookie


class KdcRequest(Message, frozen=True):
    """A Kerberos message for the key server of a realm ("" for the first one) behind a path of `kkdcp`, with the
    4-byte length before it that Kerberos has over TCP. Answer: KdcReply."""

    vhost: str
    path: str
    realm: str
    message: bytes


class CliStats(Message, frozen=True):
    """[SEC_CLI_STATS] Cumulative traffic of this connection; `reason` only in the last one, at its end."""

    sid: SessionId
    traffic: Traffic
    reason: DisconnectReason | None = None


# ---- secmod → worker ------------------------------------------------------------------------------------------


class SignReply(Message, frozen=True):
    """The signature; empty when it was refused, which secmod has logged."""

    signature: bytes


class DecryptReply(Message, frozen=True):
    """The premaster secret; empty when it was refused."""

    data: bytes


class AuthPrompt(Message, frozen=True):
    """[SEC_AUTH_REP] The back end asks. `handle` is the conversation's public name (webvpncontext). `text` is the
    message above the field ("Login failed.\\nPlease enter your password."), `counter` tells how many different
    questions came before this one (0 = the first password field). `token`: what the client's mechanism is to be told,
    as base64, where the answer is to be a token."""

    handle: str
    text: str
    counter: int = 0
    secret: bool = True
    token: str = ""


class AuthGranted(Message, frozen=True):
    """[SEC_AUTH_REP] Logged in: the session and its cookie. `token` as in AuthPrompt."""

    sid: SessionId
    cookie: Cookie
    username: str
    group: str
    token: str = ""


class AuthDenied(Message, frozen=True):
    """[SEC_AUTH_REP] Not logged in, for good; `text` may be shown to the client. The conversation is over.
    `token` as in AuthPrompt."""

    text: str
    token: str = ""


class AuthLost(Message, frozen=True):
    """[SEC_AUTH_REP] There is no such conversation (any more): the client starts again at the form."""


class ProfileReply(Message, frozen=True):
    """Whether the cookie is one of a session that lives, of this worker's vhost."""

    granted: bool


class KdcReply(Message, frozen=True):
    """What the key server answered, again with its length before it; or `failure`, why there is no answer."""

    message: bytes
    failure: str = ""


AuthReply = AuthPrompt | AuthGranted | AuthDenied
"""What a back end's round ends with. AuthLost is no reply of a back end: the worker handles it apart."""


# ---- worker → main --------------------------------------------------------------------------------------------


class ClientAddress(Message, frozen=True):
    """Both ends of the client's connection by its PROXY header; those of the TCP connection where that tells none.
    The first message, once, and only with listen-proxy-proto."""

    remote: Endpoint
    local: Endpoint


class AuthCookieRequest(Message, frozen=True):
    """[AUTH_COOKIE_REQ] CONNECT with a cookie; once per connection. `wants_*`: the families that the client
    asked for. Answer: AuthCookieReply or AuthCookieRefused."""

    vhost: str
    cookie: Cookie
    client: ClientInfo
    wants_ipv4: bool
    wants_ipv6: bool
    certificate: CertificateFacts | None = None


class SessionInfo(Message, frozen=True):
    """[SESSION_INFO] What occtl shows of the connection; repeated when it changes."""

    tls_ciphersuite: str
    mtu: int
    client: ClientInfo
    dtls_cipher: str = ""
    cstp_compression: str = ""
    dtls_compression: str = ""


class TunMtu(Message, frozen=True):
    """Set the TUN device's MTU, in bytes of an inner packet."""

    mtu: int


class LatencyStats(Message, frozen=True):
    """The latency measured since the last of these: once a minute at most, and at the tunnel's end. `totals` have at
    least one set."""

    totals: LatencyTotals


class DtlsEstablished(Message, frozen=True):
    """The client has a new DTLS session, which began with the last hello that main has passed on or with a later one on
    the same socket."""


class UdpVerdict(Message, frozen=True):
    """Whether the keys of this connection open the datagram of a search (UdpSocket). Where they do, the worker has
    the socket, and main none any more."""

    search: int
    opened: bool


class ResumeStore(Message, frozen=True):
    """Keep TLS 1.2 session data (≤ 4096 bytes) for `session_id` (≤ 32 bytes); bound to vhost and address."""

    vhost: str
    session_id: bytes
    data: bytes


class ResumeFetch(Message, frozen=True):
    """Ask for session data. Answer: ResumeReply."""

    vhost: str
    session_id: bytes


class ResumeDelete(Message, frozen=True):
    """Forget session data."""

    vhost: str
    session_id: bytes


# ---- worker, nursery → main; host, child, signer → secmod ------------------------------------------------------


class LogLine(Message, frozen=True):
    """A line for the log, which the sender cannot write itself. `level` is one of log.LEVELS. The receiver knows who
    speaks, cleans the text, and bounds the rate."""

    level: int
    text: Annotated[str, msgspec.Meta(max_length=MAX_LOG_LINE)]


# ---- main → worker --------------------------------------------------------------------------------------------


class AuthCookieReply(Message, frozen=True):
    """[AUTH_COOKIE_REP] The tunnel is ready. fds: the TUN device. `started` is the first login of the session
    (session-timeout counts from it), `dtls_id` 32 fresh random bytes for this connection, `offloads` the device's."""

    sid: SessionId
    username: str
    group: str
    lease: Lease
    device: str
    started: float
    dtls_id: bytes
    config: SessionConfig
    offloads: Offloads | None = None


class AuthCookieRefused(Message, frozen=True):
    """[AUTH_COOKIE_REP] No tunnel: HTTP status 401 (log in again) or 503 (try later; `text` is X-Reason)."""

    status: int
    text: str


class UdpSocket(Message, frozen=True):
    """A datagram for this connection, as far as main can tell. fds: a UDP socket connected to where it came from,
    to which the kernel gives all that follows. `hello`: it begins a handshake of this connection's `dtls_id`.
    Otherwise it is a record of whoever's keys open it. Answer: UdpVerdict, where `search` is not 0."""

    datagram: bytes
    hello: bool
    search: int = 0


class ResumeReply(Message, frozen=True):
    """Session data, or None."""

    data: bytes | None


class SecmodAttach(Message, frozen=True):
    """secmod was restarted. fds: the worker's new channel to it."""


class UpdateLimits(Message, frozen=True):
    """These hold for the session from now on. Times in seconds, rates in bytes a second, 0 for none; the remaining
    time of the session is None where it has no end."""

    idle_timeout: int
    session_remaining: float | None
    stats_report_time: int
    rx_data_per_sec: int
    tx_data_per_sec: int


class Terminate(Message, frozen=True):
    """End the connection: BYE to the client with `reason` and `text`, then exit. In `reconnect` mode no BYE is
    sent, so that the client comes back with its cookie."""

    reason: DisconnectReason
    text: str = ""
    reconnect: bool = False


# ---- main → secmod --------------------------------------------------------------------------------------------


class Configure(Message, frozen=True):
    """Prepare this configuration. fds: a sealed memfd with the MessagePack of a ServerConfig.
    Answer: Configured or ConfigRefused; nothing changes before Commit."""

    generation: int


class Commit(Message, frozen=True):
    """Use the prepared configuration for everything new."""

    generation: int


class Discard(Message, frozen=True):
    """Forget the prepared configuration."""

    generation: int


class WorkerAttach(Message, frozen=True):
    """A worker exists; fds: secmod's end of the channel to it. `sid` where it already carries a session."""

    worker: int
    remote: Endpoint
    local: Endpoint
    sid: SessionId | None = None


class SessionOpen(Message, frozen=True):
    """[SECM_SESSION_OPEN] May this cookie open a tunnel? Repeated by `request` it is answered the same again.
    Answer: SessionReply."""

    request: int
    worker: int
    vhost: str
    cookie: Cookie
    remote_ip: str
    client: ClientInfo
    certificate: CertificateFacts | None = None


class SessionLeased(Message, frozen=True):
    """The addresses that the session got, so that it gets them again after a restart."""

    sid: SessionId
    lease: Lease


class SessionStart(Message, frozen=True):
    """The session has its addresses, and its client does not know of the tunnel yet: accounting may refuse it.
    Asked where SessionReply says `accounted`. Answer: SessionStarted."""

    request: int
    sid: SessionId


class SessionClose(Message, frozen=True):
    """[SECM_SESSION_CLOSE] A connection of the session ended. `traffic` is exact (from the shared page).
    `reason` is main's knowledge; the worker's own last word goes before UNSPECIFIED. Answer: FinalStats."""

    request: int
    worker: int
    sid: SessionId
    traffic: Traffic
    reason: DisconnectReason


class OpenSessions(Message, frozen=True):
    """[replay after a restart of secmod] The sessions whose tunnels are up. Sent in parts; the last says so."""

    sids: tuple[SessionId, ...]
    last: bool


class ListPlugins(Message, frozen=True):
    """All back ends that secmod has loaded. Answer: PluginList."""

    request: int


class ListSessions(Message, frozen=True):
    """All sessions that secmod knows. Answer: SessionList (parts)."""

    request: int


class Revoke(Message, frozen=True):
    """Forget the session and its cookie, now."""

    sid: SessionId


# ---- secmod → main --------------------------------------------------------------------------------------------


class Configured(Message, frozen=True):
    """Everything of the configuration that is secmod's is ready. `groups` holds, by vhost, the groups that its
    back ends found (auto-select-group)."""

    generation: int
    groups: dict[str, tuple[str, ...]] = {}


class ConfigFault(msgspec.Struct, frozen=True, array_like=True):
    """One error of a configuration, as ConfigError has it."""

    message: str
    file: str
    line: int


class ConfigRefused(Message, frozen=True):
    """The configuration cannot be used, and why."""

    generation: int
    faults: tuple[ConfigFault, ...]


class SessionReply(Message, frozen=True):
    """[SECM_SESSION_REPLY] `refused` empty: the session is opened, with the user's additional configuration.
    Otherwise `refused` says why, and `status` is what the client is answered (401 or 503)."""

    request: int
    refused: str = ""
    status: int = 0
    sid: SessionId = SessionId("")
    identity: Identity | None = None
    login_ip: str = ""
    started: float = 0.0
    lease: Lease = Lease()
    overlay: UserOptions | None = None
    accounted: bool = False


class SessionStarted(Message, frozen=True):
    """Accounting knows of the session. Otherwise `refused` says why, and `status` is what the client is answered."""

    request: int
    refused: str = ""
    status: int = 0


class FinalStats(Message, frozen=True):
    """[SECM_CLI_STATS] The connection is accounted: its reason, and whether the cookie still lives."""

    request: int
    sid: SessionId
    traffic: Traffic
    reason: DisconnectReason
    cookie_lives: bool


class DisconnectSession(Message, frozen=True):
    """End this session's tunnel (revoked elsewhere, out of quota, asked by a back end)."""

    sid: SessionId
    reason: DisconnectReason
    text: str = ""


class UpdateSession(Message, frozen=True):
    """Other options hold for this session from now on (CoA, a quota), of those that can change while it is up."""

    sid: SessionId
    overlay: UserOptions


class DisconnectWorker(Message, frozen=True):
    """This worker broke its permits and is cut off by secmod: kill it, whatever it carries."""

    worker: int


class BanPoints(Message, frozen=True):
    """The client at this address (main's word, of WorkerAttach) has offended."""

    ip: str
    offence: Offence


class SecmodStats(Message, frozen=True):
    """Counters since secmod's start; sent after each login that ended and before FinalStats."""

    sessions: int
    auth_failures: int
    auth_successes: int
    auth_seconds_total: float
    auth_seconds_max: float


class SessionRow(msgspec.Struct, frozen=True, array_like=True):
    """A session as `occtl show sessions` lists it. `expires` is 0 while it is in use."""

    sid: SessionId
    vhost: str
    username: str
    group: str
    user_agent: str
    remote_ip: str
    created: float
    expires: float
    in_use: int
    opened: bool = False
    certificate: bool = False


class PluginList(Message, frozen=True):
    """The answer to ListPlugins: those of the configuration in force."""

    request: int
    plugins: tuple[PluginReport, ...]


class SessionList(Message, frozen=True):
    """A part of the answer to ListSessions."""

    request: int
    rows: tuple[SessionRow, ...]
    last: bool


# ---- main ↔ nursery -------------------------------------------------------------------------------------------


class Spawn(Message, frozen=True):
    """main → nursery: fork a worker. fds: the client's connection, the worker's channel to main, its channel to
    secmod, the page of counters (4096 bytes, memfd)."""

    worker: int
    remote: Endpoint
    local: Endpoint


class NurseryReady(Message, frozen=True):
    """nursery → main: the code is loaded, the configuration read, privileges are gone. `crl_until`: by vhost, when its
    revocation lists are too old (time.time()); for main to tell of, which does not parse them."""

    generation: int
    crl_until: dict[str, float] = {}


class NurseryRefused(Message, frozen=True):
    """nursery → main: the configuration cannot be served; it exits."""

    generation: int
    faults: tuple[ConfigFault, ...]


class Spawned(Message, frozen=True):
    """nursery → main: the worker runs. fds: its pidfd."""

    worker: int
    pid: int


class SpawnFailed(Message, frozen=True):
    """nursery → main: no worker could be forked; the connection is closed."""

    worker: int
    error: str


class Exited(Message, frozen=True):
    """nursery → main: a worker ended. `status` is an exit status (≥ 0) or minus the signal that ended it."""

    pid: int
    status: int


# ---- secmod ↔ host --------------------------------------------------------------------------------------------


class HostLoad(Message, frozen=True):
    """secmod → host: load this back end of an entry-point group, and log from `level` (of logging) on. The first
    message, once."""

    group: str
    spec: BackendSpec
    vhost: str
    level: int


class ChildStart(Message, frozen=True):
    """secmod → host: fork a child for one call. fds: the child's end of its channel to secmod."""

    number: int


class HostReady(Message, frozen=True):
    """host → secmod: the back end is loaded."""


class HostRefused(Message, frozen=True):
    """host → secmod: the back end cannot be loaded; the host exits."""

    text: str


class ChildStarted(Message, frozen=True):
    """host → secmod: the child runs. fds: its pidfd."""

    number: int


class ChildFailed(Message, frozen=True):
    """host → secmod: no child could be forked."""

    number: int
    error: str


class ChildEnded(Message, frozen=True):
    """host → secmod: a child ended, and with it whatever it had started. `status` is an exit status (≥ 0) or minus the
    signal that ended it."""

    number: int
    status: int


# ---- secmod ↔ signer ------------------------------------------------------------------------------------------


class SignerKey(msgspec.Struct, frozen=True, array_like=True):
    """A private key on its way to a signer: its octets (PKCS #8, DER), or where it lies (`token`: its URL, its PIN and
    that of the TPM's storage root key)."""

    der: bytes = b""
    token: tuple[str, bytes | None, bytes | None] | None = None

    def __repr__(self) -> str:
        return "SignerKey(…)"


class SignerLoad(Message, frozen=True):
    """secmod → signer: these are the keys of each vhost; log from `level` (of logging) on. The first message, once."""

    level: int
    rings: dict[str, tuple[SignerKey, ...]]


class SignerTask(Message, frozen=True):
    """secmod → signer: what a worker asks. Answer: SignerDone."""

    number: int
    asked: Sign | Decrypt


class SignerReady(Message, frozen=True):
    """signer → secmod: it has its keys."""


class SignerRefused(Message, frozen=True):
    """signer → secmod: it cannot use its keys (a token's); it exits, and another would fare no better."""

    text: str


class SignerDone(Message, frozen=True):
    """signer → secmod: a signature or a premaster secret; empty where it was refused, with the reason."""

    number: int
    data: bytes
    refused: str = ""


# ---- secmod ↔ child -------------------------------------------------------------------------------------------


class Call(Message, frozen=True):
    """secmod → child: call this hook. `arguments` are those of plugin/calls.py. `asks`: it may ask its user."""

    hook: str
    arguments: bytes
    asks: bool


class Answer(Message, frozen=True):
    """secmod → child: the user's answer to its Question."""

    text: str


class Question(Message, frozen=True):
    """child → secmod: the back end asks, and waits for the Answer. A Prompt's fields."""

    text: str
    secret: bool = True
    again: bool = False
    token: str = ""


class Returned(Message, frozen=True):
    """child → secmod: what the hook returned, as plugin/calls.py encodes it. The last message, as those below."""

    value: bytes


class CallDenied(Message, frozen=True):
    """child → secmod: the hook raised Denied."""

    text: str
    token: str = ""


class CallUnavailable(Message, frozen=True):
    """child → secmod: the hook raised Unavailable, or what counts as that."""

    text: str


class CallFault(Message, frozen=True):
    """child → secmod: the hook raised anything else: the name of its type, and its traceback."""

    kind: str
    traceback: str


FromWorkerToSecmod = Sign | Decrypt | AuthInit | AuthCont | LogOut | ProfileRequest | KdcRequest | CliStats
FromSecmodToWorker = (
    SignReply | DecryptReply | AuthPrompt | AuthGranted | AuthDenied | AuthLost | ProfileReply | KdcReply
)
FromWorkerToMain = (
    ClientAddress
    | AuthCookieRequest
    | SessionInfo
    | TunMtu
    | LatencyStats
    | DtlsEstablished
    | UdpVerdict
    | ResumeStore
    | ResumeFetch
    | ResumeDelete
    | LogLine
)
FromMainToWorker = (
    AuthCookieReply | AuthCookieRefused | UdpSocket | ResumeReply | SecmodAttach | UpdateLimits | Terminate
)
FromMainToSecmod = (
    Configure
    | Commit
    | Discard
    | WorkerAttach
    | SessionOpen
    | SessionLeased
    | SessionStart
    | SessionClose
    | OpenSessions
    | ListPlugins
    | ListSessions
    | Revoke
)
FromSecmodToMain = (
    Configured
    | ConfigRefused
    | SessionReply
    | SessionStarted
    | FinalStats
    | DisconnectSession
    | UpdateSession
    | DisconnectWorker
    | BanPoints
    | SecmodStats
    | PluginList
    | SessionList
)
FromMainToNursery = Spawn
FromNurseryToMain = NurseryReady | NurseryRefused | Spawned | SpawnFailed | Exited | LogLine
FromSecmodToHost = HostLoad | ChildStart
FromHostToSecmod = HostReady | HostRefused | ChildStarted | ChildFailed | ChildEnded | LogLine
FromSecmodToSigner = SignerLoad | SignerTask
FromSignerToSecmod = SignerReady | SignerRefused | SignerDone | LogLine
FromSecmodToChild = Call | Answer
FromChildToSecmod = Question | Returned | CallDenied | CallUnavailable | CallFault | LogLine
