"""Names in a client's certificate. GnuTLS parses: a worker has no second X.509 library. Called by TlsSession."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._native import ffi, lib
from .errors import TlsError, text_of

if TYPE_CHECKING:
    from ._native import CData

VALUES_MAX = 64
"""Values of one kind that are looked at."""


def dn_values(session: CData, oid: str) -> tuple[str, ...]:
    """The values of `oid` in the subject of the leaf; empty without a certificate."""
    name = oid.encode("ascii")

    def read(leaf: CData, i: int, out: CData, size: CData) -> int:
        return int(lib.gnutls_x509_crt_get_dn_by_oid(leaf, name, i, 0, out, size))

    return tuple(_clean(_unescape(value)) for value in _values(session, read, 0))


def email_addresses(session: CData) -> tuple[str, ...]:
    """The rfc822Name entries of the leaf's subject alternative name."""

    def read(leaf: CData, i: int, out: CData, size: CData) -> int:
        return int(lib.gnutls_x509_crt_get_subject_alt_name(leaf, i, out, size, ffi.NULL))

    return tuple(map(_clean, _values(session, read, lib.GNUTLS_SAN_RFC822NAME)))


@contextmanager
def _leaf(session: CData) -> Iterator[CData | None]:
    count, out = ffi.new("unsigned int *"), ffi.new("gnutls_x509_crt_t *")
    chain = lib.gnutls_certificate_get_peers(session, count)
    if chain == ffi.NULL or not count[0]:
        yield None
        return
    _check(lib.gnutls_x509_crt_init(out))
    try:
        _check(lib.gnutls_x509_crt_import(out[0], chain, lib.GNUTLS_X509_FMT_DER))
        yield out[0]
    finally:
        lib.gnutls_x509_crt_deinit(out[0])


def _values(session: CData, read: Callable[[CData, int, CData, CData], int], wanted: int) -> list[bytes]:
    """What `read` finds at 0, 1, …; it returns the kind of what it found, or a GnuTLS error."""
    found = []
    with _leaf(session) as leaf:
        for i in range(VALUES_MAX if leaf is not None else 0):
            out, size = ffi.new("char[]", 1024), ffi.new("size_t *", 1024)
            kind = read(leaf, i, out, size)
            if kind == lib.GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE:
                break
            if _check(kind) == wanted:
                found.append(bytes(ffi.buffer(out, size[0])))
    return found


_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)


def _unescape(value: bytes) -> bytes:
    """GnuTLS gives the value in the form of RFC 4514 §2.4: escaped, or in hex after # when it is no plain text."""
    if value.startswith(b"#"):
        raise TlsError("A name in the client's certificate is no plain text.")
    return _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if len(m[1]) == 2 else m[1], value)


def _clean(value: bytes) -> str:
    # A NUL inside would make “alice\0.evil” two different users to two readers.
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise TlsError("A name in the client's certificate is not UTF-8.") from None
    if "\0" in text:
        raise TlsError("A name in the client's certificate contains a NUL.")
    return text


def _check(code: int) -> int:
    if code < 0:
        raise TlsError(f"The client's certificate cannot be read: {text_of(code)}")
    return code
