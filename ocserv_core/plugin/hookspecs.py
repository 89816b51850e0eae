"""The hook specifications of secmod's groups. Those of workers are in worker.py, since workers have no pluggy."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import pluggy

from ..model import DisconnectReason, Endpoint, Identity, Traffic
from .backends import Ask, BlockingAsk, Command, Login, Options, Session, Tunnel

PROJECT = "ocserv"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class AuthSpecs:
    """Back ends of the group `ocserv.auth`; secmod."""

    @hookspec(firstresult=True)
    def ocserv_authenticate(  # type: ignore[empty-body]  # a spec
        self, login: Login, ask: Ask | BlockingAsk
    ) -> Awaitable[Identity] | Identity:
        """One login, from its first round to its end.

        Process: secmod. Thread: an `async def` runs on the event loop and must not block; what hashes, reads files
        or waits is a plain `def`, which runs in a thread of its own, where `ask` blocks, or in a child process
        (ocserv_preload). When: a client has sent a user name, and the composition of `auth` lines chose this back end;
        no other back end is called for it at the same time. Returns the identity, or raises Denied, or Unavailable
        where nobody knows. Guaranteed: it is cancelled when the client gives up, when a stretch of its work takes too
        long (Limits), or when the deadline (auth-timeout) has passed; a plain `def` hears of that at its next question
        (Abandoned), a child is killed. Any other exception fails this login, is logged with the back end's name, and
        hurts nothing else.
        """

    @hookspec(firstresult=True)
    def ocserv_groups(self) -> tuple[str, ...]:  # type: ignore[empty-body]  # a spec
        """The groups that users may choose from (`auto-select-group`).

        Process: secmod, when a configuration is prepared. May block briefly. Optional.
        """


class ConfigSpecs:
    """Back ends of the group `ocserv.config` (`session-config`); secmod."""

    @hookspec(firstresult=True)
    def ocserv_session_config(  # type: ignore[empty-body]  # a spec
        self, session: Session
    ) -> Awaitable[Options] | Options:
        """What holds for this user beside what the vhost says, by the names of ocserv.conf:
        `{"route": ["192.0.2.0/24"], "idle-timeout": "600"}`.

        Process: secmod. Thread: as ocserv_authenticate. When: a cookie asks for its tunnel, also at a reconnect.
        Several back ends are asked in the configuration's order, and an option of a later one replaces that of an
        earlier. Names and values are read as in the file of a user; what is wrong refuses the tunnel, with a line in
        the log. Raises Denied where the user may not have a tunnel, Unavailable where nobody knows: both refuse it.
        """


class ChildSpecs:
    """Back ends of every group whose class says `ocserv_process = "child"`: all hooks but ocserv_groups and
    ocserv_serve then run in a child of a host (ocserv_core/host), as plain `def`s. A child is a call from its begin to
    its end, without keys, single-threaded; it may block, crash, and change its process. Its `ask` raises nothing: where
    the login ends, the child is killed, with whatever it has started."""

    @hookspec(firstresult=True)
    def ocserv_preload(self) -> None:
        """Load and make what every child needs: what is there before the fork is shared, what each child makes costs
        memory for each.

        Process: the host. When: once, before its first child; no key and no user is there. An exception is logged, and
        the children do without. Optional.
        """


class ServeSpecs:
    """Back ends of every group; secmod."""

    @hookspec(firstresult=True)
    def ocserv_serve(self) -> Awaitable[None]:  # type: ignore[empty-body]  # a spec
        """What a back end does of its own, beside answering: it listens for what its server has to say, and acts by
        `context.sessions`.

        Process: secmod. Thread: an `async def`, on the event loop; it must not block, and parses nothing that
        strangers sent (a child process does). When: once, from when the configuration is in force. Guaranteed: it is
        cancelled when another configuration is in force or the process ends, and that configuration's is called only
        after it has ended. An exception is logged, and it is called again after a while. Optional.
        """


class AcctSpecs:
    """Back ends of the group `ocserv.acct` (`acct`); secmod. For each session the calls come one after another; those
    of other sessions go on meanwhile."""

    @hookspec(firstresult=True)
    def ocserv_session_open(self, session: Session) -> Awaitable[None] | None:
        """A session gets its first tunnel; its addresses are known.

        Process: secmod. Thread: as ocserv_authenticate. When: once for each session, before its client hears of the
        tunnel; after a failure again at the next try. Raises Denied or Unavailable: the tunnel is refused.
        """

    @hookspec(firstresult=True)
    def ocserv_session_stats(self, session: Session, traffic: Traffic, at: float) -> Awaitable[None] | None:
        """Interim statistics: `traffic` is the whole session's until `at` (time.time()), over all its connections.

        Process: secmod. Thread: as ocserv_authenticate. When: every stats-report-time, and when a reconnect has
        changed its addresses. One that fails is superseded by the next.
        """

    @hookspec(firstresult=True)
    def ocserv_session_close(
        self, session: Session, traffic: Traffic, reason: DisconnectReason, at: float
    ) -> Awaitable[None] | None:
        """The session is over: its traffic in all, and when (time.time()) and why its last connection ended.

        Process: secmod. Thread: as ocserv_authenticate. When: once for each session that was opened. Guaranteed: it
        is kept on disk until the hook returns, and called again, with the same arguments, after Unavailable and after
        a crash, for a day; so the same session may be closed twice, and the second time says the same.
        """


class MainSpecs:
    """Plugins of the group `ocserv.main` (`plugin`); main."""

    @hookspec(firstresult=True)
    def ocserv_client_admit(self, remote: Endpoint, local: Endpoint) -> str | None:
        """Whether a connection is served at all: a reason refuses it, nothing admits it.

        Process: main, as root. Thread: the event loop; it must not block: over 10 ms is logged. When: a connection was
        accepted, before anything is forked for it or read from it. Guaranteed: where it raises, this connection is
        refused, and no other.
        """

    @hookspec(firstresult=True)
    def ocserv_session_up(self, tunnel: Tunnel) -> None:
        """A tunnel is up: its device is there, the connect-script has agreed, the client hears of it now.

        Process: main, as root. Thread: the event loop; it must not block: over 10 ms is logged. When: at each
        connection, so again at a reconnect. An exception is logged and changes nothing.
        """

    @hookspec(firstresult=True)
    def ocserv_session_down(self, tunnel: Tunnel, traffic: Traffic, reason: DisconnectReason) -> None:
        """A tunnel has ended, and its device is gone: `traffic` is this connection's, to the byte.

        Process: main, as root. Thread: the event loop; it must not block: over 10 ms is logged. When: once for each
        ocserv_session_up, but where main is killed. An exception is logged and changes nothing.
        """

    @hookspec(firstresult=True)
    def ocserv_occtl_commands(self) -> Mapping[str, Command]:  # type: ignore[empty-body]  # a spec
        """Commands for `occtl plugin …`: `{"quota show": self.show}`; each returns what occtl prints.

        Process: main, as root. Thread: the event loop; it must not block: over 10 ms is logged. When: root has typed
        `occtl plugin` with some words; the longest name that they begin with is run, with the words after it.
        """


SPECS = (AuthSpecs, ConfigSpecs, AcctSpecs, ChildSpecs, ServeSpecs, MainSpecs)
"""All that pluggy calls, in the order of the reference."""
