"""The hooks of the one back end of a host, called without pluggy's machinery: what a child runs costs it memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config.values import BackendSpec
from ..plugin.manager import load, new_manager, seal


@dataclass(frozen=True, slots=True)
class Hook:
    """An implementation; it may want fewer arguments than its spec has."""

    function: Callable[..., object]
    names: tuple[str, ...]

    def call(self, arguments: Mapping[str, object]) -> object:
        """Whatever it returns or raises."""
        return self.function(*[arguments[name] for name in self.names])


Hooks = Mapping[str, Hook]


def load_hooks(group: str, spec: BackendSpec, vhost: str) -> dict[str, Hook]:
    """By the same strict loader as secmod's. ConfigError."""
    manager = new_manager()
    (plugin,) = load(manager, group, (spec,), vhost)
    seal(manager)
    return hooks_of(manager, plugin.implementation)


def hooks_of(manager: Any, implementation: object) -> dict[str, Hook]:
    """Those of an object that is registered."""
    callers = manager.get_hookcallers(implementation) or ()
    found = {caller.name: caller.get_hookimpls()[-1] for caller in callers}
    return {name: Hook(one.function, tuple(one.argnames)) for name, one in found.items()}
