"""Which back ends a login must satisfy: `auth` lines are all required (the primary method), each `enable-auth`
line is an alternative. A method's name is its back ends' names joined by `+`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ..errors import ConfigError, ConfigErrors
from ..model import Identity
from ..plugin.backends import Denied, Login
from ..plugin.manager import Plugin
from .instance import Instance


@dataclass(frozen=True, slots=True)
class Method:
    """One way in: every back end of it, in the order of the configuration."""

    name: str
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """The ways into one vhost; the first is the primary one."""

    methods: tuple[Method, ...]

    def choose(self, name: str) -> Method | None:
        """The method of that name; the primary one for ""."""
        if not name:
            return self.methods[0]
        return next((method for method in self.methods if method.name == name), None)

    def instances(self) -> list[Instance]:
        """Every back end of it."""
        return [instance for method in self.methods for instance in method.instances]

    def groups(self) -> tuple[str, ...]:
        """What the primary method's back ends offer for `auto-select-group`. ConfigErrors where one cannot tell."""
        found: dict[str, None] = {}
        for plugin in (instance.plugin for instance in self.methods[0].instances):
            list_groups = getattr(plugin.implementation, "ocserv_groups", None)
            if list_groups is not None:
                found.update(dict.fromkeys(_groups_of(plugin, list_groups)))
        return tuple(found)


def _groups_of(plugin: Plugin, list_groups: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return msgspec.convert(list_groups(), list[str])
    except Exception as error:
        said = f"{plugin.name}: cannot tell its groups: {error!r}"
        raise ConfigErrors([ConfigError(said, plugin.spec.file, plugin.spec.line)]) from error


def method_name(names: Sequence[str]) -> str:
    """`plain`, `certificate+plain` …"""
    return "+".join(names)


def merge(login: Login, identities: Sequence[Identity]) -> Identity:
    """One identity of several back ends' that all let the user in. They must agree on the name; attributes add up.
    Where several know groups, a certificate and a password file as it were, what all of them know counts. Then the
    chosen group must be among the groups."""
    first = identities[0]
    if any(identity.username != first.username for identity in identities):
        raise Denied("Login failed.")
    grouping = [identity for identity in identities if identity.groups or identity.group]
    grouped = _common(grouping) if len(grouping) > 1 else (*grouping, first)[0]
    attributes = {key: value for identity in identities for key, value in identity.attributes.items()}
    if login.group and login.group not in grouped.groups:
        raise Denied("Login failed.")
    token = next((identity.token for identity in identities if identity.token), "")
    return Identity(first.username, login.group or grouped.group, grouped.groups, attributes, token)


def _common(identities: Sequence[Identity]) -> Identity:
    """The groups that all know, in the order of the first; the session's is the first own one among them."""
    known = [identity.groups or (identity.group,) for identity in identities]
    groups = tuple(name for name in known[0] if all(name in other for other in known))
    if not groups:
        raise Denied("Login failed.")
    group = next((identity.group for identity in identities if identity.group in groups), groups[0])
    return Identity(identities[0].username, group, groups)
