"""Revocation lists while the server runs: a newer file is read without a reload, and one that is too old is told of.

main opens the files and compares no more than their stamps; the nursery parses, and says until when a list is good.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from ..config.files import files_of
from ..config.tree import ServerConfig
from ..errors import ConfigErrors, OcservError
from ..log import NOTICE

_log = logging.getLogger(__name__)

EVERY = 900.0
"""Seconds between two looks: the C server's maintenance."""


class Stamp(NamedTuple):
    """What changes when a file is written or replaced, also by an older one."""

    modified: int
    size: int
    inode: int


def lists_of(config: ServerConfig) -> tuple[str, ...]:
    """The paths of the revocation lists that are in use."""
    return tuple(file.path for file in files_of(config) if file.option == "crl")


def stamps_of(paths: Iterable[str]) -> dict[str, Stamp | None]:
    """None for a file that is not there."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


def tell_of_old_lists(config: ServerConfig, until: Mapping[str, float], now: float) -> None:
    """An error line for each vhost whose list is too old. until: by vhost, as the nursery found it."""
    for vhost in config.vhosts:
        end = until.get(vhost.name, 0.0)
        if end and end <= now:
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(end))
            said = "crl '%s' (vhost %s) is too old, its next update was due %s: who was revoked since gets in"
            _log.error(said, vhost.options.crl, vhost.name, when)


class Running(Protocol):
    """What is asked of main.configuration.Configuration."""

    @property
    def current(self) -> ServerConfig:
        """What is in force."""

    @property
    def lists(self) -> Mapping[str, Stamp | None]:
        """The lists that it has read, as they were then."""

    @property
    def crl_until(self) -> Mapping[str, float]:
        """By vhost, until when they are good."""

    async def renew(self) -> None:
        """Read all files again. OcservError: nothing has changed."""


class Revocation:
    """Looks at the lists of the running configuration."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """Read what has changed; where it cannot be used, the lists that were read before stay in force."""
        changed = list(self._changed())
        if not changed:
            tell_of_old_lists(self._running.current, self._running.crl_until, time.time())
            return
        names = ", ".join(f"'{path}'" for path in changed)
        try:
            await self._running.renew()
        except OcservError as error:
            _log.error("the newer revocation list %s is not used, the one before stays in force:", names)
            for fault in error.errors if isinstance(error, ConfigErrors) else (error,):
                _log.error("%s", fault)
            return
        _log.log(NOTICE, "the revocation list %s was read again", names)

    def _changed(self) -> Iterator[str]:
        before = self._running.lists
        return (path for path, stamp in stamps_of(before).items() if stamp != before[path])
