"""What a test may need of the machine, as markers: where it is missing, the test is skipped and the reason is told.

`needs_root`, `needs_tun` (root and /dev/net/tun), `needs_lab` (both, network namespaces and openconnect).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable

import pytest


@functools.cache
def no_root() -> str:
    return "" if os.geteuid() == 0 else "needs root"


@functools.cache
def no_tun() -> str:
    if no_root():
        return "needs root and /dev/net/tun"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"needs /dev/net/tun ({error.strerror})"
    return ""


@functools.cache
def no_lab() -> str:
    programs = ("openconnect", "ip", "nft", "ping", "setpriv", "openssl", "gnutls-cli")
    missing = [name for name in programs if shutil.which(name) is None]
    if no_tun() or missing:
        return no_tun() or f"needs {', '.join(missing)}"
    name = f"oct-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=10)
    if made.returncode:
        return f"needs network namespaces ({made.stderr.strip()})"
    subprocess.run(["ip", "netns", "del", name], check=True, timeout=10)
    return ""


_MARKERS: dict[str, Callable[[], str]] = {"needs_root": no_root, "needs_tun": no_tun, "needs_lab": no_lab}


def pytest_configure(config: pytest.Config) -> None:
    for name in _MARKERS:
        config.addinivalue_line("markers", f"{name}: skipped, with the reason, where the machine lacks it")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, missing in _MARKERS.items():
        if item.get_closest_marker(name) is not None and (reason := missing()):
            pytest.skip(reason)
