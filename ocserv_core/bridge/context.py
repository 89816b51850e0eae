"""What all TLS connections share: credentials and priorities by vhost. Built once in the nursery, before it forks.

Holds no private key: signatures are asked of secmod by the session that needs one. Must not sign, must not do I/O.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import ConfigError
from ._native import ffi, lib
from .callbacks import RemoteKey
from .errors import text_of

if TYPE_CHECKING:
    from ._native import CData

KeyType = Literal["RSA", "RSA-PSS", "ECDSA", "ED25519"]

CHAIN_MAX = 16
"""Certificates in one chain."""

_KEY_TYPES: dict[int, KeyType] = {
    lib.GNUTLS_PK_RSA: "RSA",
    lib.GNUTLS_PK_RSA_PSS: "RSA-PSS",
    lib.GNUTLS_PK_ECDSA: "ECDSA",
    lib.GNUTLS_PK_EDDSA_ED25519: "ED25519",
}


class CertificateRequest(enum.Enum):
    """Whether clients are asked for a certificate. One that is sent and not valid always fails the handshake."""

    NONE = "none"
    REQUEST = "request"
    REQUIRE = "require"


class ServerCertificate(NamedTuple):
    """One certificate of a vhost: its chain in PEM (the leaf first or not), an OCSP response in DER for the leaf,
    and the number of its key at secmod."""

    chain: bytes
    ocsp: bytes | None
    key: int


@dataclass(frozen=True)
class TlsVhost:
    """What TLS must know of one vhost. All by content: nothing is opened.

    name: the SNI name (for the first vhost of a context any name: it is the default). priorities: a GnuTLS priority
    string; %NO_TICKETS is always added. ca_pem: the CAs of client certificates. crl: PEM, else DER. dh_params:
    PKCS #3 PEM; None is a known group. cookie_timeout: seconds for which a TLS 1.2 session may be resumed. places:
    where an option's values were written (file, line), for errors.
    """

    name: str
    priorities: str
    certificates: tuple[ServerCertificate | tuple[bytes, bytes | None, int], ...]
    ca_pem: bytes | None = None
    crl: bytes | None = None
    dh_params: bytes | None = None
    request: CertificateRequest = CertificateRequest.NONE
    cookie_timeout: int = 300
    places: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedVhost:
    """A vhost as GnuTLS has it. fingerprints: SHA-1 of its certificates, by which a resumed session is judged.
    crl_until: time.time() from when on its revocation lists are too old; 0.0 without any, or where they do not say."""

    vhost: TlsVhost
    credentials: CData
    priorities: CData
    key_types: tuple[KeyType, ...]
    fingerprints: frozenset[bytes]
    crl_until: float
    kept: tuple[object, ...]
    """What GnuTLS points to and does not own."""


class TlsContext:
    """The vhosts of a configuration, ready for handshakes; sessions of forked children share it."""

    def __init__(self, vhosts: Sequence[TlsVhost]) -> None:
        """The first vhost is the default. ConfigError names the vhost and what cannot be used."""
        if not vhosts:
            raise ConfigError("There is no vhost to serve.")
        self.default = _load(vhosts[0])
        self._by_name = {vhosts[0].name.lower(): self.default}
        for vhost in vhosts[1:]:
            if vhost.name.lower() in self._by_name:
                raise _refusal(vhost, "vhost", "the name is there twice")
            self._by_name[vhost.name.lower()] = _load(vhost)

    def find(self, name: str) -> LoadedVhost:
        """The vhost of this SNI name, else the default."""
        return self._by_name.get(name.lower(), self.default)

    def crl_until(self) -> dict[str, float]:
        """By vhost: time.time() from when on its revocation lists are too old. GnuTLS goes on to use them, so that it
        needs to be said."""
        loaded = {vhost.vhost.name: vhost.crl_until for vhost in self._by_name.values()}
        return {name: until for name, until in loaded.items() if until}

    def key_types(self, vhost: str) -> tuple[KeyType, ...]:
        """The type of each certificate's key, in the order of TlsVhost.certificates."""
        return self._by_name[vhost.lower()].key_types


def _refusal(vhost: TlsVhost, option: str, why: str, index: int = 0) -> ConfigError:
    """Why a value of `option` (the `index`-th, if it has many) cannot be used, at its line."""
    places = vhost.places.get(option, ())
    file, line = places[index] if index < len(places) else ("", 0)
    return ConfigError(f"vhost {vhost.name}: {option}: {why}", file, line)


def _check(vhost: TlsVhost, option: str, code: int, index: int = 0) -> int:
    if code < 0:
        raise _refusal(vhost, option, text_of(code), index)
    return code


def _datum(data: bytes) -> tuple[CData, CData]:
    """A gnutls_datum_t, and the buffer that must live as long."""
    buffer = ffi.from_buffer("unsigned char[]", data)
    return ffi.new("gnutls_datum_t *", {"data": buffer, "size": len(data)}), buffer


