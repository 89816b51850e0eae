"""TUN devices by ioctl, one for each session. A device lives as long as a descriptor of it is open.

Called by main. Addresses and MTU are netlink.py's.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import socket
import struct

from ..errors import StartError, SystemFailure

DEVICE = "/dev/net/tun"

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_IFREQ = struct.Struct("16sH22x")
_NAME_MAX = 15

_WHY_NOT = {
    errno.ENOENT: "missing TUN device: modprobe tun (a container must be given /dev/net/tun)",
    errno.ENODEV: "the kernel has no TUN driver: modprobe tun",
    errno.ENXIO: "the kernel has no TUN driver: modprobe tun",
    errno.EPERM: "the TUN device may not be used: ocserv needs root (a container: CAP_NET_ADMIN and the device)",
    errno.EACCES: "the TUN device may not be used: ocserv needs root (a container: CAP_NET_ADMIN and the device)",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Tun:
    """An open TUN device: whole IP packets, no header before them. `fd` is non-blocking and close-on-exec."""

    fd: int
    name: str
    index: int

    def close(self) -> None:
        """Close this descriptor; the device goes with its last one."""
        os.close(self.fd)


def check_tun() -> None:
    """Whether TUN devices can be made here at all. Raises StartError with what to do."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise StartError(_WHY_NOT.get(error.errno or 0, f"cannot open {DEVICE}: {error.strerror}")) from error


def open_tun(prefix: str) -> Tun:
    """Make the device `prefix` + the first free number. Raises SystemFailure.

    prefix: the option `device`; at most 11 bytes, so that four digits fit into the 15 of a name.
    """
    name = f"{prefix}%d".encode()
    if len(name) + 2 > _NAME_MAX or "%" in prefix or "/" in prefix:
        raise SystemFailure(f"device = {prefix}: not the beginning of an interface name (11 letters at most)")
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SystemFailure(f"cannot open {DEVICE}: {error.strerror}") from error
    try:
        answer = fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(name, _IFF_TUN | _IFF_NO_PI))
        given = _IFREQ.unpack(answer)[0].split(b"\0")[0].decode()
        return Tun(fd, given, socket.if_nametoindex(given))
    except OSError as error:
        os.close(fd)
        raise SystemFailure(f"cannot make a TUN device {prefix}*: {error.strerror}") from error
