"""What GnuTLS asks during a handshake, given to the session that shakes hands: callbacks.c calls these functions.

An exception in one of them fails the handshake; it is logged here and raised again by the session, since it cannot
pass through GnuTLS. Must not decide anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from ._native import ffi, lib

if TYPE_CHECKING:
    from ._native import CData

_log = logging.getLogger(__name__)

_ALGORITHMS = {
    lib.GNUTLS_SIGN_RSA_SHA1: "RSA-PKCS1-SHA1",
    lib.GNUTLS_SIGN_RSA_SHA256: "RSA-PKCS1-SHA256",
    lib.GNUTLS_SIGN_RSA_SHA384: "RSA-PKCS1-SHA384",
    lib.GNUTLS_SIGN_RSA_SHA512: "RSA-PKCS1-SHA512",
    lib.GNUTLS_SIGN_RSA_RAW: "RSA-PKCS1-RAW",
    lib.GNUTLS_SIGN_RSA_PSS_RSAE_SHA256: "RSA-PSS-SHA256",
    lib.GNUTLS_SIGN_RSA_PSS_RSAE_SHA384: "RSA-PSS-SHA384",
    lib.GNUTLS_SIGN_RSA_PSS_RSAE_SHA512: "RSA-PSS-SHA512",
    lib.GNUTLS_SIGN_RSA_PSS_SHA256: "RSA-PSS-SHA256",
    lib.GNUTLS_SIGN_RSA_PSS_SHA384: "RSA-PSS-SHA384",
    lib.GNUTLS_SIGN_RSA_PSS_SHA512: "RSA-PSS-SHA512",
    lib.GNUTLS_SIGN_ECDSA_SHA1: "ECDSA-SHA1",
    lib.GNUTLS_SIGN_ECDSA_SHA256: "ECDSA-SHA256",
    lib.GNUTLS_SIGN_ECDSA_SHA384: "ECDSA-SHA384",
    lib.GNUTLS_SIGN_ECDSA_SHA512: "ECDSA-SHA512",
    lib.GNUTLS_SIGN_ECDSA_SECP256R1_SHA256: "ECDSA-SHA256",
    lib.GNUTLS_SIGN_ECDSA_SECP384R1_SHA384: "ECDSA-SHA384",
    lib.GNUTLS_SIGN_ECDSA_SECP521R1_SHA512: "ECDSA-SHA512",
    lib.GNUTLS_SIGN_EDDSA_ED25519: "ED25519",
}

# DigestInfo up to the digest (RFC 8017 §9.2, note 1), by which GnuTLS's PKCS #1 v1.5 signatures of TLS 1.2 are told.
_DIGEST_INFOS = {
    bytes.fromhex("3021300906052b0e03021a05000414"): (20, "RSA-PKCS1-SHA1"),
    bytes.fromhex("3031300d060960864801650304020105000420"): (32, "RSA-PKCS1-SHA256"),
    bytes.fromhex("3041300d060960864801650304020205000430"): (48, "RSA-PKCS1-SHA384"),
    bytes.fromhex("3051300d060960864801650304020305000440"): (64, "RSA-PKCS1-SHA512"),
}

ALGORITHMS = tuple(dict.fromkeys(_ALGORITHMS.values()))
"""Every `algorithm` that a Signer may be asked for."""


class Asked(Protocol):
    """The session as the callbacks need it. Methods that return int return 0 or a GnuTLS error."""

    failure: BaseException | None

    def sign(self, vhost: str, key: int, algorithm: str, data: bytes) -> bytes: ...
    def decrypt(self, vhost: str, key: int, data: bytes) -> bytes: ...
    def on_client_hello(self, name: bytes) -> int: ...
    def on_verify(self) -> int: ...
    def on_store(self, session_id: bytes, data: bytes) -> None: ...
    def on_fetch(self, session_id: bytes) -> bytes | None: ...
    def on_delete(self, session_id: bytes) -> None: ...


class RemoteKey:
    """A private key at secmod, as GnuTLS's credentials hold it. Must live as long as they do."""

    def __init__(self, vhost: str, number: int, algorithm: int, bits: int) -> None:
        self.vhost = vhost
        self.number = number
        self._handle = ffi.new_handle(self)
        self._native = ffi.new("struct oc_key *", {"handle": self._handle, "algorithm": algorithm, "bits": bits})

    def import_(self) -> CData:
        """A gnutls_privkey_t, to be given to credentials, which then own it."""
        out = ffi.new("gnutls_privkey_t *")
        if lib.gnutls_privkey_init(out) < 0 or lib.oc_key_import(out[0], self._native) < 0:
            raise MemoryError
        return out[0]


