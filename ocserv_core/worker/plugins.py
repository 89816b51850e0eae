"""The workers' halves of back ends: loaded by the nursery, called by workers from a plain table for each vhost.

pluggy stays out of here; what it would check (the class, its API, its hooks' names) is checked by the nursery before
it gives up its privileges, so that a wrong one refuses the configuration.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..bridge.tls import TlsError, TlsSession
from ..config.values import BackendSpec
from ..config.worker import WorkerConfig, WorkerPlugin, WorkerVhost
from ..errors import ConfigError, OcservError
from ..model import CertificateFacts
from ..plugin.api import check_api
from ..plugin.worker import CertificateRefused, PeerCertificate, TunnelFacts, WorkerContext, WorkerSpecs
from ..protocol.pages import Page
from .plugin_answers import checked_facts, checked_headers, checked_pages

_log = logging.getLogger(__name__)

HOOKS = frozenset(name for name in vars(WorkerSpecs) if name.startswith("ocserv_"))

NOT_IN_WORKERS = frozenset(("asyncio", "argon2", "cryptography", "pluggy", "pyroute2", "sqlite3", "ssl", "stevedore"))
"""Libraries that other processes need, or a second one for what a worker has already: memory of each client's, and
code before strangers."""


class PluginFault(OcservError):
    """The worker's half of a back end failed; its client ends, and nothing is the client's fault."""


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """One object of a class of `ocserv.worker`, and who it is."""

    name: str
    implementation: object

    def hook(self, name: str) -> Callable[..., Any] | None:
        """Its implementation of a hook, if it has one."""
        found: Callable[..., Any] | None = getattr(self.implementation, name, None)
        return found


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the plugins of one vhost say, in the configuration's order."""

    plugins: tuple[LoadedPlugin, ...] = ()
    pages: Mapping[str, Page] = field(default_factory=dict)

    def certificate_identity(self, certificate: PeerCertificate) -> CertificateFacts | None:
        """Whom a verified certificate names; None where nobody knows. CertificateRefused, PluginFault."""
        for plugin in self.plugins:
            said = _call(plugin, "ocserv_certificate_identity", certificate)
            if said is not None:
                facts: CertificateFacts = _checked(plugin, "ocserv_certificate_identity", checked_facts, said)
                return facts
        return None

    def offer_headers(self, tunnel: TunnelFacts) -> tuple[str, ...]:
        """Whole lines for the answer to CONNECT. PluginFault."""
        lines: list[str] = []
        for plugin in self.plugins:
            said = _call(plugin, "ocserv_offer_headers", tunnel)
            if said is not None:
                lines.extend(_checked(plugin, "ocserv_offer_headers", checked_headers, said))
        return tuple(lines)


class SessionCertificate:
    """A PeerCertificate of the handshake that a session has made."""

    def __init__(self, session: TlsSession) -> None:
        self._session = session

    def names(self, oid: str) -> tuple[str, ...]:
        """Of the subject. CertificateRefused."""
        return _readable(lambda: self._session.peer_names(oid))

    def emails(self) -> tuple[str, ...]:
        """Of the subject alternative name. CertificateRefused."""
        return _readable(self._session.peer_emails)


def _readable(read: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return read()
    except TlsError as error:
        raise CertificateRefused(str(error)) from None


def _call(plugin: LoadedPlugin, name: str, argument: object) -> Any:
    hook = plugin.hook(name)
    if hook is None:
        return None
    try:
        return hook(argument)
    except CertificateRefused:
        raise
    except (Exception, SystemExit) as error:
        # The traceback is in the log once, here; what the client ends with is one line.
        _log.exception("the back end '%s' failed in %s", plugin.name, name)
        raise PluginFault(f"the back end '{plugin.name}' failed in {name}: {type(error).__name__}") from error


def _checked(plugin: LoadedPlugin, name: str, check: Callable[[Any], Any], said: object) -> Any:
    try:
        return check(said)
    except ValueError as error:
        raise PluginFault(f"the back end '{plugin.name}' said in {name}: {error}") from None


# ---- loading, in the nursery


def load_hooks(config: WorkerConfig) -> dict[str, Hooks]:
    """By vhost. ConfigError for what cannot be loaded, at the line that names it."""
    return {vhost.name: _load_vhost(vhost) for vhost in config.vhosts}


def _load_vhost(vhost: WorkerVhost) -> Hooks:
    plugins = []
    pages: dict[str, Page] = {}
    for plugin in vhost.plugins:
        loaded = LoadedPlugin(plugin.name, _load(plugin, vhost))
        plugins.append(loaded)
        pages.update(_pages(plugin, loaded, pages))
    return Hooks(tuple(plugins), pages)


def _load(plugin: WorkerPlugin, vhost: WorkerVhost) -> object:
    module, _, name = plugin.entry.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise _refusal(plugin, f"cannot be loaded: {error!r}") from error
    unwanted = sorted(NOT_IN_WORKERS.intersection(sys.modules))
    if unwanted:
        raise _refusal(plugin, f"brings {unwanted[0]}, which workers must not have")
    check_api(
        BackendSpec(plugin.name, file=plugin.origin.file, line=plugin.origin.line), getattr(factory, "ocserv_api", None)
    )
    unknown = sorted(found for found in dir(factory) if found.startswith("ocserv_") and found not in _KNOWN)
    if unknown:
        raise _refusal(plugin, f"{unknown[0]} is no hook of a worker; there are {', '.join(sorted(HOOKS))}")
    options = vhost.options
    try:
        return factory(WorkerContext(vhost.name, plugin.name, options.cert_user_oid, options.cert_group_oid))
    except Exception as error:
        raise _refusal(plugin, f"cannot be set up: {error!r}") from error


_KNOWN = HOOKS | {"ocserv_api"}


def _pages(plugin: WorkerPlugin, loaded: LoadedPlugin, taken: Mapping[str, Page]) -> dict[str, Page]:
    hook = loaded.hook("ocserv_http_routes")
    if hook is None:
        return {}
    try:
        return checked_pages(hook(), taken)
    except Exception as error:
        raise _refusal(plugin, f"its ocserv_http_routes cannot be used: {error}") from error


def _refusal(plugin: WorkerPlugin, why: str) -> ConfigError:
    said = f"the worker's half of '{plugin.name}' ({plugin.entry}) {why}"
    return ConfigError(said, plugin.origin.file, plugin.origin.line)
