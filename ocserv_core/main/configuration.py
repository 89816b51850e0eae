"""A configuration on its way into the server: read and checked here, prepared by secmod and by a new nursery, and
committed only when all agree. Starting takes the same path as a reload."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping

from ..config.build import read_config
from ..config.files import NeededFile, files_of
from ..config.reload import reloaded, restart_only_changes
from ..config.tree import ServerConfig
from ..config.vhost import backends_of
from ..config.worker import build_worker_config
from ..errors import ConfigError, ConfigErrors, OcservError, StartError
from ..plugin.entries import find_worker_entries
from .exposed import with_exposed
from .nursery import Nurseries
from .revocation import Stamp, lists_of, stamps_of, tell_of_old_lists
from .secmod import Secmod

_log = logging.getLogger(__name__)

MAX_FILE = 16 * 1024 * 1024


def load(path: str, *, strict: bool = False) -> ServerConfig:
    """Read and check a file; warnings go to the log. ConfigError where it cannot be read, ConfigErrors of its lines."""
    reading = read_config(_read(path).decode("utf-8", "surrogateescape"), path, strict=strict)
    for warning in reading.warnings:
        _log.warning("%s", warning)
    return reading.config


def read_contents(config: ServerConfig) -> Mapping[str, bytes]:
    """The files whose content workers need, by path. ConfigErrors for each that is missing and must not be."""
    contents: dict[str, bytes] = {}
    faults: list[ConfigError] = []
    for wanted in files_of(config):
        try:
            contents[wanted.path] = _read(_place_of(wanted))
        except ConfigError as error:
            if wanted.optional:
                _log.error("%s: %s", wanted.option, error)
            else:
                said = f"{wanted.option}: {error.message}"
                faults.append(ConfigError(said, wanted.origin.file, wanted.origin.line))
    if faults:
        raise ConfigErrors(faults)
    return contents


def worker_entries(config: ServerConfig) -> Mapping[str, str]:
    """The workers' halves of its back ends, `module:class` by name. ConfigError."""
    of_vhosts = (spec for vhost in config.vhosts for spec in backends_of(vhost.options))
    return find_worker_entries((*of_vhosts, *config.server.plugins))


class Configuration:
    """The configuration in force, and the only way to another one. `adapt` puts into a configuration that was read what
    the surroundings know better."""

    def __init__(
        self,
        secmod: Secmod,
        nurseries: Nurseries,
        adapt: Callable[[ServerConfig], ServerConfig] = lambda config: config,
    ) -> None:
        self._adapt = adapt
        self._secmod = secmod
        self._nurseries = nurseries
        self._generation = 0
        self._current: ServerConfig | None = None
        self._applying = asyncio.Lock()
        self.lists: Mapping[str, Stamp | None] = {}
        """The revocation lists that were read, as they were just before."""
        self.crl_until: Mapping[str, float] = {}
        """By vhost: time.time() until when they are good."""

    @property
    def current(self) -> ServerConfig:
        """What is in force."""
        assert self._current is not None
        return self._current

    async def apply(self, config: ServerConfig) -> None:
        """Prepare everywhere, then commit; one at a time. On any error (ConfigErrors, StartError …) nothing has
        changed."""
        async with self._applying:
            self._generation += 1
            generation = self._generation
            lists = stamps_of(lists_of(config))
            config = await asyncio.to_thread(with_exposed, config)
            contents = read_contents(config)
            configured = await self._secmod.configure(generation, config)
            try:
                entries = worker_entries(config)
                workers = build_worker_config(config, generation, contents, configured.groups, entries)
                nursery = await self._nurseries.prepare(workers)
            except OcservError:
                self._secmod.discard(generation)
                raise
            try:
                self._secmod.commit(generation)
            except StartError:
                await nursery.stop(1.0)
                raise
            self._current = config
            self._nurseries.commit(nursery)
            self.lists, self.crl_until = lists, nursery.crl_until
            tell_of_old_lists(config, self.crl_until, time.time())

    async def renew(self) -> None:
        """Give a new secmod the configuration in force. Keys and certificates are read again, by it and by a new
        nursery: they may have been renewed on disk, and must go together."""
        await self.apply(self.current)

    async def reload(self) -> tuple[str, ...]:
        """Read the file again. Options that need a restart keep their value, of which each is a sentence."""
        fresh = self._adapt(load(self.current.file))
        names = restart_only_changes(self.current, fresh)
        await self.apply(reloaded(self.current, fresh))
        return tuple(f"'{name}' has changed; it takes effect at the next start" for name in names)


def _place_of(wanted: NeededFile) -> str:
    """Of two places the one where it is."""
    inside = os.path.join(wanted.inside, wanted.path.lstrip("/"))
    return inside if wanted.inside and os.path.exists(inside) else wanted.path


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE)
    except OSError as error:
        raise ConfigError(f"cannot read '{path}': {error.strerror}") from None
