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
from ..model import Offloads

DEVICE = "/dev/net/tun"

_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_TUNSETVNETHDRSZ = 0x400454D8
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_VNET_HDR_SIZE = 10

_TUN_F_CSUM, _TUN_F_TSO4, _TUN_F_TSO6, _TUN_F_TSO_ECN = 0x01, 0x02, 0x04, 0x08
_TUN_F_USO4, _TUN_F_USO6 = 0x20, 0x40
_TCP = _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6 | _TUN_F_TSO_ECN
_UDP = _TUN_F_USO4 | _TUN_F_USO6

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
    """An open TUN device. `fd` is non-blocking and close-on-exec.

    offloads: each packet has a struct virtio_net_hdr of 10 bytes before it; None for whole IP packets alone.
    """

    fd: int
    name: str
    index: int
    offloads: Offloads | None = None

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
    return open_tun_named(name.decode())


def open_tun_named(name: str) -> Tun:
    """Make a device of this name, in which %d stands for a number. Raises SystemFailure."""
    device = _make(name.encode(), _IFF_VNET_HDR) or _make(name.encode(), 0)
    if device is None:
        raise SystemFailure(f"cannot make a TUN device {name}: {os.strerror(errno.EINVAL)}")
    return device


def _make(name: bytes, flags: int) -> Tun | None:
    """A device with these flags; None where the kernel does not know them."""
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SystemFailure(f"cannot open {DEVICE}: {error.strerror}") from error
    try:
        answer = fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(name, _IFF_TUN | _IFF_NO_PI | flags))
        given = _IFREQ.unpack(answer)[0].split(b"\0")[0].decode()
        device = Tun(fd, given, socket.if_nametoindex(given))
        return _offload(device) if flags & _IFF_VNET_HDR else device
    except OSError as error:
        os.close(fd)
        if flags and error.errno in _NOT_KNOWN:
            return None
        raise SystemFailure(f"cannot make a TUN device {name.decode()}: {error.strerror}") from error


_NOT_KNOWN = frozenset((errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP))


def _offload(device: Tun) -> Tun:
    """Ask for as much as the kernel gives: UDP segmentation is younger than TCP's (Linux 6.2)."""
    fcntl.ioctl(device.fd, _TUNSETVNETHDRSZ, struct.pack("=i", _VNET_HDR_SIZE))
    for tcp, udp in ((_TCP, _UDP), (_TCP, 0), (0, 0)):
        try:
            fcntl.ioctl(device.fd, _TUNSETOFFLOAD, tcp | udp)
        except OSError as error:
            if error.errno not in _NOT_KNOWN or not tcp:
                raise
        else:
            return dataclasses.replace(device, offloads=Offloads(tcp=bool(tcp), udp=bool(udp)))
    raise AssertionError("the last try raises")
