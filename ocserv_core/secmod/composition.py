"""Which back ends a login must satisfy: `auth` lines are all required (the primary method), each `enable-auth`
line is an alternative. A method's name is its back ends' names joined by `+`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
import pluggy

from ..errors import ConfigError, ConfigErrors
from ..model import Identity
from ..plugin.backends import Ask, Denied, Login
from ..plugin.manager import Plugin


@dataclass(frozen=True, slots=True)
class Method:
    """One way in: every back end of it, in the order of the configuration."""

    name: str
    plugins: tuple[Plugin, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """The ways into one vhost; the first is the primary one."""

    manager: pluggy.PluginManager
    methods: tuple[Method, ...]

    def choose(self, name: str) -> Method | None:
        """The method of that name; the primary one for ""."""
        if not name:
            return self.methods[0]
        return next((method for method in self.methods if method.name == name), None)

    def authenticate(self, plugin: Plugin, login: Login, ask: Ask) -> Awaitable[Identity]:
        """One back end's conversation. Every other plugin is left out of the call: authentication is no fan-out."""
        others = [other for other in self.manager.get_plugins() if other is not plugin.implementation]
        caller = self.manager.subset_hook_caller("ocserv_authenticate", others)
        result: Awaitable[Identity] = caller(login=login, ask=ask)
        return result

    def groups(self) -> tuple[str, ...]:
        """What the primary method's back ends offer for `auto-select-group`. ConfigErrors where one cannot tell."""
        found: dict[str, None] = {}
        for plugin in self.methods[0].plugins:
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
    """One identity of several back ends' that all let the user in. They must agree on the name; the first that
    knows groups decides them, attributes add up. Then the chosen group must be among the groups."""
    first = identities[0]
    if any(identity.username != first.username for identity in identities):
        raise Denied("Login failed.")
    grouped = next((identity for identity in identities if identity.groups or identity.group), first)
    attributes = {key: value for identity in identities for key, value in identity.attributes.items()}
    if login.group and login.group not in grouped.groups:
        raise Denied("Login failed.")
    return Identity(first.username, login.group or grouped.group, grouped.groups, attributes)
