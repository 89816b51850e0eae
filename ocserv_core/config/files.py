"""Which files main must read for the workers, who open none. Private keys are not among them: secmod's alone."""

from __future__ import annotations

from dataclasses import dataclass

from .tree import Origin, ServerConfig, Vhost
from .vhost import CertificateRequest, certificate_request


@dataclass(frozen=True, slots=True)
class NeededFile:
    """A file, the option that names it, and where. An optional one may be missing; that is then a warning."""

    path: str
    option: str
    origin: Origin
    optional: bool = False


def files_of(config: ServerConfig) -> tuple[NeededFile, ...]:
    """The certificates, OCSP responses, authorities, revocation lists, DH parameters and profiles of all vhosts,
    each path once. Authorities and lists are needed only where client certificates are asked for."""
    by_path: dict[str, NeededFile] = {}
    for vhost in config.vhosts:
        for file in _of(vhost):
            by_path.setdefault(file.path, file)
    return tuple(by_path.values())


def _of(vhost: Vhost) -> list[NeededFile]:
    options = vhost.options
    files = [
        NeededFile(path, "server-cert", vhost.origin("server-cert", index))
        for index, path in enumerate(options.server_certs)
    ]
    asks = certificate_request(options) is not CertificateRequest.NONE
    for option, path, needed in (
        ("ocsp-response", options.ocsp_response, True),
        ("ca-cert", options.ca_cert, asks),
        ("crl", options.crl, asks),
        ("dh-params", options.dh_params, True),
        ("user-profile", options.user_profile, True),
    ):
        if path and needed:
            files.append(NeededFile(path, option, vhost.origin(option), option == "ocsp-response"))
    return files
