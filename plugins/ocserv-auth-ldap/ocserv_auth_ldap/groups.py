"""Whose member a user is: by an attribute of his entry (memberOf), by a search for groups that name him, or both; also
through groups that are members of groups, to a depth that is configured. No group is asked for twice, so that groups
which are members of each other end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from .connection import Connection, Deadline, Entry, Unwilling, complete
from .names import escape_filter, fill, first_value, fold, fold_dn, is_dn
from .options import Settings
from .results import NO_SUCH_OBJECT, SIZE_LIMIT

_log = logging.getLogger(__name__)

MAX_COLLECTED = 4096
"""Groups of one user that are looked at."""

MAX_LOOKUPS = 512
"""Requests for the groups of one user."""

MAX_GROUPS = 512
MAX_NAME = 63
"""What a session may have, as the C server has it: so many groups, so many bytes of a name."""

_AT_ONCE = 50
"""Groups that one search asks for."""

EVERYTHING = "(objectClass=*)"


def collect(connection: Connection, user: Entry, username: str, settings: Settings, deadline: Deadline) -> list[str]:
    """The DNs of the user's groups, those he is in himself first. Silent, Unwilling."""
    return _Collector(connection, username, settings, deadline).collect(user)


class _Collector:
    def __init__(self, connection: Connection, username: str, settings: Settings, deadline: Deadline) -> None:
        self._connection = connection
        self._username = username
        self._settings = settings
        self._deadline = deadline
        self._found: dict[str, str] = {}
        self._lookups = 0

    def collect(self, user: Entry) -> list[str]:
        fresh = self._note(self._attribute(user))
        fresh += self._note(self._naming([user.dn]))
        for _level in range(1, self._settings.group_depth):
            if not fresh:
                break
            above = [dn for dn in fresh for dn in self._note(self._attribute_of(dn))]
            if "{dn}" in self._settings.group_filter:
                above += self._note(self._naming(fresh))
            fresh = above
        return list(self._found.values())

    def _note(self, dns: Iterable[str]) -> list[str]:
        """Those that were not known yet."""
        fresh = []
        for dn in dns:
            if len(self._found) >= MAX_COLLECTED:
                _log.warning(
                    "ldap: '%s' is in more than %d groups; the others do not count", self._username, MAX_COLLECTED
                )
                break
            if fold_dn(dn) not in self._found:
                self._found[fold_dn(dn)] = dn
                fresh.append(dn)
        return fresh

    def _attribute(self, entry: Entry) -> tuple[str, ...]:
        return entry.attributes.get(self._settings.group_attribute, ())

    def _attribute_of(self, group: str) -> tuple[str, ...]:
        if not self._settings.group_attribute or not self._may_look():
            return ()
        wanted = [self._settings.group_attribute]
        entries, result = self._connection.search(group, EVERYTHING, wanted, self._deadline, one=True)
        if not result.ok and result.code != NO_SUCH_OBJECT:
            # A group that may not be read, or is another server's, leads to no others.
            _log.info("ldap: the groups of '%s' are not known: %s", group, result.explain())
        return tuple(dn for entry in entries for dn in self._attribute(entry))

    def _naming(self, members: list[str]) -> Iterator[str]:
        """The groups below group-base that name one of them."""
        if not self._settings.group_base:
            return
        for begin in range(0, len(members), _AT_ONCE):
            if not self._may_look():
                return
            one_of = "".join(self._filter(member) for member in members[begin : begin + _AT_ONCE])
            entries, result = self._connection.search(self._settings.group_base, f"(|{one_of})", [], self._deadline)
            if not complete(result):
                raise Unwilling(f"the search for groups below '{self._settings.group_base}' failed: {result.explain()}")
            if result.code == SIZE_LIMIT:
                said = "ldap: only %d groups of '%s' are known: the server gives no more at once (its size limit)"
                _log.warning(said, len(entries), self._username)
            yield from (entry.dn for entry in entries)

    def _filter(self, member: str) -> str:
        return fill(self._settings.group_filter, {"dn": member, "user": self._username}, escape_filter)

    def _may_look(self) -> bool:
        self._lookups += 1
        if self._lookups == MAX_LOOKUPS + 1:
            _log.warning("ldap: the groups of '%s' took %d requests; no more are made", self._username, MAX_LOOKUPS)
        return self._lookups <= MAX_LOOKUPS


def is_member(dns: Iterable[str], group: str) -> bool:
    """Whether one of these groups is `group`, a DN or a name."""
    return any(map(_matcher(group), dns))


def names_of(dns: list[str], group_map: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """What the groups are called here: by the map alone, in its order, where there is one; else by the innermost value
    of each DN, sorted."""
    if group_map:
        return tuple(dict.fromkeys(name for group, name in group_map if is_member(dns, group)))[:MAX_GROUPS]
    names = {name for dn in dns if (name := _name_of(dn))}
    usable = sorted(name for name in names if name.isprintable() and len(name.encode()) <= MAX_NAME)
    if len(usable) < len(names) or len(usable) > MAX_GROUPS:
        _log.info("ldap: %d groups are left out: more than %d, or no names", len(names) - len(usable), MAX_GROUPS)
    return tuple(usable[:MAX_GROUPS])


def _name_of(dn: str) -> str:
    return first_value(dn) if is_dn(dn) else ""


def _matcher(group: str) -> Callable[[str], bool]:
    if is_dn(group):
        wanted = fold_dn(group)
        return lambda dn: fold_dn(dn) == wanted
    name = fold(group)
    return lambda dn: fold(_name_of(dn)) == name
