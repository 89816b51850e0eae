"""The groups of a user, out of the Class attributes of an Access-Accept: `OU=staff;guests` names two, and a Class of
readable text without `OU=` is the name of one. Any other Class is the server's own and is only echoed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

_log = logging.getLogger(__name__)

SEPARATORS = {"semicolon": ";", "comma": ","}

MAX_GROUPS = 512
MAX_NAME = 63
"""Bytes. Both as in the C server; a longer name could not be chosen by a client."""

_PREFIX = "OU="


def groups_of(classes: Iterable[bytes], separator: str, user: str) -> tuple[str, ...]:
    """In their order, each once. `user` is for the log."""
    found = dict.fromkeys(name for octets in classes for name in _names(octets, separator))
    fit = [name for name in found if _fits(name, user)]
    if len(fit) > MAX_GROUPS:
        _log.warning("radius: '%s' has %d groups; the first %d are used", user, len(fit), MAX_GROUPS)
    return tuple(fit[:MAX_GROUPS])


def _names(octets: bytes, separator: str) -> list[str]:
    try:
        text = octets.decode().strip("\0 ")
    except UnicodeDecodeError:
        return []
    if not text.isprintable():
        return []
    if not text.upper().startswith(_PREFIX):
        return [text] if text else []
    return [name for part in text[len(_PREFIX) :].split(separator) if (name := part.strip())]


def _fits(name: str, user: str) -> bool:
    if len(name.encode()) <= MAX_NAME:
        return True
    _log.warning("radius: a group of '%s' is left out: its name is longer than %d bytes: %.80s", user, MAX_NAME, name)
    return False
