"""Whether somebody answers, asked of a real kernel."""

from __future__ import annotations

import os
import struct
import subprocess

import pytest

from ocserv_core.system import ping
from ocserv_core.system.netns import NetworkNamespace
from tests.loop import on_loop

PAYLOAD = bytes(range(32))
NAME = f"oct-{os.getpid()}-ping"


def reply(ident: int = 7, payload: bytes = PAYLOAD, kind: int = ping.ECHO_REPLY, options: int = 0) -> bytes:
    """An IPv4 packet; its checksums are the kernel's to look at."""
    return bytes([0x45 + options // 4]) + bytes(19 + options) + struct.pack("!BBHHH", kind, 0, 0, ident, 1) + payload


def test_the_request_s_checksum_is_right() -> None:
    words = struct.unpack("!20H", ping.build_echo(7, PAYLOAD))
    total = sum(words)
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def test_an_answer_is_known_also_behind_options() -> None:
    assert ping.is_reply(reply(), 7, PAYLOAD)
    assert ping.is_reply(reply(options=8), 7, PAYLOAD)


@pytest.mark.parametrize(
    "other",
    [reply(ident=8), reply(payload=PAYLOAD[:-1]), reply(kind=ping.ECHO), reply()[:25], b"", b"\x4f"],
    ids=["another's", "shorter", "a request", "cut", "nothing", "a header's beginning"],
)
def test_what_is_no_answer(other: bytes) -> None:
    assert not ping.is_reply(other, 7, PAYLOAD)


@pytest.mark.needs_root
def test_loopback_answers_and_nobody_else() -> None:
    subprocess.run(["ip", "netns", "add", NAME], check=True, timeout=20)
    try:
        subprocess.run(["ip", "-n", NAME, "link", "set", "lo", "up"], check=True, timeout=20)
        heard: list[bool] = []

        async def ask() -> None:
            heard.append(await ping.answers("127.0.0.1", 10.0))
            heard.append(await ping.answers("192.0.2.1", 10.0))

        NetworkNamespace.open(NAME).run(lambda: on_loop(ask()))
        assert heard == [True, False]
    finally:
        subprocess.run(["ip", "netns", "del", NAME], check=True, timeout=20)


@pytest.mark.needs_root
@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit", "throw"])
def test_where_a_route_sends_nothing_nobody_is(kind: str) -> None:
    """As administrators have it for a pool whose devices come and go."""
    subprocess.run(["ip", "netns", "add", NAME], check=True, timeout=20)
    try:
        subprocess.run(["ip", "-n", NAME, "link", "set", "lo", "up"], check=True, timeout=20)
        subprocess.run(["ip", "-n", NAME, "route", "add", kind, "192.0.2.0/24"], check=True, timeout=20)
        heard: list[bool] = []

        async def ask() -> None:
            heard.append(await ping.answers("192.0.2.1", 10.0))

        NetworkNamespace.open(NAME).run(lambda: on_loop(ask()))
        assert heard == [False]
    finally:
        subprocess.run(["ip", "netns", "del", NAME], check=True, timeout=20)
