"""The groups of the operating system: those of a local user, and those that users may choose from."""

from __future__ import annotations

import grp
import os
import pwd

MAX_GROUPS = 512
"""Of a list to choose from, as in the C server."""


def groups_of(username: str) -> tuple[str, ...]:
    """The names of a user's groups, the primary one first; none for who is no local user. A group that has no name, or
    one that is no UTF-8, is left out."""
    try:
        primary = pwd.getpwnam(username).pw_gid
    except (KeyError, ValueError):
        return ()
    numbers = (primary, *(number for number in os.getgrouplist(username, primary) if number != primary))
    return tuple(name for number in numbers if (name := _name_of(number)) and _is_text(name))


def groups_from(gid_min: int) -> tuple[str, ...]:
    """Every group from this number on."""
    names = (group.gr_name for group in grp.getgrall() if group.gr_gid >= gid_min)
    return tuple(dict.fromkeys(filter(_is_text, names)))[:MAX_GROUPS]


def _name_of(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""


def _is_text(name: str) -> bool:
    """Octets that are no UTF-8 are kept by Python as halves of characters, which no message can carry."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
