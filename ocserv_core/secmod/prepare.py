"""A configuration made ready: keys loaded and matched to their certificates, back ends loaded, all before anything
changes. Runs in a thread, since importing a back end may take a while."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ..config.tree import ServerConfig, Vhost
from ..config.values import BackendSpec
from ..config.vhost import VhostOptions
from ..errors import ConfigError, ConfigErrors
from ..ipc.messages import ConfigFault, ConfigRefused, Configured
from ..plugin.backends import NO_SESSIONS, SessionActs
from ..plugin.manager import load, look_again, new_manager, seal
from ..state.signers import signer_count
from ..system.memfd import read_sealed
from ..system.process import processors
from .composition import Composition, Method, method_name
from .instance import Instance
from .kdc import KdcRoute, resolve
from .key_files import KeySource, Pins, end_point_of, load_key, read_pin
from .keys import KeyRing
from .signers import Signers

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
    configuration: tuple[Instance, ...] = ()
    accounting: Instance | None = None
    end_points: tuple[bytes, ...] = ()
    proxies: tuple[KdcRoute, ...] = ()

    def end_point(self, key: int) -> bytes:
        """tls-server-end-point of the certificate that belongs to a key; empty where there is none."""
        return self.end_points[key] if 0 <= key < len(self.end_points) else b""

    def instances(self) -> list[Instance]:
        """Every back end that is loaded for it."""
        accounting = () if self.accounting is None else (self.accounting,)
        return [*self.composition.instances(), *self.configuration, *accounting]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A whole configuration, ready."""

    generation: int
    config: ServerConfig
    vhosts: dict[str, PreparedVhost]
    signers: Signers

    def retire(self) -> None:
        """It is not in force any more; what is in progress goes on."""
        self.signers.retire()
        for vhost in self.vhosts.values():
            for instance in vhost.instances():
                instance.retire()

    def groups(self) -> dict[str, tuple[str, ...]]:
        """What the back ends of each vhost with auto-select-group offer."""
        wanted = (vhost for vhost in self.vhosts.values() if vhost.options.auto_select_group)
        return {vhost.name: vhost.composition.groups() for vhost in wanted}


def prepare_sealed(generation: int, fd: int, acts: SessionActs) -> tuple[Prepared | None, Configured | ConfigRefused]:
    """Prepare what main has put into a sealed memfd, which is closed. Whatever goes wrong, and wherever: there is an
    answer, since main waits for it."""
    try:
        config = msgspec.msgpack.decode(_take(fd), type=ServerConfig)
        prepared = prepare(generation, config, acts)
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


def prepare(generation: int, config: ServerConfig, acts: SessionActs = NO_SESSIONS) -> Prepared:
    """Load everything that `config` names. acts: what back ends may do to sessions. ConfigErrors with all that is
    wrong."""
    look_again()
    faults: list[ConfigError] = []
    _check_store(config, faults)
    vhosts: dict[str, PreparedVhost] = {}
    for vhost in config.vhosts:
        try:
            vhosts[vhost.name] = _prepare_vhost(vhost, float(config.server.auth_timeout), acts)
        except ConfigErrors as several:
            faults.extend(several.errors)
    if faults:
        raise ConfigErrors(faults)
    server = config.server
    count = signer_count(server.sec_mod_scale, server.max_clients, processors())
    rings = {name: vhost.keys for name, vhost in vhosts.items()}
    return Prepared(generation, config, vhosts, Signers(rings, count, at_once=server.sec_mod_scale > 0))


def _prepare_vhost(vhost: Vhost, auth_timeout: float, acts: SessionActs) -> PreparedVhost:
    faults: list[ConfigError] = []
    keys, end_points = _load_keys(vhost, faults)
    proxies = _resolve_proxies(vhost, faults)
    backends = _load_backends(vhost, acts, faults)
    if faults or backends is None:
        raise ConfigErrors(faults)
    composition, configuration, accounting = backends
    # 0 is no limit for the C server's worker; a login that nobody ends would be parked for ever.
    patience = auth_timeout or 86400.0
    return PreparedVhost(
        vhost.name,
        vhost.options,
        keys,
        composition,
        patience,
        configuration,
        accounting,
        end_points=end_points,
        proxies=proxies,
    )


