"""The system calls that Python gives no name to, as functions that raise OSError.

Used by process.py, isolate.py, landlock.py and netns.py only. Must not decide anything.
"""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_with_lock = ctypes.PyDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def fork() -> int:
    """fork(2); the interpreter's lock is kept, so that the child has it. Raises OSError."""
    return _checked(_with_lock.fork())


def prctl(option: int, second: int = 0, third: int = 0) -> int:
    """prctl(2) with integer arguments. Raises OSError."""
    arguments = (ctypes.c_ulong(value) for value in (second, third, 0, 0))
    return _checked(_libc.prctl(ctypes.c_int(option), *arguments))


def read_parent_death_signal() -> int:
    """The signal that this process gets when its parent dies; 0 for none. Raises OSError."""
    number = ctypes.c_int(0)
    _checked(_libc.prctl(ctypes.c_int(PR_GET_PDEATHSIG), ctypes.byref(number), 0, 0, 0))
    return number.value


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    """setns(2), of the calling thread alone; os.setns is of Python 3.12. Raises OSError."""
    _checked(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError."""
    texts = (os.fsencode(text) for text in (source, target, kind))
    _checked(_libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data) if data else None))


def detach(target: str) -> None:
    """umount2(2) with MNT_DETACH. Raises OSError."""
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH)))


def syscall(number: int, *arguments: object) -> int:
    """A call that the C library has no name for either; ctypes values as arguments. Raises OSError."""
    return int(_checked(_libc.syscall(ctypes.c_long(number), *arguments)))


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2), by its number on this machine. Raises OSError (ENOSYS where the number is not known)."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(38, "pivot_root: unknown machine")
    syscall(number, os.fsencode(new_root), os.fsencode(put_old))


_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "loongarch64": 41, "ppc64le": 203, "s390x": 217}


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def read_capabilities() -> int:
    """Every capability that this process has in any of its three sets, as one mask. Raises OSError."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    _checked(_libc.capget(ctypes.byref(header), data))
    low, high = (part.effective | part.permitted | part.inheritable for part in data)
    return int(low | high << 32)


def clear_capabilities() -> None:
    """Empty the three sets of this process, for ever. Raises OSError."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(ctypes.byref(header), (_CapabilityData * 2)()))
