"""A configuration made ready: keys loaded and matched to their certificates, back ends loaded, all before anything
changes. Runs in a thread, since importing a back end may take a while."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import msgspec

from ..config.tree import ServerConfig, Vhost
from ..config.vhost import VhostOptions
from ..errors import ConfigError, ConfigErrors
from ..ipc.messages import ConfigFault, ConfigRefused, Configured
from ..plugin.manager import load, new_manager, seal
from ..system.memfd import read_sealed
from .composition import Composition, Method, method_name
from .instance import Instance
from .keys import KeyRing, KeySource, load_key, read_pin

_log = logging.getLogger(__name__)

STORES = ("sqlite", "memory")
MAX_CONFIGURATION = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PreparedVhost:
    """One virtual host, ready."""

    name: str
    options: VhostOptions
    keys: KeyRing
    composition: Composition
    auth_timeout: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A whole configuration, ready."""

    generation: int
    config: ServerConfig
    vhosts: dict[str, PreparedVhost]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """What the back ends of each vhost with auto-select-group offer."""
        wanted = (vhost for vhost in self.vhosts.values() if vhost.options.auto_select_group)
        return {vhost.name: vhost.composition.groups() for vhost in wanted}


def prepare_sealed(generation: int, fd: int) -> tuple[Prepared | None, Configured | ConfigRefused]:
    """Prepare what main has put into a sealed memfd, which is closed. Whatever goes wrong, and wherever: there is an
    answer, since main waits for it."""
    try:
        config = msgspec.msgpack.decode(_take(fd), type=ServerConfig)
        prepared = prepare(generation, config)
        return prepared, Configured(generation, prepared.groups())
    except ConfigErrors as errors:
        faults = tuple(ConfigFault(error.message, error.file, error.line) for error in errors.errors)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (code of plugins is run here; one may even want to exit)
        _log.exception("the configuration cannot be prepared")
        faults = (ConfigFault(f"secmod cannot prepare the configuration: {error!r}", "", 0),)
    return None, ConfigRefused(generation, faults)


def _take(fd: int) -> bytes:
    try:
        return read_sealed(fd, MAX_CONFIGURATION)
    finally:
        os.close(fd)


def prepare(generation: int, config: ServerConfig) -> Prepared:
    """Load everything that `config` names. ConfigErrors with all that is wrong."""
    faults: list[ConfigError] = []
    _check_store(config, faults)
    vhosts: dict[str, PreparedVhost] = {}
    for vhost in config.vhosts:
        try:
            vhosts[vhost.name] = _prepare_vhost(vhost, float(config.server.auth_timeout))
        except ConfigErrors as several:
            faults.extend(several.errors)
    if faults:
        raise ConfigErrors(faults)
    return Prepared(generation, config, vhosts)


def _prepare_vhost(vhost: Vhost, auth_timeout: float) -> PreparedVhost:
    faults: list[ConfigError] = []
    keys = _load_keys(vhost, faults)
    composition = _load_backends(vhost, faults)
    if faults or composition is None:
        raise ConfigErrors(faults)
    # 0 is no limit for the C server's worker; a login that nobody ends would be parked for ever.
    return PreparedVhost(vhost.name, vhost.options, keys, composition, auth_timeout or 86400.0)


def _load_keys(vhost: Vhost, faults: list[ConfigError]) -> KeyRing:
    keys = []
    try:
        pin = _pin(vhost)
    except ConfigError as error:
        faults.append(error)
        return KeyRing(())
    options = vhost.options
    for number, (key, certificate) in enumerate(zip(options.server_keys, options.server_certs, strict=False)):
        origin, other = vhost.origin("server-key", number), vhost.origin("server-cert", number)
        try:
            keys.append(load_key(KeySource(key, certificate, origin.file, origin.line, other.line), pin))
        except ConfigError as error:
            faults.append(error)
    return KeyRing(keys)


def _pin(vhost: Vhost) -> bytes | None:
    """key-pin goes before pin-file."""
    options = vhost.options
    if options.key_pin:
        return options.key_pin.encode()
    if options.pin_file:
        origin = vhost.origin("pin-file")
        return read_pin(options.pin_file, origin.file, origin.line)
    return None


def _load_backends(vhost: Vhost, faults: list[ConfigError]) -> Composition | None:
    """The primary method is the first; each `enable-auth` line is one of its own."""
    options = vhost.options
    manager = new_manager()
    methods = []
    try:
        for specs in (options.auth, *((spec,) for spec in options.enable_auth)):
            plugins = load(manager, "ocserv.auth", specs, vhost.name)
            instances = tuple(Instance(plugin, manager) for plugin in plugins)
            methods.append(Method(method_name([plugin.name for plugin in plugins]), instances))
        seal(manager)
    except ConfigError as error:
        faults.append(error)
        return None
    return Composition(tuple(methods))


def _check_store(config: ServerConfig, faults: list[ConfigError]) -> None:
    store = config.server.session_store
    if store.name not in STORES or store.options:
        faults.append(
            ConfigError(
                f"the session store '{store.name}' is not installed; there are {' and '.join(STORES)}",
                store.file,
                store.line,
            )
        )
