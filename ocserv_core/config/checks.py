"""What is wrong with a configuration although each of its lines is right. Called by build.py.

Needs no file: what depends on a certificate's or a list's content is checked by who reads it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .tree import ServerConfig, Vhost
from .values import BackendSpec
from .vhost import CertificateRequest, certificate_request

MAX_ALTERNATIVES = 2

MAX_IPV4_PREFIX = 30
"""The network's own address, the broadcast address and the server's are no client's."""

_POOLS = ("ipv4-network", "ipv6-network")

_ASKS_NO_PASSWORD = {"certificate", "gssapi", "oidc"}


@dataclass(frozen=True, slots=True)
class Fault:
    """line: 0 where something is missing. about: the options whose values it comes from."""

    line: int
    message: str
    about: tuple[str, ...]


def check(config: ServerConfig) -> Iterator[Fault]:
    """Every fault. What the default vhost lacks is not told again of the vhosts that inherit from it."""
    yield from _server(config)
    told = set()
    for fault in _vhost(config, config.default):
        told.add(fault.message)
        yield fault
    for vhost in config.vhosts[1:]:
        for fault in _vhost(config, vhost):
            if fault.message not in told:
                yield Fault(fault.line, f"vhost:{vhost.name}: {fault.message}", fault.about)


def _server(config: ServerConfig) -> Iterator[Fault]:
    server = config.server
    if not server.tcp_port:
        yield Fault(0, "tcp-port is missing; write tcp-port = 443", ("tcp-port",))
    if not server.socket_file:
        yield Fault(0, "socket-file is missing; write socket-file = /run/ocserv-socket", ("socket-file",))
    if not server.device:
        yield Fault(0, "device is missing; write device = vpns", ("device",))