def _load(vhost: TlsVhost) -> LoadedVhost:
    out = ffi.new("gnutls_certificate_credentials_t *")
    _check(vhost, "credentials", lib.gnutls_certificate_allocate_credentials(out))
    credentials = ffi.gc(out[0], lib.gnutls_certificate_free_credentials)
    flags = lib.GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH | lib.GNUTLS_CERTIFICATE_API_V2
    lib.gnutls_certificate_set_flags(credentials, flags)
    lib.oc_verify_set(credentials)
    dh_params = _load_dh_params(vhost, credentials)
    crl_until = _load_trust(vhost, credentials)
    if not vhost.certificates:
        raise _refusal(vhost, "server-cert", "there is no certificate")
    chains = [_load_chain(vhost, credentials, ServerCertificate(*entry)) for entry in vhost.certificates]
    return LoadedVhost(
        vhost,
        credentials,
        _load_priorities(vhost),
        tuple(key_type for key_type, _, _ in chains),
        frozenset(fingerprint for _, fingerprint, _ in chains),
        crl_until,
        (dh_params, *(key for _, _, key in chains)),
    )


def _load_priorities(vhost: TlsVhost) -> CData:
    # A ticket key would be a secret in every worker.
    text = ffi.new("char[]", f"{vhost.priorities}:%NO_TICKETS".encode())
    out, at = ffi.new("gnutls_priority_t *"), ffi.new("const char **")
    if lib.gnutls_priority_init(out, text, at) < 0:
        rest = ffi.string(at[0]).decode() if at[0] else vhost.priorities
        raise _refusal(vhost, "tls-priorities", f"not understood from “{rest.removesuffix(':%NO_TICKETS')}” on")
    return ffi.gc(out[0], lib.gnutls_priority_deinit)


def _load_dh_params(vhost: TlsVhost, credentials: CData) -> CData | None:
    if vhost.dh_params is None:
        level = lib.GNUTLS_SEC_PARAM_MEDIUM
        _check(vhost, "dh-params", lib.gnutls_certificate_set_known_dh_params(credentials, level))
        return None
    out = ffi.new("gnutls_dh_params_t *")
    _check(vhost, "dh-params", lib.gnutls_dh_params_init(out))
    params = ffi.gc(out[0], lib.gnutls_dh_params_deinit)
    datum, _buffer = _datum(vhost.dh_params)
    _check(vhost, "dh-params", lib.gnutls_dh_params_import_pkcs3(params, datum, lib.GNUTLS_X509_FMT_PEM))
    lib.gnutls_certificate_set_dh_params(credentials, params)
    return params


def _load_trust(vhost: TlsVhost, credentials: CData) -> float:
    # CAs first: GnuTLS looks for the issuer of a CRL among them.
    if vhost.ca_pem is not None:
        datum, _buffer = _datum(vhost.ca_pem)
        count = lib.gnutls_certificate_set_x509_trust_mem(credentials, datum, lib.GNUTLS_X509_FMT_PEM)
        if _check(vhost, "ca-cert", count) == 0:
            raise _refusal(vhost, "ca-cert", "there is no certificate in it")
    return 0.0 if vhost.crl is None else _load_crl(vhost, credentials, vhost.crl)


def _load_crl(vhost: TlsVhost, credentials: CData, crl: bytes) -> float:
    datum, _buffer = _datum(crl)
    form = lib.GNUTLS_X509_FMT_PEM
    count = lib.gnutls_certificate_set_x509_crl_mem(credentials, datum, form)
    if count < 0:
        form = lib.GNUTLS_X509_FMT_DER
        count = lib.gnutls_certificate_set_x509_crl_mem(credentials, datum, form)
    _check(vhost, "crl", count)
    until = ffi.new("int64_t *")
    _check(vhost, "crl", lib.oc_crl_next_update(datum, form, until))
    return float(until[0])


def _load_chain(vhost: TlsVhost, credentials: CData, entry: ServerCertificate) -> tuple[KeyType, bytes, RemoteKey]:
    chain, count = ffi.new(f"gnutls_pcert_st[{CHAIN_MAX}]"), ffi.new("unsigned int *", CHAIN_MAX)
    datum, _buffer = _datum(entry.chain)
    flags = lib.GNUTLS_X509_CRT_LIST_SORT | lib.GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED
    code = lib.gnutls_pcert_list_import_x509_raw(chain, count, datum, lib.GNUTLS_X509_FMT_PEM, flags)
    _check(vhost, "server-cert", code, entry.key)
    fingerprint = hashlib.sha1(ffi.buffer(chain[0].cert.data, chain[0].cert.size), usedforsecurity=False).digest()
    bits = ffi.new("unsigned int *")
    algorithm = lib.gnutls_pubkey_get_pk_algorithm(chain[0].pubkey, bits)
    if algorithm not in _KEY_TYPES:
        name = lib.gnutls_pk_algorithm_get_name(algorithm)
        raise _refusal(vhost, "server-cert", f"keys of type {ffi.string(name).decode()} cannot be used", entry.key)
    key = RemoteKey(vhost.name, entry.key, algorithm, bits[0])
    index = lib.gnutls_certificate_set_key(credentials, ffi.NULL, 0, chain, count[0], key.import_())
    _check(vhost, "server-cert", index, entry.key)
    if entry.ocsp is not None:
        _load_ocsp(vhost, credentials, index, entry.ocsp)
    return _KEY_TYPES[algorithm], fingerprint, key


def _load_ocsp(vhost: TlsVhost, credentials: CData, index: int, response: bytes) -> None:
    datum, _buffer = _datum(response)
    code = lib.gnutls_certificate_set_ocsp_status_request_mem(credentials, datum, index, lib.GNUTLS_X509_FMT_DER)
    _check(vhost, "ocsp-response", code)
