"""libpam, by the declarations of python-pam: its structures, constants and prototypes. What it does with them serves
no dialogue: every prompt gets the same password, only the first of a call is answered, and the conversation is freed
while a handle still points to it. So the conversation is our own (dialogue.py), and the two functions that python-pam
does not declare are declared here.
"""

from __future__ import annotations

import ctypes
from typing import Any

from pam.__internals import (
    PamAuthenticator,
    PamConv,
    PamHandle,
    PamMessage,
    PamResponse,
    conv_func,
)

__all__ = ["LIBC", "LIBPAM", "PamConv", "PamHandle", "PamMessage", "PamResponse", "conv_func"]


def _declare() -> Any:
    """python-pam's prototypes, and beside them pam_chauthtok(3) and pam_get_item(3)."""
    library = PamAuthenticator()
    own = ctypes.CDLL("libpam.so.0")
    own.pam_chauthtok.argtypes = [PamHandle, ctypes.c_int]
    own.pam_chauthtok.restype = ctypes.c_int
    own.pam_get_item.argtypes = [PamHandle, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    own.pam_get_item.restype = ctypes.c_int
    library.pam_chauthtok = own.pam_chauthtok
    library.pam_get_item = own.pam_get_item
    return library


def _declare_libc() -> Any:
    """What libpam frees is made by the C library: not by Python."""
    libc = ctypes.CDLL(None)
    libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    libc.calloc.restype = ctypes.c_void_p
    libc.strdup.argtypes = [ctypes.c_char_p]
    libc.strdup.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free.restype = None
    return libc


LIBPAM: Any = _declare()
LIBC: Any = _declare_libc()
