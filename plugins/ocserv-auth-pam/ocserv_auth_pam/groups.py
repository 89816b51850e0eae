"""The groups of the operating system: those of a user, and those that users may choose from."""

from __future__ import annotations

import grp
import logging
import os
import pwd

_log = logging.getLogger(__name__)

MAX_GROUPS = 512
"""Of a list to choose from."""


def groups_of(username: str) -> tuple[str, ...]:
    """The names of a user's groups, the primary one first. None for one whom only PAM knows; a group whose number has
    no name, or whose name is no text, is left out."""
    try:
        primary = pwd.getpwnam(username).pw_gid
    except KeyError:
        return ()
    others = (gid for gid in os.getgrouplist(username, primary) if gid != primary)
    names = (_name_of(gid) for gid in (primary, *others))
    return tuple(dict.fromkeys(name for name in names if name))


def groups_from(gid_min: int) -> tuple[str, ...]:
    """Every group from this number on, in the system's order."""
    names = [group.gr_name for group in grp.getgrall() if group.gr_gid >= gid_min and _is_text(group.gr_name)]
    if len(names) > MAX_GROUPS:
        _log.warning("of %d groups from gid-min=%d on, the first %d may be chosen", len(names), gid_min, MAX_GROUPS)
    return tuple(dict.fromkeys(names[:MAX_GROUPS]))


def _name_of(gid: int) -> str:
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
    return name if _is_text(name) else ""


def _is_text(name: str) -> bool:
    """Not one with bytes that are no UTF-8, which Python keeps as halves of characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        _log.warning("the group %s is left out: its name is no UTF-8", ascii(name))
        return False
    return True
