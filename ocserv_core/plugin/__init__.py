"""The plugin door. Built-ins enter by it like a stranger's distribution; there is no other.

    hookspecs.py   what may be hooked: each spec says process, thread, when, and what is guaranteed
    backends.py    the words of a back end: Prompt, Login, Denied …
    worker.py      the workers' half: its specs and words, without pluggy
    calls.py       a hook's arguments and result as bytes, where it runs in a process of its own
    manual.py      the specs as a page of the documentation
    api.py         the version of the interface
    manager.py     the strict loader: only what the configuration names, and an error for anything odd
    entries.py     which classes the nursery is to load; main looks, and imports none

A plugin imports from here: `from ocserv_core.plugin import API, Denied, Identity, Prompt, hookimpl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model import ClientInfo, DisconnectReason, Endpoint, Identity, Lease, SessionId, Traffic
from .api import API
from .backends import (
    Abandoned,
    Ask,
    BackendContext,
    BlockingAsk,
    Command,
    Denied,
    Limits,
    Login,
    OptionError,
    Options,
    Prompt,
    Session,
    SessionActs,
    Tunnel,
    Unavailable,
)

if TYPE_CHECKING:
    from .hookspecs import hookimpl

__all__ = [
    "API",
    "Abandoned",
    "Ask",
    "BackendContext",
    "BlockingAsk",
    "ClientInfo",
    "Command",
    "Denied",
    "DisconnectReason",
    "Endpoint",
    "Identity",
    "Lease",
    "Limits",
    "Login",
    "OptionError",
    "Options",
    "Prompt",
    "Session",
    "SessionActs",
    "SessionId",
    "Traffic",
    "Tunnel",
    "Unavailable",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    """`hookimpl` when it is asked for: it brings pluggy, which workers must not have, whose half is in this package."""
    if name == "hookimpl":
        from .hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
