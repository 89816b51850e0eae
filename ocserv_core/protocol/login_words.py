"""The words of a login: what it is told, what it asks for, and what it knows of its vhost and connection.

`Login` (login.py) takes and gives these; the worker carries the commands out. The replies are described by shape
alone, so that the messages of ipc/ fit without being imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..config.values import Group
from ..config.worker import WorkerVhost
from ..model import CertificateFacts, ClientInfo, Cookie
from .camouflage import Gate, OpenGate
from .connect import ConnectRequest
from .pages import Page

PRIMARY = ""
"""The name of a vhost's primary method in AuthInit."""


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """What a login needs of its vhost. `methods`: the primary set of method names first, then the alternatives.

    `default_group` is the label of the line that leaves the choice to the server ("" = no such line).
    `profile` is the user profile's exact content; `included_headers` are whole header lines; `kdc_paths` is where
    Kerberos messages are posted; `pages` are those of plugins, by their exact paths; `camouflage_…` are those of Gate;
    `phones` is whether Cisco's IP phones are expected.
    """

    vhost: str
    methods: tuple[tuple[str, ...], ...] = (("plain",),)
    banner: str = ""
    pre_login_banner: str = ""
    groups: tuple[Group, ...] = ()
    default_group: str = ""
    select_group_by_url: bool = False
    cookie_timeout: int = 300
    included_headers: tuple[str, ...] = ()
    profile: bytes | None = field(default=None, repr=False)
    profile_name: str = "profile.xml"
    kdc_paths: tuple[str, ...] = ()
    pages: Mapping[str, Page] = field(default_factory=dict)
    phones: bool = False
    camouflage: bool = False
    camouflage_secret: str = field(default="", repr=False)
    camouflage_realm: str = ""

    def new_gate(self) -> Gate:
        """That of a connection which begins."""
        return Gate(self.camouflage_secret, self.camouflage_realm) if self.camouflage else OpenGate()

    @staticmethod
    def of(vhost: WorkerVhost, pages: Mapping[str, Page] | None = None) -> LoginSettings:
        """The settings that a vhost's configuration gives."""
        options = vhost.options
        return LoginSettings(
            vhost=vhost.name,
            methods=vhost.methods,
            banner=options.banner,
            pre_login_banner=options.pre_login_banner,
            groups=vhost.groups,
            default_group=options.default_select_group,
            select_group_by_url=options.select_group_by_url,
            cookie_timeout=options.cookie_timeout,
            included_headers=options.included_http_headers,
            profile=vhost.profile,
            profile_name=options.user_profile.rpartition("/")[2] or "profile.xml",
            kdc_paths=tuple(dict.fromkeys(proxy.path for proxy in options.kkdcp)),
            pages=pages or {},
            phones=options.cisco_svc_client_compat,
            camouflage=options.camouflage,
            camouflage_secret=options.camouflage_secret,
            camouflage_realm=options.camouflage_realm,
        )


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What the handshake found. `server_certificate_sha1` is that of the certificate really presented (DER,
    upper-case hex); `certificate` is None where the client presented none."""

    server_certificate_sha1: str = ""
    certificate: CertificateFacts | None = None


# ---- commands: what the worker is to do, in their order ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the client."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Warn:
    """Say this in the log."""

    text: str


@dataclass(frozen=True, slots=True)
class AskInit:
    """Ask secmod to begin a conversation (AuthInit), and hand its reply to the login."""

    vhost: str
    username: str
    group: str
    client: ClientInfo
    method: str = PRIMARY
    certificate: CertificateFacts | None = None


@dataclass(frozen=True, slots=True)
class AskCont:
    """Give secmod the answer to its question (AuthCont), and hand its reply to the login. `answer`: what the user
    typed; `token`: or what the client's security mechanism has made."""

    handle: str
    answer: str = field(repr=False)
    token: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class AskKdc:
    """Have secmod forward a Kerberos message (KdcRequest), and hand its reply to the login."""

    vhost: str
    path: str
    realm: str
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AskProfile:
    """Ask secmod whether this cookie is a living session's (ProfileRequest), and hand its reply to the login."""

    cookie: Cookie = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogOut:
    """Tell secmod that the client of this cookie has logged out (LogOut)."""

    cookie: Cookie = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenTunnel:
    """Ask main for the tunnel (AuthCookieRequest). On success the login is over; else `on_connect_refused`."""

    request: ConnectRequest


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection; `reason` is for the log. `violation`: the client broke HTTP, and is counted."""

    reason: str
    violation: bool = False


Command = Send | AskInit | AskCont | AskKdc | AskProfile | LogOut | OpenTunnel | Close | Warn


# ---- secmod's replies, by shape (ipc/messages.py: AuthPrompt, AuthGranted, AuthDenied, KdcReply) ----------------


class Prompt(Protocol):
    """The back end asks."""

    @property
    def handle(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def counter(self) -> int: ...
    @property
    def secret(self) -> bool: ...
    @property
    def token(self) -> str: ...


class Granted(Protocol):
    """Logged in. `cookie` opens the tunnel."""

    @property
    def cookie(self) -> Cookie: ...
    @property
    def username(self) -> str: ...
    @property
    def token(self) -> str: ...


class Denied(Protocol):
    """Not logged in, for good."""

    @property
    def text(self) -> str: ...
    @property
    def token(self) -> str: ...


class KdcReply(Protocol):
    """What a key server has answered, or why it has not."""

    @property
    def message(self) -> bytes: ...
    @property
    def failure(self) -> str: ...
