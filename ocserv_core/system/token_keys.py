"""Private keys that lie in a token (pkcs11: by PKCS #11 modules of p11-kit; tpmkey: by a TPM): GnuTLS uses them there.

For secmod and its signers. GnuTLS is loaded when the first such key is: who has its keys in files does without. A call
may take as long as the token takes; the interpreter's lock is released meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import re
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

SCHEMES = ("pkcs11:", "tpmkey:")
PREMASTER = 48
"""Bytes of a premaster secret (RFC 5246 7.4.7.1)."""

_KINDS = {"RSA": "rsa", "RSA-PSS": "rsa", "EC/ECDSA": "ecdsa", "ECDSA": "ecdsa", "EdDSA (Ed25519)": "ed25519"}
_NAMES = {"RSA-PKCS1": "RSA-", "RSA-PSS": "RSA-PSS-RSAE-", "ECDSA": "ECDSA-"}

_PIN_WRONG = 1 << 5
_MAY_NOT_ASK = -1
_E_MEMORY = -25
_E_UNIMPLEMENTED = -1250
_E_PIN = -303

_WRONG_PIN = "the PIN is wrong"
_SAID = {
    _E_PIN: _WRONG_PIN,
    -56: "the token has no such key; `p11tool --login --list-privkeys` lists those that it has",
    -302: "GnuTLS does not understand this address",
    -323: "there is no such token; `p11tool --list-tokens` lists those that are there",
    _E_UNIMPLEMENTED: "this machine's GnuTLS is built without support for it",
    -312: "its PIN has expired",
    -313: "its PIN is locked",
    -330: "the PIN of the key is wrong; give key-pin or pin-file",
    -331: "the PIN of the TPM's storage root key is wrong; give srk-pin or srk-pin-file",
    -333: "the TPM has no such key",
}
_NO_PIN = "it needs its PIN; give key-pin or pin-file"
_NO_SRK_PIN = "the TPM's storage root key needs its PIN; give srk-pin or srk-pin-file"


class TokenFailure(Exception):
    """What a token refused, in words that follow the name of the key. Never with a PIN."""


class _Datum(ctypes.Structure):
    _fields_ = (("data", ctypes.POINTER(ctypes.c_ubyte)), ("size", ctypes.c_uint))

    @classmethod
    def of(cls, data: bytes) -> _Datum:
        buffer = (ctypes.c_ubyte * len(data)).from_buffer_copy(data)
        return cls(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ubyte)), len(data))


_PIN_FUNCTION = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_uint,
    ctypes.c_void_p,
    ctypes.c_size_t,
)


@cache
def _gnutls() -> Any:
    """TokenFailure where the machine has none."""
    try:
        library = ctypes.CDLL("libgnutls.so.30")
    except OSError:
        raise TokenFailure("it needs GnuTLS (libgnutls.so.30), which this machine does not have") from None
    library.gnutls_strerror.restype = ctypes.c_char_p
    library.gnutls_pk_get_name.restype = ctypes.c_char_p
    return library


@cache
def _free() -> Callable[[Any], None]:
    address = ctypes.c_void_p.in_dll(_gnutls(), "gnutls_free").value
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address or 0)


def is_token_url(path: str) -> bool:
    """Whether a `server-key` names a key in a token."""
    return path.startswith(SCHEMES)


def without_pin(url: str) -> str:
    """A URL as it may be shown: RFC 7512 lets it hold the PIN."""
    return re.sub(r"(pin-value=)[^;&?]*", r"\1…", url)


class _Pins:
    """Answers what GnuTLS asks. A PIN is said once each time: three wrong ones lock a token."""

    def __init__(self, pin: bytes | None, srk_pin: bytes | None) -> None:
        self._pin = pin
        self._srk_pin = srk_pin
        self.complaint = ""
        self.function = _PIN_FUNCTION(self._answer)

    def _answer(
        self, _data: int, attempt: int, _url: bytes, label: bytes | None, flags: int, out: int, room: int
    ) -> int:
        srk = label == b"SRK"
        pin = self._srk_pin if srk else self._pin
        if attempt or flags & _PIN_WRONG:
            self.complaint = _SAID[-331] if srk else _WRONG_PIN
        elif pin is None:
            self.complaint = _NO_SRK_PIN if srk else _NO_PIN
        elif len(pin) >= room:
            self.complaint = _WRONG_PIN
        else:
            ctypes.memmove(out, pin + b"\0", len(pin) + 1)
            return 0
        return _MAY_NOT_ASK


class TokenKey:
    """One private key, opened; for one thread at a time. TokenFailure where it cannot be."""

    def __init__(self, url: str, pin: bytes | None = None, srk_pin: bytes | None = None) -> None:
        self.parts = (url, pin, srk_pin)
        """What another process needs to open it."""
        self._pins = _Pins(pin, srk_pin)
        self._open()
        bits = ctypes.c_uint(0)
        number = _gnutls().gnutls_privkey_get_pk_algorithm(self._key, ctypes.byref(bits))
        self.kind = _KINDS.get((_gnutls().gnutls_pk_get_name(number) or b"").decode(), "")
        """rsa, ecdsa, ed25519; empty for any other."""
        self._size = (bits.value + 7) // 8

    def _open(self) -> None:
        library = _gnutls()
        self._key = ctypes.c_void_p()
        if library.gnutls_privkey_init(ctypes.byref(self._key)) < 0:
            raise MemoryError
        # It holds what GnuTLS may call, so that this is forgotten after the key.
        self._close = weakref.finalize(self, _close, library, self._key, self._pins)
        self._close.atexit = False
        library.gnutls_privkey_set_pin_function(self._key, self._pins.function, None)
        code = library.gnutls_privkey_import_url(self._key, self.parts[0].encode(), 0)
        if code < 0:
            raise self._failure(code)

    def sign(self, family: str, digest: str, data: bytes) -> bytes:
        """A signature over a digest; over the whole text for the family ED25519. digest: SHA256 and the like."""
        try:
            return self._sign(family, digest, data)
        except TokenFailure:
            if self._pins.complaint:
                raise  # the same PIN once more could lock the token
            # The token was drawn and put back, or what failed before has left its session in disorder.
            self._close()
            self._open()
            return self._sign(family, digest, data)

    def _sign(self, family: str, digest: str, data: bytes) -> bytes:
        library = _gnutls()
        whole = family == "ED25519"
        name = "EdDSA-Ed25519" if whole else _NAMES[family] + digest
        call = library.gnutls_privkey_sign_data2 if whole else library.gnutls_privkey_sign_hash2
        asked, signature = _Datum.of(data), _Datum()
        algorithm = library.gnutls_sign_get_id(name.encode())
        code = call(self._key, algorithm, 0, ctypes.byref(asked), ctypes.byref(signature))
        if code < 0:
            raise self._failure(code)
        try:
            return ctypes.string_at(signature.data, signature.size)
        finally:
            _free()(signature.data)

    def decrypt(self, data: bytes) -> bytes:
        """A premaster secret. Whatever is wrong with `data` gives random bytes of the same length, without a word:
        an answer that tells good padding from bad decrypts all that was ever recorded (Bleichenbacher)."""
        made_up, plain = os.urandom(PREMASTER), ctypes.create_string_buffer(PREMASTER)
        if len(data) != self._size:
            return made_up  # a token may not get over a wrong length: SoftHSM's session is of no use afterwards
        asked = _Datum.of(data)
        code = _gnutls().gnutls_privkey_decrypt_data2(self._key, 0, ctypes.byref(asked), plain, PREMASTER)
        return (plain.raw, made_up)[code != 0]

    def _failure(self, code: int) -> TokenFailure:
        if code == _E_MEMORY:
            raise MemoryError
        return TokenFailure(self._pins.complaint or _SAID.get(code) or _gnutls().gnutls_strerror(code).decode())


def _close(library: Any, key: ctypes.c_void_p, _pins: _Pins) -> None:
    library.gnutls_privkey_deinit(key)
