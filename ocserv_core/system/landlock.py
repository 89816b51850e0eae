"""Landlock (landlock(7)): this process denies itself files, TCP and other processes, for ever.

Called by isolate.enter_worker. Nothing is exempt: a worker was given every descriptor that it needs. How much can
be denied depends on the kernel: its ABI is a number, 0 where there is no Landlock.
"""

from __future__ import annotations

import ctypes
import errno
import os

from . import libc

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_QUERY_VERSION = 1

_FILE_RIGHTS = ((5, 16), (3, 15), (2, 14), (1, 13))
"""ABI → the number of rights LANDLOCK_ACCESS_FS_*: each is a bit, and they were added in order."""

_BIND_AND_CONNECT_TCP = 1 | 2
_ABSTRACT_SOCKETS_AND_SIGNALS = 1 | 2

TCP_SINCE = 4
SIGNALS_SINCE = 6
"""The first ABI that denies TCP, and that denies signals to others and sockets by name."""

# A container's seccomp filter answers EPERM, a kernel that has it switched off EOPNOTSUPP.
_ABSENT = frozenset((errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM))


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def read_abi() -> int:
    """This kernel's ABI of Landlock; 0 where it has none, or none for us. Raises OSError."""
    try:
        return libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_QUERY_VERSION))
    except OSError as error:
        if error.errno in _ABSENT:
            return 0
        raise


def deny_all() -> int:
    """Deny this process, and what it forks, all that this kernel's ABI can deny; no_new_privs must be set.

    Returns the ABI. Raises OSError.
    """
    abi = read_abi()
    if abi == 0:
        return 0
    rules = _Ruleset(
        files=next((1 << count) - 1 for since, count in _FILE_RIGHTS if abi >= since),
        net=_BIND_AND_CONNECT_TCP if abi >= TCP_SINCE else 0,
        scoped=_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= SIGNALS_SINCE else 0,
    )
    # Fields that an older kernel does not know may be there as long as they are zero.
    size = ctypes.c_size_t(ctypes.sizeof(rules))
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, ctypes.c_uint32(0))
    try:
        libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return abi
