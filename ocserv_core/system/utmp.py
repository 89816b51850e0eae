"""Who is logged in, for `who` and `last` (utmp(5)). glibc has the functions, its records differ by machine: where a
`long` has 64 bits and 32-bit programs run too (x86-64 among them), times are kept in 32 bits."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from ipaddress import ip_address

from ..errors import SystemFailure

WTMP = "/var/log/wtmp"

USER_PROCESS, DEAD_PROCESS = 7, 8

_NARROW = frozenset(("x86_64", "i686", "i386", "ppc64", "ppc64le", "mips64", "armv7l", "armv6l"))
_WIDE = frozenset(("aarch64", "riscv64", "s390x", "loongarch64"))


def _record_of(machine: str) -> type[ctypes.Structure] | None:
    """struct utmpx; None where it is not known for this machine."""
    if machine not in _NARROW | _WIDE:
        return None
    number = ctypes.c_int32 if machine in _NARROW else ctypes.c_int64

    class Record(ctypes.Structure):
        _fields_ = (
            ("type", ctypes.c_short),
            ("pid", ctypes.c_int),
            ("line", ctypes.c_char * 32),
            ("id", ctypes.c_char * 4),
            ("user", ctypes.c_char * 32),
            ("host", ctypes.c_char * 256),
            ("exit", ctypes.c_short * 2),
            ("session", number),
            ("seconds", number),
            ("microseconds", number),
            ("address", ctypes.c_uint8 * 16),
            ("unused", ctypes.c_char * 20),
        )

    return Record


_RECORD = _record_of(platform.machine())
_libc = ctypes.CDLL(None, use_errno=True)
_libc.pututxline.restype = ctypes.c_void_p


def write_login(line: str, pid: int, user: str, host: str, now: float) -> None:
    """`user` is there, by the device `line`, from the address `host`. May wait for a lock. Raises SystemFailure."""
    _write(USER_PROCESS, line, pid, user, host, now)


def write_logout(line: str, pid: int, now: float) -> None:
    """Who came by `line` is gone. May wait for a lock. Raises SystemFailure."""
    _write(DEAD_PROCESS, line, pid, "", "", now)


def _write(kind: int, line: str, pid: int, user: str, host: str, now: float) -> None:
    if _RECORD is None:
        raise SystemFailure(f"use-utmp: the records of {platform.machine()} are not known")
    record = _RECORD(
        type=kind,
        pid=pid,
        line=line.encode()[:32],
        # What is logged out by: unique for each device, of which the end of the name differs.
        id=line.encode()[-4:],
        user=user.encode()[:32],
        host=host.encode()[:256],
        seconds=int(now),
        microseconds=int(now % 1 * 1e6),
    )
    if host:
        packed = ip_address(host.partition("%")[0]).packed
        record.address[: len(packed)] = packed
    with _table():
        if not _libc.pututxline(ctypes.byref(record)):
            number = ctypes.get_errno()
            # A file that is not there is how administrators turn it off, and distributions that have done with it.
            if number != errno.ENOENT:
                raise SystemFailure(f"utmp: {os.strerror(number)}")
    # This one says nothing of its failure, for the same reason.
    _libc.updwtmpx(WTMP.encode(), ctypes.byref(record))


@contextlib.contextmanager
def _table() -> Iterator[None]:
    _libc.setutxent()
    try:
        yield
    finally:
        _libc.endutxent()
