"""The hook specifications, and the version of the interface they make.

API is (major, minor): a major breaks, a minor adds hooks or arguments. A plugin class says `ocserv_api = (1, 0)`.
"""

from __future__ import annotations

from collections.abc import Awaitable

import pluggy

from ..model import Identity
from .backends import Ask, BlockingAsk, Login

API = (1, 0)

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

        Process: secmod. Thread: an `async def` runs on the event loop and must not block (hash in a thread); a plain
        `def` runs in a thread of its own, where `ask` blocks. When: a client has sent a user name, and the
        composition of `auth` lines chose this back end; no other back end is called for it at the same time. Returns
        the identity, or raises Denied, or Unavailable where nobody knows. Guaranteed: it is cancelled when the client
        gives up, when a stretch of its work takes too long (Limits), or when the deadline (auth-timeout) has passed;
        a plain `def` hears of that at its next question (Abandoned). Any other exception fails this login, is logged
        with the back end's name, and hurts nothing else.
        """

    @hookspec(firstresult=True)
    def ocserv_groups(self) -> tuple[str, ...]:  # type: ignore[empty-body]  # a spec
        """The groups that users may choose from (`auto-select-group`).

        Process: secmod, when a configuration is prepared. May block briefly. Optional.
        """
