"""The plugin door. Built-ins enter by it like a stranger's distribution; there is no other.

    hookspecs.py   what may be hooked: each spec says process, thread, when, and what is guaranteed
    backends.py    the words of a back end: Prompt, Login, Denied …
    calls.py       a hook's arguments and result as bytes, where it runs in a process of its own
    manager.py     the strict loader: only what the configuration names, and an error for anything odd

A plugin imports from here: `from ocserv_core.plugin import API, Denied, Identity, Prompt, hookimpl`.
"""

from __future__ import annotations

from ..model import ClientInfo, DisconnectReason, Identity, Lease, SessionId, Traffic
from .backends import (
    Abandoned,
    Ask,
    BackendContext,
    BlockingAsk,
    Denied,
    Limits,
    Login,
    OptionError,
    Options,
    Prompt,
    Session,
    SessionActs,
    Unavailable,
)
from .hookspecs import API, hookimpl

__all__ = [
    "API",
    "Abandoned",
    "Ask",
    "BackendContext",
    "BlockingAsk",
    "ClientInfo",
    "Denied",
    "DisconnectReason",
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
    "Unavailable",
    "hookimpl",
]
