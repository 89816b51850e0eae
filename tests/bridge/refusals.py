"""A kernel that refuses a system call: a seccomp filter, for a forked child (it cannot be taken off again)."""

from __future__ import annotations

import ctypes
import platform
import struct

from ocserv_core.system import libc

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06
_THIRD_ARGUMENT = 32
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

NUMBERS = {
    "x86_64": {"write": 1, "setsockopt": 54, "sendmmsg": 307, "recvmmsg": 299},
    "aarch64": {"write": 64, "setsockopt": 208, "sendmmsg": 269, "recvmmsg": 243},
}.get(platform.machine(), {})
"""Of the calls that are refused here; empty on a machine that nobody tried."""


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("code", ctypes.c_void_p))


def refuse(error: int, *calls: str) -> None:
    """From now on each of these calls ends with this errno, in this process."""
    steps = [(_LOAD, 0, 0, 0)]
    for call in calls:
        steps += [(_JUMP_EQUAL, 0, 1, NUMBERS[call]), (_RETURN, 0, 0, _ERRNO | error)]
    _install(*steps, (_RETURN, 0, 0, _ALLOW))


def refuse_long_writes(error: int, longest: int) -> None:
    """From now on write() of more than `longest` bytes ends with this errno, in this process."""
    _install(
        (_LOAD, 0, 0, 0),
        (_JUMP_EQUAL, 0, 3, NUMBERS["write"]),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_JUMP_GREATER, 0, 1, longest),
        (_RETURN, 0, 0, _ERRNO | error),
        (_RETURN, 0, 0, _ALLOW),
    )


def _install(*steps: tuple[int, int, int, int]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.addressof(code))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
