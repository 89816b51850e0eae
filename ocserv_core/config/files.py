"""Which files main must read for the workers, who open none. Private keys are not among them: secmod's alone."""

from __future__ import annotations

from dataclasses import dataclass

from .tree import Origin, ServerConfig, Vhost
from .vhost import CertificateRequest, certificate_request


@dataclass(frozen=True, slots=True)
class NeededFile:
    """A file, the option that names it, and where. An optional one may be missing; that is then a warning. inside: the
    folder in which the path may be meant, "" where there is none."""

    path: str
    option: str
    origin: Origin
    optional: bool = False
    inside: str = ""


def files_of(config: ServerConfig) -> tuple[NeededFile, ...]:
    """The certificates, OCSP responses, authorities, revocation lists, DH parameters and profiles of all vhosts,
    each path once. Authorities and lists are needed only where client certificates are asked for."""
    by_path: dict[str, NeededFile] = {}
    for vhost in config.vhosts:
        for file in _of(vhost, config.server.chroot_dir):
            by_path.setdefault(file.path, file)
    return tuple(by_path.values())


def _of(vhost: Vhost, chroot_dir: str) -> list[NeededFile]:
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
    ):
        if path and needed:
            files.append(NeededFile(path, option, vhost.origin(option), option == "ocsp-response"))
    if options.user_profile:
        # The C server's workers read it themselves, in there.
        files.append(NeededFile(options.user_profile, "user-profile", vhost.origin("user-profile"), inside=chroot_dir))
    return files
