"""`expose-iroutes`: the networks behind all clients, read from the files of the users when a configuration is. Nothing
of it awaits: configuration.py runs it in a thread, for there may be thousands of files."""

from __future__ import annotations

import logging
import os
import stat

import msgspec

from ..config.exposed import iroutes_in
from ..config.tree import ServerConfig, Vhost
from ..errors import ConfigError

_log = logging.getLogger(__name__)

MAX_FILE = 1024 * 1024


def with_exposed(config: ServerConfig) -> ServerConfig:
    """The configuration with the iroutes that each vhost exposes. Raises ConfigErrors where one of them is none."""
    if not any(vhost.options.expose_iroutes for vhost in config.vhosts):
        return config
    vhosts = tuple(_with_exposed(vhost) for vhost in config.vhosts)
    return msgspec.structs.replace(config, vhosts=vhosts)


def _with_exposed(vhost: Vhost) -> Vhost:
    folder = vhost.options.config_per_user
    found: dict[str, None] = {}
    if vhost.options.expose_iroutes and folder:
        for name in _names(folder):
            found |= dict.fromkeys(_read(os.path.join(folder, name)))
    return msgspec.structs.replace(vhost, exposed=tuple(found))


def _names(folder: str) -> list[str]:
    """Regular files alone: a symbolic link is no user's file either."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except OSError as error:
        _log.warning("expose-iroutes: %s: %s", folder, error.strerror)
        return []


def _read(file: str) -> tuple[str, ...]:
    try:
        # Not blocking: it may have become a FIFO.
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, encoding="utf-8", errors="replace") as opened:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return ()
            text = opened.read(MAX_FILE + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file) from None
    if len(text) > MAX_FILE:
        raise ConfigError(f"is longer than {MAX_FILE} bytes", file)
    return iroutes_in(text, file)
