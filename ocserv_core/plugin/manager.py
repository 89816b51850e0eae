"""The strict loader. stevedore imports only the entry points that the configuration names, in its order; pluggy
calls them, one manager per vhost. Whatever is odd is an error at start with file:line: a name that is not
installed or installed twice, a class that does not load, another API major, an unknown option or hook.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
import pluggy
from stevedore import NamedExtensionManager

from ..config.values import BackendSpec
from ..errors import ConfigError
from ..model import PluginCounters, PluginReport
from .api import check_api
from .backends import NO_SESSIONS, BackendContext, Limits, OptionError, SessionActs
from .hookspecs import PROJECT, SPECS, ServeSpecs

DISTRIBUTIONS = {
    ("ocserv.auth", "pam"): "ocserv-auth-pam",
    ("ocserv.auth", "gssapi"): "ocserv-auth-gssapi",
    ("ocserv.auth", "certificate"): "ocserv-auth-cert",
    ("ocserv.auth", "ldap"): "ocserv-auth-ldap",
    ("ocserv.auth", "radius"): "ocserv-acct-radius",
    ("ocserv.acct", "radius"): "ocserv-acct-radius",
    ("ocserv.config", "radius"): "ocserv-acct-radius",
    ("ocserv.acct", "pam"): "ocserv-auth-pam",
}
"""Our own distributions: for these alone an error names the command that installs them."""


NEEDED = {"ocserv.auth": "ocserv_authenticate", "ocserv.config": "ocserv_session_config"}
"""The hook without which a back end of a group is none."""

SECMOD = "secmod"
CHILD = "child"
"""The values of a class's `ocserv_process`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The distribution that a back end comes from, and the interface that it was written for."""

    distribution: str = ""
    version: str = ""
    api: str = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A back end that is loaded: its name in the configuration, and the object that implements the hooks of its
    entry-point group."""

    group: str
    name: str
    spec: BackendSpec
    implementation: object
    origin: Origin = Origin()
    vhost: str = ""

    @property
    def limits(self) -> Limits:
        """Its own, or the usual ones."""
        return getattr(self.implementation, "ocserv_limits", None) or Limits()

    @property
    def process(self) -> str:
        """Where its hooks run: SECMOD or CHILD."""
        return getattr(self.implementation, "ocserv_process", None) or SECMOD

    def has(self, hook: str) -> bool:
        """Whether it implements a hook."""
        return getattr(self.implementation, hook, None) is not None

    def report(
        self,
        vhost: str,
        process: str,
        counters: PluginCounters,
        *,
        breaker: str = "",
        working: int = 0,
        waiting: int = 0,
    ) -> PluginReport:
        """For occtl, as of now."""
        origin = self.origin
        return PluginReport(
            vhost=vhost,
            group=self.group,
            name=self.name,
            process=process,
            distribution=origin.distribution,
            version=origin.version,
            api=origin.api,
            breaker=breaker,
            working=working,
            waiting=waiting,
            counters=msgspec.structs.replace(counters),
        )


def alone(manager: pluggy.PluginManager, plugin: Plugin, hook: str) -> Callable[..., Any]:
    """A hook of this plugin, without those of the others."""
    others = [other for other in manager.get_plugins() if other is not plugin.implementation]
    return manager.subset_hook_caller(hook, others)


def new_manager() -> pluggy.PluginManager:
    """An empty manager that knows every spec."""
    manager = pluggy.PluginManager(PROJECT)
    for specs in SPECS:
        manager.add_hookspecs(specs)
    return manager


def load(
    manager: pluggy.PluginManager,
    group: str,
    specs: Sequence[BackendSpec],
    vhost: str,
    acts: SessionActs = NO_SESSIONS,
) -> tuple[Plugin, ...]:
    """Load the back ends that `specs` name from the entry-point group `group` into `manager`. acts: what they may do
    to sessions.

    Raises ConfigError for the first thing that is wrong, at the line of its spec.
    """
    extensions = _find(group, specs)
    contexts = [BackendContext(vhost, spec.name, acts) for spec in specs]
    return tuple(
        enter(manager, group, spec, extensions[spec.name], context)
        for spec, context in zip(specs, contexts, strict=True)
    )


def seal(manager: pluggy.PluginManager) -> None:
    """After the last `load`: refuse hooks that no spec knows (a misspelt name would be silently dead)."""
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConfigError(f"{error}") from None


def _find(group: str, specs: Sequence[BackendSpec]) -> dict[str, Any]:
    if not specs:
        return {}
    names = list(dict.fromkeys(spec.name for spec in specs))
    found: NamedExtensionManager[Any]
    try:
        found = NamedExtensionManager(
            group,
            names,
            name_order=True,
            conflict_resolver=_conflict(group, specs),
            on_missing_entrypoints_callback=_missing(group, specs),
            on_load_failure_callback=_load_failure(group, specs),
        )
    except (AssertionError, SystemExit) as error:
        # stevedore hands these past its callback, and with them the name.
        said = f"the back end '{' or '.join(names)}' of {group} cannot be loaded: {error!r}"
        raise ConfigError(said, specs[0].file, specs[0].line) from error
    return {extension.name: extension.plugin for extension in found.extensions}


def _conflict(group: str, specs: Sequence[BackendSpec]) -> Callable[[str, str, Sequence[Any]], NoReturn]:
    """Any wheel could shadow `pam`: which one is meant cannot be guessed."""

    def fail(_namespace: str, name: str, extensions: Sequence[Any]) -> NoReturn:
        spec = _named(specs, name)
        kind = group.partition(".")[2]
        values = ", ".join(sorted(extension.entry_point.value for extension in extensions))
        raise ConfigError(
            f"the {kind} back end '{name}' is installed more than once ({values}); uninstall all but one",
            spec.file,
            spec.line,
        )

    return fail


def _missing(group: str, specs: Sequence[BackendSpec]) -> Callable[[Iterable[str]], None]:
    def fail(names: Iterable[str]) -> NoReturn:
        missing = set(names)
        spec = next(spec for spec in specs if spec.name in missing)
        installed = sorted({entry.name for entry in importlib.metadata.entry_points(group=group)})
        distribution = DISTRIBUTIONS.get((group, spec.name))
        advice = f"; try: pip install {distribution}" if distribution else ""
        kind = group.partition(".")[2]
        raise ConfigError(
            f"the {kind} back end '{spec.name}' is not installed (installed: {', '.join(installed) or 'none'}){advice}",
            spec.file,
            spec.line,
        )

    return fail


def _load_failure(group: str, specs: Sequence[BackendSpec]) -> Callable[[Any, Any, BaseException], None]:
    def fail(_manager: Any, entry: Any, error: BaseException) -> NoReturn:
        spec = _named(specs, entry.name)
        raise ConfigError(
            f"the back end '{entry.name}' of {group} ({entry.value}) cannot be loaded: {error!r}", spec.file, spec.line
        ) from error

    return fail


def enter(
    manager: pluggy.PluginManager, group: str, spec: BackendSpec, factory: Any, context: BackendContext
) -> Plugin:
    """Make a back end of its class, as `load` does of an entry point. ConfigError."""
    check_api(spec, getattr(factory, "ocserv_api", None))
    try:
        implementation = factory(dict(spec.options), context)
        limits = getattr(implementation, "ocserv_limits", None)
    except OptionError as error:
        raise ConfigError(f"{spec.name}: {error}", spec.file, spec.line) from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{spec.name}: cannot be set up: {error!r}", spec.file, spec.line) from error
    if limits is not None and not isinstance(limits, Limits):
        raise ConfigError(f"{spec.name}: ocserv_limits must be Limits(…), not {limits!r}", spec.file, spec.line)
    if limits is not None and (fault := limits.fault()):
        raise ConfigError(f"{spec.name}: ocserv_limits: {fault}", spec.file, spec.line)
    _check_process(spec, implementation)
    try:
        manager.register(implementation, name=f"{group}:{spec.name}:{spec.line}")
    except pluggy.PluginValidationError as error:
        raise ConfigError(f"{spec.name}: {error}", spec.file, spec.line) from None
    _check_hooks(manager, group, spec, implementation)
    return Plugin(group, spec.name, spec, implementation, _origin(group, spec.name, factory), context.vhost)


def _check_hooks(manager: pluggy.PluginManager, group: str, spec: BackendSpec, implementation: object) -> None:
    """A hook without its marker is called by nobody, and a back end without its hook lets nobody in."""
    marked = {caller.name for caller in manager.get_hookcallers(implementation) or ()}
    known = {name for specs in SPECS for name in vars(specs) if name.startswith(f"{PROJECT}_")}
    for name in sorted(known - marked):
        if getattr(implementation, name, None) is not None:
            raise ConfigError(f"{spec.name}: {name} has no @hookimpl", spec.file, spec.line)
    needed = NEEDED.get(group)
    if needed is not None and needed not in marked:
        raise ConfigError(f"{spec.name}: it has no {needed}, which a back end of {group} is for", spec.file, spec.line)


def _check_process(spec: BackendSpec, implementation: object) -> None:
    process = getattr(implementation, "ocserv_process", SECMOD)
    if process not in (SECMOD, CHILD):
        said = f"{spec.name}: ocserv_process must be '{SECMOD}' or '{CHILD}', not {process!r}"
        raise ConfigError(said, spec.file, spec.line)
    hooks = {name for name in dir(implementation) if name.startswith(f"{PROJECT}_")} - set(vars(ServeSpecs))
    coroutines = [name for name in sorted(hooks) if inspect.iscoroutinefunction(getattr(implementation, name))]
    if process == CHILD and coroutines:
        raise ConfigError(f"{spec.name}: {coroutines[0]} is an async def, which runs in no child", spec.file, spec.line)


def look_again() -> None:
    """Before a configuration is prepared: distributions may have come and gone."""
    _installed.cache_clear()


@functools.cache
def _installed(group: str) -> importlib.metadata.EntryPoints:
    # It reads a file of each distribution that is installed: 10 ms, which each back end would take again.
    return importlib.metadata.entry_points(group=group)


def _origin(group: str, name: str, factory: Any) -> Origin:
    # Not from stevedore: an entry point out of its cache knows no distribution.
    found = next((entry.dist for entry in _installed(group).select(name=name) if entry.dist is not None), None)
    api = ".".join(map(str, factory.ocserv_api))
    return Origin(found.name, found.version, api) if found is not None else Origin(api=api)


def _named(specs: Sequence[BackendSpec], name: str) -> BackendSpec:
    return next(spec for spec in specs if spec.name == name)
