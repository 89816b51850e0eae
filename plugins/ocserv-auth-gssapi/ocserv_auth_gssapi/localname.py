"""Which local user a principal is, by the rules of krb5.conf (auth_to_local, auth_to_local_names; without them the
name before the @ in the server's own realm). What gss_localname() does, which the package gssapi does not have."""

from __future__ import annotations

import ctypes

_MAX_NAME = 256


class _Library:
    """libkrb5. A context for each call: one must not be shared between threads."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libkrb5.so.3")
        pointer = ctypes.c_void_p
        self.init = library.krb5_init_context
        self.init.argtypes = [ctypes.POINTER(pointer)]
        self.free = library.krb5_free_context
        self.free.argtypes = [pointer]
        self.free.restype = None
        self.parse = library.krb5_parse_name
        self.parse.argtypes = [pointer, ctypes.c_char_p, ctypes.POINTER(pointer)]
        self.free_principal = library.krb5_free_principal
        self.free_principal.argtypes = [pointer, pointer]
        self.free_principal.restype = None
        self.to_local = library.krb5_aname_to_localname
        self.to_local.argtypes = [pointer, pointer, ctypes.c_int, ctypes.c_char_p]


_library = _Library()


def local_name(principal: str) -> str | None:
    """None where it is nobody's, as one of another realm is without a rule."""
    if "\0" in principal:
        return None
    context, parsed = ctypes.c_void_p(), ctypes.c_void_p()
    if _library.init(ctypes.byref(context)):
        raise OSError("libkrb5 cannot be used: see krb5.conf")
    try:
        if _library.parse(context, principal.encode(), ctypes.byref(parsed)):
            return None
        buffer = ctypes.create_string_buffer(_MAX_NAME)
        code = _library.to_local(context, parsed, _MAX_NAME - 1, buffer)
        return None if code else buffer.value.decode(errors="replace") or None
    finally:
        if parsed:
            _library.free_principal(context, parsed)
        _library.free(context)
