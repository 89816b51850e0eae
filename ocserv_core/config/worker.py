"""WorkerConfig: what the nursery and the workers get of a configuration. No PIN, no password file, no back end's
options; and the files that a worker needs by their content, since a worker opens nothing.

Made by main once secmod has agreed to the configuration, handed over in a sealed memfd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from .tree import Origin, ServerConfig, Vhost
from .values import AlgorithmPriority, BackendSpec, Group, Seconds
from .vhost import CertificateRequest, VhostOptions, backends_of, certificate_request

MAX_DISCOVERED_GROUPS = 512


class WorkerServer(msgspec.Struct, frozen=True, kw_only=True):
    """The ServerOptions that a worker needs."""

    tcp_port: int
    udp_port: int
    auth_timeout: Seconds
    run_as_user: str
    run_as_group: str
    chroot_dir: str
    log_level: int
    syslog_facility: str
    isolate_workers: bool
    limit_worker_memory: bool
    listen_proxy_proto: bool
    try_mtu_discovery: bool
    dtls_psk: bool
    compression_algo_priority: tuple[AlgorithmPriority, ...]
    latency_stats: bool
    debug_no_secmod_stats: bool


class WorkerCertificate(msgspec.Struct, frozen=True):
    """A certificate chain (PEM), its stapled response (DER), and the number of its key for Sign and Decrypt."""

    chain_pem: bytes
    ocsp: bytes | None
    key: int


class WorkerPlugin(msgspec.Struct, frozen=True):
    """The worker's half of a back end: its name, `module:class`, and the line that names it."""

    name: str
    entry: str
    origin: Origin


class WorkerVhost(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual host for workers. `methods`: the names of the primary way to log in, then of each alternative.
    `groups`: what the login form offers. Files that are not configured, or not needed, are None. `plugins`: in the
    order of the configuration."""

    name: str
    options: VhostOptions
    request: CertificateRequest
    certificates: tuple[WorkerCertificate, ...]
    ca_pem: bytes | None
    crl: bytes | None
    dh_params: bytes | None
    profile: bytes | None
    groups: tuple[Group, ...]
    methods: tuple[tuple[str, ...], ...]
    origins: dict[str, tuple[Origin, ...]] = {}
    plugins: tuple[WorkerPlugin, ...] = ()


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration for workers; the default vhost comes first."""

    generation: int
    server: WorkerServer
    vhosts: tuple[WorkerVhost, ...]


def build_worker_config(
    config: ServerConfig,
    generation: int,
    contents: Mapping[str, bytes],
    groups: Mapping[str, tuple[str, ...]],
    entries: Mapping[str, str] | None = None,
) -> WorkerConfig:
    """contents: the files of `files_of(config)` by their paths; only optional ones may be missing. groups: by
    vhost, what its back ends found. entries: `module:class` of those that have a worker's half, by name."""
    names = WorkerServer.__struct_fields__
    server = WorkerServer(**{name: getattr(config.server, name) for name in names})
    vhosts = []
    for vhost in config.vhosts:
        # A plugin of main is every vhost's.
        plugins = _plugins((*backends_of(vhost.options), *config.server.plugins), entries or {})
        vhosts.append(_vhost(vhost, contents, groups.get(vhost.name, ()), plugins))
    return WorkerConfig(generation=generation, server=server, vhosts=tuple(vhosts))


def _vhost(
    vhost: Vhost, contents: Mapping[str, bytes], discovered: tuple[str, ...], plugins: tuple[WorkerPlugin, ...]
) -> WorkerVhost:
    options = vhost.options
    request = certificate_request(options)
    asks = request is not CertificateRequest.NONE
    return WorkerVhost(
        name=vhost.name,
        options=_without_secrets(options),
        request=request,
        certificates=_certificates(options, contents),
        ca_pem=contents[options.ca_cert] if asks and options.ca_cert else None,
        crl=contents[options.crl] if asks and options.crl else None,
        dh_params=contents[options.dh_params] if options.dh_params else None,
        profile=contents[options.user_profile] if options.user_profile else None,
        groups=_groups(options, discovered),
        methods=_methods(options),
        origins=vhost.origins,
        plugins=plugins,
    )


def _plugins(specs: Iterable[BackendSpec], entries: Mapping[str, str]) -> tuple[WorkerPlugin, ...]:
    """Each once, however many lines name it."""
    first: dict[str, BackendSpec] = {}
    for spec in specs:
        first.setdefault(spec.name, spec)
    return tuple(
        WorkerPlugin(name, entries[name], Origin(spec.file, spec.line))
        for name, spec in first.items()
        if name in entries
    )


def _certificates(options: VhostOptions, contents: Mapping[str, bytes]) -> tuple[WorkerCertificate, ...]:
    """The stapled response belongs to the first certificate, as the C server has it."""
    staple = contents.get(options.ocsp_response)
    return tuple(
        WorkerCertificate(contents[path], staple if key == 0 else None, key)
        for key, path in enumerate(options.server_certs)
    )


def _groups(options: VhostOptions, discovered: tuple[str, ...]) -> tuple[Group, ...]:
    if not options.auto_select_group:
        return options.select_groups
    return tuple(Group(name, name) for name in discovered[:MAX_DISCOVERED_GROUPS])


def _methods(options: VhostOptions) -> tuple[tuple[str, ...], ...]:
    primary = tuple(spec.name for spec in options.auth)
    return (primary, *((spec.name,) for spec in options.enable_auth))


def _without_secrets(options: VhostOptions) -> VhostOptions:
    return msgspec.structs.replace(
        options,
        auth=_names_only(options.auth),
        enable_auth=_names_only(options.enable_auth),
        acct=None,
        session_config=(),
        server_keys=(),
        key_pin="",
        srk_pin="",
        pin_file="",
        srk_pin_file="",
        config_per_user="",
        config_per_group="",
        default_user_config="",
        default_group_config="",
    )


def _names_only(specs: tuple[BackendSpec, ...]) -> tuple[BackendSpec, ...]:
    return tuple(BackendSpec(spec.name) for spec in specs)
