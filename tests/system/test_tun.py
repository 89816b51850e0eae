"""TUN devices come by ioctl and go with their descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from typing import Any

import pytest

from ocserv_core.errors import StartError, SystemFailure
from ocserv_core.system import tun

from .forked import in_netns, needs_tun


@needs_tun
class TestOpenTun:
    def test_devices_are_numbered(self) -> None:
        def make() -> Any:
            return [tun.open_tun("vpns").name for _ in range(3)]

        assert in_netns(make) == ["vpns0", "vpns1", "vpns2"]

    def test_the_index_is_the_kernels(self) -> None:
        def make() -> Any:
            device = tun.open_tun("vpns")
            return socket.if_indextoname(device.index) == device.name

        assert in_netns(make)

    def test_the_descriptor_neither_blocks_nor_survives_exec(self) -> None:
        def make() -> Any:
            device = tun.open_tun("vpns")
            return [os.get_blocking(device.fd), bool(fcntl.fcntl(device.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)]

        assert in_netns(make) == [False, True]

    def test_the_device_goes_with_its_descriptor(self) -> None:
        def make() -> Any:
            device = tun.open_tun("vpns")
            device.close()
            return [name for _, name in socket.if_nameindex()]

        assert "vpns0" not in in_netns(make)

    @pytest.mark.parametrize(
        ("refused", "given"),
        [
            ({}, [True, True]),
            ({tun._TUNSETOFFLOAD: [tun._TCP | tun._UDP]}, [True, False]),
            ({tun._TUNSETOFFLOAD: [tun._TCP | tun._UDP, tun._TCP]}, [False, False]),
            ({tun._TUNSETVNETHDRSZ: None}, None),
        ],
        ids=["nothing", "udp", "udp and tcp", "the header"],
    )
    def test_what_the_kernel_refuses_is_done_without(
        self, refused: dict[int, list[int] | None], given: list[bool] | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = fcntl.ioctl

        def ioctl(fd: int, request: int, argument: Any) -> Any:
            if request in refused:
                values = refused[request]
                if values is None or argument in values:
                    raise OSError(errno.EINVAL, "refused")
            return real(fd, request, argument)

        def make() -> Any:
            device = tun.open_tun("vpns")
            return device.offloads and [device.offloads.tcp, device.offloads.udp]

        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        assert in_netns(make) == given

    def test_a_refusal_that_is_no_matter_of_offloads_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def ioctl(*_: Any) -> Any:
            raise OSError(errno.EBUSY, "busy")

        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        with pytest.raises(SystemFailure, match="cannot make a TUN device"):
            tun.open_tun("vpns")

    @pytest.mark.parametrize("prefix", ["a-very-long-name", "a/b", "%d"])
    def test_a_prefix_that_is_no_name_is_refused(self, prefix: str) -> None:
        with pytest.raises(SystemFailure, match="not the beginning of an interface name"):
            tun.open_tun(prefix)


class TestCheckTun:
    @needs_tun
    def test_is_content_here(self) -> None:
        tun.check_tun()

    def test_says_what_to_do_where_the_device_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tun, "DEVICE", "/nonexistent/tun")
        with pytest.raises(StartError, match="missing TUN device: modprobe tun"):
            tun.check_tun()
