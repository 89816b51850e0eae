"""The smallest configuration that can be used, and readings of it with more lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocserv_core.config.build import Reading, read_config
from ocserv_core.config.tree import ServerConfig
from ocserv_core.errors import ConfigErrors

MINIMAL = """\
auth = plain[passwd=/etc/ocserv/ocpasswd]
tcp-port = 443
socket-file = /run/ocserv-socket
server-cert = cert.pem
server-key = key.pem
device = vpns
ipv4-network = 192.0.2.0/24
"""
"""Seven lines; what is added begins in line 8."""


def reading(more: str = "", *, strict: bool = False) -> Reading:
    """What comes of the smallest configuration and more lines."""
    return read_config(MINIMAL + more, "o.conf", strict=strict)


def config(more: str = "") -> ServerConfig:
    """The configuration alone; its warnings are not looked at."""
    return reading(more).config


def warnings(more: str) -> tuple[str, ...]:
    """The warnings alone."""
    return reading(more).warnings


def errors(text: str) -> list[str]:
    """What is said of a whole text that cannot be used."""
    with pytest.raises(ConfigErrors) as caught:
        read_config(text, "o.conf")
    return [str(error) for error in caught.value.errors]


def without(option: str) -> str:
    """The smallest configuration less one of its options."""
    return "".join(line for line in MINIMAL.splitlines(keepends=True) if not line.startswith(option))


def refusal(parse: Callable[[str], object], text: str) -> str | None:
    """What a syntax says against a text; None if it takes it."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None
