"""What every worker has in common: configuration, TLS credentials. Made once in the nursery, inherited by fork."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .. import __version__
from ..bridge.tls import CertificateRequest, ServerCertificate, TlsContext, TlsVhost
from ..config.worker import WorkerConfig, WorkerVhost
from ..ipc.log_channel import LogChannel
from .plugins import Hooks

SERVER_NAME = f"ocserv-core {__version__}"


@dataclass(frozen=True, slots=True)
class World:
    """`memory_baseline`: bytes of data of the nursery, None without limit-worker-memory. `hooks`: the plugins of each
    vhost."""

    config: WorkerConfig
    tls: TlsContext
    log: LogChannel
    memory_baseline: int | None
    hooks: Mapping[str, Hooks] = field(default_factory=dict)

    def vhost(self, name: str) -> WorkerVhost:
        """The vhost that a handshake chose."""
        return next(vhost for vhost in self.config.vhosts if vhost.name == name)


def build_tls_context(config: WorkerConfig) -> TlsContext:
    """The credentials of all vhosts. ConfigError names the vhost and what cannot be used."""
    return TlsContext([_tls_vhost(vhost) for vhost in config.vhosts])


def _tls_vhost(vhost: WorkerVhost) -> TlsVhost:
    return TlsVhost(
        name=vhost.name,
        priorities=vhost.options.tls_priorities,
        certificates=tuple(ServerCertificate(c.chain_pem, c.ocsp, c.key) for c in vhost.certificates),
        ca_pem=vhost.ca_pem,
        crl=vhost.crl,
        dh_params=vhost.dh_params,
        request=CertificateRequest(vhost.request.value),
        cookie_timeout=vhost.options.cookie_timeout,
        places={name: [(o.file, o.line) for o in origins] for name, origins in vhost.origins.items()},
    )
