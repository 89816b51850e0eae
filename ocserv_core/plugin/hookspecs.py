"""The hook specifications, and the version of the interface they make.

API is (major, minor): a major breaks, a minor adds hooks or arguments. A plugin class says `ocserv_api = (1, 0)`.
"""

from __future__ import annotations

from collections.abc import Awaitable

import pluggy

from ..model import Identity
from .backends import Ask, Login

API = (1, 0)

PROJECT = "ocserv"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class AuthSpecs:
    """Back ends of the group `ocserv.auth`; secmod."""

    @hookspec(firstresult=True)
    def ocserv_authenticate(self, login: Login, ask: Ask) -> Awaitable[Identity]:  # type: ignore[empty-body]  # a spec
        """One login, from its first round to its end.

        Process: secmod. Thread: its event loop; the implementation is an `async def` and must not block (hash in
        a thread). When: a client has sent a user name, and the composition of `auth` lines chose this back end;
        no other back end is called for it at the same time. Returns the identity or raises Denied. Guaranteed:
        it is cancelled when the client gives up or the deadline (auth-timeout) has passed; any other exception
        fails this login, is logged with the back end's name, and hurts nothing else.
        """

    @hookspec(firstresult=True)
    def ocserv_groups(self) -> tuple[str, ...]:  # type: ignore[empty-body]  # a spec
        """The groups that users may choose from (`auto-select-group`).

        Process: secmod, when a configuration is prepared. May block briefly. Optional.
        """