def _load_keys(vhost: Vhost, faults: list[ConfigError]) -> tuple[KeyRing, tuple[bytes, ...]]:
    """The keys, and the tls-server-end-point of each one's certificate."""
    keys, end_points = [], []
    try:
        pins = _pins(vhost)
    except ConfigError as error:
        faults.append(error)
        return KeyRing(()), ()
    options = vhost.options
    for number, (key, certificate) in enumerate(zip(options.server_keys, options.server_certs, strict=False)):
        origin, other = vhost.origin("server-key", number), vhost.origin("server-cert", number)
        try:
            source = KeySource(key, certificate, origin.file, origin.line, other.line)
            keys.append(load_key(source, pins))
            end_points.append(end_point_of(source))
        except ConfigError as error:
            faults.append(error)
    return KeyRing(keys), tuple(end_points)


def _resolve_proxies(vhost: Vhost, faults: list[ConfigError]) -> tuple[KdcRoute, ...]:
    routes = []
    for number, proxy in enumerate(vhost.options.kkdcp):
        try:
            routes.append(resolve(proxy))
        except OSError as error:
            origin = vhost.origin("kkdcp", number)
            said = f"kkdcp: the host '{proxy.host}' has no address: {error.strerror}"
            faults.append(ConfigError(said, origin.file, origin.line))
    return tuple(routes)


def _pins(vhost: Vhost) -> Pins:
    """What is written in the configuration goes before a file."""
    options = vhost.options
    return Pins(
        _pin(vhost, options.key_pin, options.pin_file, "pin-file"),
        _pin(vhost, options.srk_pin, options.srk_pin_file, "srk-pin-file"),
    )


def _pin(vhost: Vhost, written: str, path: str, name: str) -> bytes | None:
    if written:
        return written.encode()
    if path:
        origin = vhost.origin(name)
        return read_pin(path, origin.file, origin.line, name)
    return None


def _load_backends(
    vhost: Vhost, acts: SessionActs, faults: list[ConfigError]
) -> tuple[Composition, tuple[Instance, ...], Instance | None] | None:
    """The ways in, who configures sessions, and who accounts them. Of the ways in the primary one is the first; each
    `enable-auth` line is one of its own."""
    options = vhost.options
    manager = new_manager()

    def instances(group: str, specs: Sequence[BackendSpec]) -> tuple[Instance, ...]:
        return tuple(Instance(plugin, manager) for plugin in load(manager, group, specs, vhost.name, acts))

    try:
        ways = [instances("ocserv.auth", specs) for specs in (options.auth, *((s,) for s in options.enable_auth))]
        configuration = instances("ocserv.config", _session_config(options))
        accounting = instances("ocserv.acct", (options.acct,) if options.acct else ())
        seal(manager)
    except ConfigError as error:
        faults.append(error)
        return None
    methods = tuple(Method(method_name([instance.name for instance in way]), way) for way in ways)
    return Composition(methods), configuration, next(iter(accounting), None)


def _session_config(options: VhostOptions) -> tuple[BackendSpec, ...]:
    """`groupconfig=true` of a back end says that it also configures sessions, as ocserv.conf of the C server has it;
    files and such a back end exclude each other (config/checks.py)."""
    if options.session_config:
        return options.session_config
    files = {
        "per-user": options.config_per_user,
        "per-group": options.config_per_group,
        "default-user": options.default_user_config,
        "default-group": options.default_group_config,
    }
    if options.config_per_user or options.config_per_group:
        return (BackendSpec("files", {name: path for name, path in files.items() if path}),)
    specs = (*options.auth, *options.enable_auth, *((options.acct,) if options.acct else ()))
    return tuple(spec for spec in specs if spec.options.get("groupconfig", "").lower() in ("true", "yes"))[:1]


def _check_store(config: ServerConfig, faults: list[ConfigError]) -> None:
    store = config.server.session_store
    if store.name not in STORES:
        said = f"the session store '{store.name}' is not installed; there are {' and '.join(STORES)}"
        faults.append(ConfigError(said, store.file, store.line))
    elif store.options:
        said = f"the session store '{store.name}' has no options; write session-store = {store.name}"
        faults.append(ConfigError(said, store.file, store.line))
