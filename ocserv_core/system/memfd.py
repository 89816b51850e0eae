"""Memory that travels as a descriptor: sealed memfds, and the shared page of a pump's counters.

A sealed memfd is how main hands configuration to its siblings: nobody can change it afterwards. The page is how
main knows a worker's bytes exactly after any death.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct

from ..errors import PeerViolation
from ..model import Traffic

PAGE_SIZE = 4096
"""Bytes of the shared page."""

COUNTERS = struct.Struct("=QQQQ")
"""At offset 0 of the page, native byte order: rx_bytes, tx_bytes, rx_packets, tx_packets (as in Traffic)."""

MAX_COUNTER = 2**56
"""64 PiB: decades of 100 Gbit/s, and far enough below 64 bits that sums stay there."""

_SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_ALL_SEALS = _SIZE_SEALS | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def sealed_memfd(name: str, data: bytes) -> int:
    """A descriptor of `data` that can never be changed again. `name` is seen in /proc only."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _ALL_SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_sealed(fd: int, limit: int) -> bytes:
    """The whole content of a sealed memfd, at most `limit` bytes; `fd` stays open.

    Raises PeerViolation where it is no memfd, not sealed, or larger.
    """
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise PeerViolation("a descriptor that should be a sealed memfd is none") from error
    if seals & _ALL_SEALS != _ALL_SEALS:
        raise PeerViolation("a memfd is not sealed")
    size = os.fstat(fd).st_size
    if size > limit:
        raise PeerViolation(f"a memfd holds {size} bytes, {limit} are allowed")
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) if size else memoryview(b"") as view:
        return bytes(view)


def shared_page() -> int:
    """A descriptor of 4096 zero bytes whose size is sealed, to be mapped by a worker and by main."""
    fd = os.memfd_create("ocserv-counters", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, PAGE_SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SIZE_SEALS | fcntl.F_SEAL_SEAL)
    return fd


def map_page(fd: int, *, writable: bool) -> mmap.mmap:
    """Map the shared page; `fd` may be closed afterwards. main maps it read-only."""
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return mmap.mmap(fd, PAGE_SIZE, flags=mmap.MAP_SHARED, prot=protection)


def read_traffic(page: mmap.mmap) -> Traffic:
    """The counters as they stand. Each of the four is whole; together they may be one packet apart.

    The page is written by a worker and may hold anything: no counter is believed beyond MAX_COUNTER.
    """
    return Traffic(*(min(counter, MAX_COUNTER) for counter in COUNTERS.unpack_from(page)))
