"""Password hashes: every format of the system's crypt(3) ($1$ $5$ $6$ $y$ $2b$ DES …) and `$argon2id$`.

Called by ocpasswd to write a hash and by secmod, in the thread of a login, to check one: crypt_r through ctypes works
outside the GIL. No randomness is read here (`gensalt` gets it as an argument), and no password is kept or logged.
"""

from __future__ import annotations

import ctypes
import functools
import hmac
from collections.abc import Callable

from ..errors import StartError

FAILURE_TOKENS = ("*0", "*1")
"""What crypt(3) returns in place of a hash when it refuses; no password matches them."""

_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.so")
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT_CHARACTERS = {"$1$": 8, "$5$": 16, "$6$": 16}

# struct crypt_data: 32 KiB in libxcrypt, 131232 bytes in the older library of glibc.
_CRYPT_DATA = 131_232


def gensalt(method: str, random: bytes) -> str:
    """A fresh setting for `hash_password`: `method` is "$5$", "$6$" or "$1$".

    One random byte makes one character of salt; 16 are needed (8 for $1$). Raises ValueError for fewer.
    """
    count = _SALT_CHARACTERS[method]
    if len(random) < count:
        raise ValueError(f"{method} needs {count} random bytes")
    return method + "".join(_ALPHABET[byte % 64] for byte in random[:count])


def hash_password(password: bytes, salt: str) -> str:
    """crypt(3): the hash of `password` under a setting, or under a whole hash, whose setting it then takes.

    Returns a failure token (`*0`, `*1`) where the library refuses: an unknown method, a password longer than it
    takes (512 bytes), a zero byte. Raises StartError where the machine has no libcrypt.
    """
    setting = salt.encode("utf-8", "surrogateescape")
    if b"\0" in password or b"\0" in setting:
        return FAILURE_TOKENS[0]
    data = ctypes.create_string_buffer(_CRYPT_DATA)
    hashed = _crypt_r()(password, setting, data)
    return FAILURE_TOKENS[0] if hashed is None else hashed.decode("ascii", "replace")


def verify(password: bytes, stored: str) -> bool:
    """Whether `stored` is a hash of `password`. Locked (`!…`), empty, broken and unknown hashes are no match."""
    if stored.startswith("$argon2id$"):
        return _verify_argon2(password, stored)
    hashed = hash_password(password, stored)
    if hashed.startswith("*") or not stored:
        return False
    return hmac.compare_digest(hashed.encode(), stored.encode("utf-8", "surrogateescape"))


def _verify_argon2(password: bytes, stored: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(stored.encode("ascii"), password, Type.ID)
    except (InvalidHashError, VerificationError, UnicodeEncodeError):
        return False


@functools.cache
def _crypt_r() -> Callable[[bytes, bytes, ctypes.Array[ctypes.c_char]], bytes | None]:
    for name in _LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        function.restype = ctypes.c_char_p
        return function
    raise StartError("libcrypt is not installed (Debian: libcrypt1)")
