"""The plugin door. Built-ins enter by it like a stranger's distribution; there is no other.

    hookspecs.py   what may be hooked: each spec says process, thread, when, and what is guaranteed
    backends.py    the words of a back end: Prompt, Login, Denied …
    calls.py       a hook's arguments and result as bytes, where it runs in a process of its own
    manual.py      the specs as a page of the documentation
    manager.py     the strict loader: only what the configuration names, and an error for anything odd

A plugin imports from here: `from ocserv_core.plugin import API, Denied, Identity, Prompt, hookimpl`.
"""

from __future__ import annotations

from ..model import ClientInfo, DisconnectReason, Endpoint, Identity, Lease, SessionId, Traffic
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
from .hookspecs import API, hookimpl

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