def _vhost(config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    for one in _VHOST_CHECKS:
        yield from one(config, vhost)


def _auth(_config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    options = vhost.options
    if not options.auth:
        yield Fault(0, "auth is missing; write one like auth = plain[passwd=/etc/ocserv/ocpasswd]", ("auth",))
    modules = [spec for spec in options.auth if spec.name != "certificate"]
    if len(modules) > 1:
        yield Fault(
            modules[1].line,
            f"{modules[0].name} and {modules[1].name} cannot be mixed; beside one of them only certificate can stand",
            ("auth",),
        )
    if len(options.enable_auth) > MAX_ALTERNATIVES:
        line = options.enable_auth[MAX_ALTERNATIVES].line
        yield Fault(line, f"enable-auth can be given {MAX_ALTERNATIVES} times at most", ("enable-auth",))
    yield from _passwords(modules[:1], options.enable_auth)


def _passwords(modules: list[BackendSpec], alternatives: tuple[BackendSpec, ...]) -> Iterator[Fault]:
    """A password says nothing of which back end it is meant for, so only one of them can ask for it."""
    asking = [spec for spec in (*modules, *alternatives) if spec.name not in _ASKS_NO_PASSWORD]
    if len(asking) > 1:
        yield Fault(
            asking[1].line, f"{asking[0].name} and {asking[1].name} both ask for a password; choose one", ("auth",)
        )


def _certificate_user(_config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    if certificate_request(vhost.options) is not CertificateRequest.NONE and not vhost.options.cert_user_oid:
        ways = (*vhost.options.auth, *vhost.options.enable_auth)
        line = next(spec.line for spec in ways if spec.name == "certificate")
        yield Fault(line, "certificate needs cert-user-oid; write one like cert-user-oid = 2.5.4.3", ("cert-user-oid",))


def _keys(_config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    certs, keys = vhost.options.server_certs, vhost.options.server_keys
    if not certs:
        yield Fault(0, "server-cert is missing; write server-cert = FILE", ("server-cert",))
    if not keys:
        yield Fault(0, "server-key is missing; write server-key = FILE", ("server-key",))
    if certs and keys and len(certs) != len(keys):
        name, index = ("server-cert", len(certs) - 1) if len(certs) > len(keys) else ("server-key", len(keys) - 1)
        yield Fault(
            vhost.origin(name, index).line,
            f"{len(certs)} of server-cert and {len(keys)} of server-key; each certificate needs its key",
            ("server-cert", "server-key"),
        )
    for index, path in enumerate(certs):
        if path.startswith(("pkcs11:", "tpmkey:")):
            yield Fault(
                vhost.origin("server-cert", index).line,
                f"server-cert: '{path}' is not a file; write its path",
                ("server-cert",),
            )


def _networks(_config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    options = vhost.options
    if not options.ipv4_network and not options.ipv6_network:
        yield Fault(
            0, "ipv4-network and ipv6-network are missing; write one like ipv4-network = 192.168.99.0/24", _POOLS
        )
    if options.ipv4_network and "/" not in options.ipv4_network and not options.ipv4_netmask:
        line = vhost.origin("ipv4-network").line
        yield Fault(line, f"ipv4-network needs its prefix; write one like {options.ipv4_network}/24", ("ipv4-netmask",))
    mask = options.ipv4_netmask or options.ipv4_network.partition("/")[2]
    if options.ipv4_network and mask and ipaddress.IPv4Network(f"0.0.0.0/{mask}").prefixlen > MAX_IPV4_PREFIX:
        line = vhost.origin("ipv4-netmask" if options.ipv4_netmask else "ipv4-network").line
        yield Fault(
            line, f"ipv4-network with /{mask} has no room for a client; write /{MAX_IPV4_PREFIX} or less", _POOLS
        )
    if options.ipv6_network:
        yield from _ipv6_prefixes(vhost)


def _ipv6_prefixes(vhost: Vhost) -> Iterator[Fault]:
    options = vhost.options
    line = vhost.origin("ipv6-network").line
    prefix = options.ipv6_prefix or int(options.ipv6_network.partition("/")[2] or 0)
    if not prefix:
        yield Fault(line, f"ipv6-network needs its prefix; write one like {options.ipv6_network}/48", ("ipv6-prefix",))
    elif prefix >= options.ipv6_subnet_prefix:
        network = ipaddress.IPv6Network(f"{options.ipv6_network.partition('/')[0]}/{prefix}", strict=False)
        yield Fault(
            vhost.origin("ipv6-subnet-prefix").line or vhost.origin("ipv6-prefix").line or line,
            f"ipv6-subnet-prefix {options.ipv6_subnet_prefix} must be longer than the prefix of {network}",
            ("ipv6-network", "ipv6-prefix", "ipv6-subnet-prefix"),
        )


def _ciphers(_config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    if vhost.options.match_tls_dtls_ciphers and vhost.options.dtls_legacy:
        line = vhost.origin("match-tls-dtls-ciphers").line
        yield Fault(line, "match-tls-dtls-ciphers needs dtls-legacy = false", ("dtls-legacy",))


def _phones(config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    if vhost.options.cisco_svc_client_compat and config.server.udp_port not in (0, 443):
        line = vhost.origin("cisco-svc-client-compat").line
        yield Fault(
            line, f"cisco-svc-client-compat needs udp-port 443 or 0, not {config.server.udp_port}", ("udp-port",)
        )


def _user_configuration(_config: ServerConfig, vhost: Vhost) -> Iterator[Fault]:
    """Users' options come from one source: files, or the reply of a RADIUS server."""
    options = vhost.options
    specs = (*options.auth, *options.enable_auth, *((options.acct,) if options.acct else ()))
    by_radius = any(
        spec.name == "radius" and spec.options.get("groupconfig", "").lower() in ("true", "yes") for spec in specs
    )
    for name, value in (("config-per-user", options.config_per_user), ("config-per-group", options.config_per_group)):
        if by_radius and value:
            yield Fault(
                vhost.origin(name).line, f"{name} cannot be used with groupconfig=true of radius; drop one", ("auth",)
            )


_VHOST_CHECKS: tuple[Callable[[ServerConfig, Vhost], Iterator[Fault]], ...] = (
    _auth,
    _certificate_user,
    _keys,
    _networks,
    _ciphers,
    _phones,
    _user_configuration,
)