class _Current(threading.local):
    """Who shakes hands in this thread: a key, which all sessions share, must know whose signer to ask."""

    session: Asked | None = None


_current = _Current()


@contextmanager
def answering(session: Asked) -> Iterator[None]:
    """GnuTLS's questions go to `session` meanwhile."""
    _current.session = session
    try:
        yield
    finally:
        _current.session = None


def _session() -> Asked:
    assert _current.session is not None, "GnuTLS asks outside of a handshake"
    return _current.session


def _on_error(_kind: type[BaseException], error: BaseException, _traceback: TracebackType) -> None:
    _log.error("A TLS handshake fails since what it asked failed: %s: %s", type(error).__name__, error)
    if _current.session is not None:
        _current.session.failure = error


def _answer(out: CData, data: bytes, refused: int) -> int:
    return lib.oc_datum_set(out, data, len(data)) if data else refused


def _digest_of(name: str, text: bytes) -> tuple[str, bytes]:
    """GnuTLS asks for raw RSA where a DigestInfo is to be signed; secmod, which refuses raw RSA, signs its digest."""
    for prefix, (size, algorithm) in _DIGEST_INFOS.items():
        if text.startswith(prefix) and len(text) == len(prefix) + size:
            return algorithm, text[len(prefix) :]
    return name, text


@ffi.def_extern(error=lib.GNUTLS_E_PK_SIGN_FAILED, onerror=_on_error)
def oc_py_sign(key: CData, algorithm: int, data: CData, n: int, out: CData) -> int:
    remote: RemoteKey = ffi.from_handle(key)
    name = _ALGORITHMS.get(algorithm)
    if name is None:
        _log.warning("A client made GnuTLS ask for a signature of kind %d, which is unknown", algorithm)
        return int(lib.GNUTLS_E_PK_SIGN_FAILED)
    text = bytes(ffi.buffer(data, n))
    if algorithm == lib.GNUTLS_SIGN_RSA_RAW:
        name, text = _digest_of(name, text)
    signature = _session().sign(remote.vhost, remote.number, name, text)
    return _answer(out, signature, lib.GNUTLS_E_PK_SIGN_FAILED)


@ffi.def_extern(error=lib.GNUTLS_E_PK_DECRYPTION_FAILED, onerror=_on_error)
def oc_py_decrypt(key: CData, data: CData, n: int, out: CData) -> int:
    remote: RemoteKey = ffi.from_handle(key)
    plain = _session().decrypt(remote.vhost, remote.number, bytes(ffi.buffer(data, n)))
    return _answer(out, plain, lib.GNUTLS_E_PK_DECRYPTION_FAILED)


@ffi.def_extern(error=lib.GNUTLS_E_INTERNAL_ERROR, onerror=_on_error)
def oc_py_client_hello(session: CData, name: CData, n: int) -> int:
    asked: Asked = ffi.from_handle(session)
    return asked.on_client_hello(bytes(ffi.buffer(name, n)))


@ffi.def_extern(error=lib.GNUTLS_E_CERTIFICATE_ERROR, onerror=_on_error)
def oc_py_verify(session: CData) -> int:
    asked: Asked = ffi.from_handle(session)
    return asked.on_verify()


@ffi.def_extern(error=lib.GNUTLS_E_INTERNAL_ERROR, onerror=_on_error)
def oc_py_store(session: CData, session_id: CData, id_size: int, data: CData, n: int) -> int:
    asked: Asked = ffi.from_handle(session)
    asked.on_store(bytes(ffi.buffer(session_id, id_size)), bytes(ffi.buffer(data, n)))
    return 0


@ffi.def_extern(error=lib.GNUTLS_E_INTERNAL_ERROR, onerror=_on_error)
def oc_py_fetch(session: CData, session_id: CData, id_size: int, out: CData) -> int:
    asked: Asked = ffi.from_handle(session)
    data = asked.on_fetch(bytes(ffi.buffer(session_id, id_size)))
    return _answer(out, data or b"", lib.GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)


@ffi.def_extern(error=lib.GNUTLS_E_INTERNAL_ERROR, onerror=_on_error)
def oc_py_delete(session: CData, session_id: CData, id_size: int) -> int:
    asked: Asked = ffi.from_handle(session)
    asked.on_delete(bytes(ffi.buffer(session_id, id_size)))
    return 0
