"""Deprecated and removed words: what each becomes, and what is said of it. Used by build.py before any declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .values import parse_boolean


@dataclass(frozen=True, slots=True)
class OldWord:
    """`becomes`: the line (name, value) that it stands for, or None for no line; may raise ValueError."""

    says: str
    becomes: Callable[[str], tuple[str, str] | None] = lambda _value: None
    fatal: bool = False


def _renamed(name: str) -> Callable[[str], tuple[str, str]]:
    return lambda value: (name, value)


def _use_dbus(value: str) -> tuple[str, str] | None:
    return ("use-occtl", "true") if parse_boolean(value) else None


def _always_require_cert(value: str) -> tuple[str, str] | None:
    return None if parse_boolean(value) else ("cisco-client-compat", "true")


OLD_WORDS = {
    "listen-clear-file": OldWord("is no longer known; use listen-proxy-proto behind a TLS proxy", fatal=True),
    "session-control": OldWord("has no effect any more; remove it"),
    "use-seccomp": OldWord("is now called isolate-workers", _renamed("isolate-workers")),
    "use-dbus": OldWord("is now called use-occtl", _use_dbus),
    "always-require-cert": OldWord("is replaced by cisco-client-compat", _always_require_cert),
    "min-reauth-time": OldWord("is now called ban-time", _renamed("ban-time")),
}
