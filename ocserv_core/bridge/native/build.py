"""Builds ocserv_core.bridge._native; setup.py names `ffi`. Needs a C compiler, and the headers of GnuTLS (3.6.13 or
later) and liblz4.

Paths are relative to the root of the project, where setuptools runs.
"""

from __future__ import annotations

import os

from cffi import FFI

NATIVE = "ocserv_core/bridge/native"
SOURCES = (
    "transport",
    "callbacks",
    "packet",
    "segment",
    "coalesce",
    "lzs",
    "compress",
    "latency",
    "record",
    "dtls_record",
    "dtls",
    "datagrams",
    "upstream",
    "downstream",
    "channels",
    "control",
    "library",
    "pump",
)
HEADERS = (
    "transport",
    "callbacks",
    "packet",
    "vnet",
    "segment",
    "coalesce",
    "compress",
    "latency",
    "record",
    "dtls_record",
    "dtls",
    "datagrams",
    "limit",
    "queue",
    "pump",
)
WARNINGS = ("-Wall", "-Wextra")

ffi = FFI()
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cdef.h"), encoding="utf-8") as _cdef:
    ffi.cdef(_cdef.read())
ffi.set_source(
    "ocserv_core.bridge._native",
    "#include <gnutls/x509.h>\n" + "".join(f'#include "{name}.h"\n' for name in HEADERS),
    sources=[f"{NATIVE}/{name}.c" for name in SOURCES],
    include_dirs=[NATIVE],
    depends=[f"{NATIVE}/{name}.h" for name in (*HEADERS, "cdef")],
    libraries=["gnutls", "lz4", "m"],
    extra_compile_args=["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fvisibility=hidden", *WARNINGS],
    py_limited_api=True,
)
