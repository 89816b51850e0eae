"""`session-config = "files[…]"`: the files of groups and users, read at each tunnel, so that an edit counts at once.
Loaded by itself where `config-per-user` or `config-per-group` is set.

The group's file is read first, then the user's: of a single value the user's goes before, lists are added up. A name
that is no plain file name refuses the tunnel; a symbolic link counts as no file, as with the C server.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from ..config.build import UserReading, read_user_config
from ..config.user import UserOptions
from ..errors import ConfigErrors
from ..plugin import BackendContext, Denied, OptionError, Options, Session, Unavailable, hookimpl

_log = logging.getLogger(__name__)

MAX_FILE = 1024 * 1024
"""Bytes; a longer one is refused."""

_NAMES = ("per-user", "per-group", "default-user", "default-group")


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the files of one kind are, and what is read where there is none."""

    kind: str
    folder: str
    otherwise: str


class ConfigFiles:
    """The back end. Options: `per-user`, `per-group` (folders), `default-user`, `default-group` (files)."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        unknown = sorted(set(options) - set(_NAMES))
        if unknown:
            raise OptionError(f"unknown option '{unknown[0]}'; there are {', '.join(_NAMES)}")
        if not options.get("per-user") and not options.get("per-group"):
            raise OptionError("per-user=DIR or per-group=DIR is missing, the folder of the files")
        self._groups = _Source("group", options.get("per-group", ""), options.get("default-group", ""))
        self._users = _Source("user", options.get("per-user", ""), options.get("default-user", ""))

    @hookimpl
    def ocserv_session_config(self, session: Session) -> Options:
        """What both files say. Denied where one of them cannot be used, Unavailable where it cannot be read."""
        lines: dict[str, list[str]] = {}
        onto = UserOptions()
        for source, name in ((self._groups, session.group), (self._users, session.username)):
            found = _find(source, name)
            if found is None:
                continue
            text, file = found
            reading = _checked(text, file, onto)
            onto = reading.options
            for option, values in reading.lines.items():
                lines.setdefault(option, []).extend(values)
        return lines


def _checked(text: str, file: str, onto: UserOptions) -> UserReading:
    try:
        reading = read_user_config(text, file, onto)
    except ConfigErrors as errors:
        raise Denied(str(errors)) from None
    for warning in reading.warnings:
        _log.info("%s", warning)
    return reading


def _find(source: _Source, name: str) -> tuple[str, str] | None:
    """The text that holds for a name, and its file; None where there is none."""
    if not source.folder or (source.kind == "group" and not name):
        return None
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Denied(f"the {source.kind} '{name}' cannot have a file: it is no file name")
    found = _read_in(source.folder, name)
    if found is not None or not source.otherwise:
        return found
    return _read_default(source)


def _read_in(folder: str, name: str) -> tuple[str, str] | None:
    file = os.path.join(folder, name)
    try:
        where = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        _log.warning("%s: %s", folder, error.strerror)
        return None
    try:
        # Not blocking: a FIFO of that name would be waited for.
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=where)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG):
            return None
        raise Unavailable(f"{file}: {error.strerror}") from error
    finally:
        os.close(where)
    return _read(fd, file), file


def _read_default(source: _Source) -> tuple[str, str] | None:
    try:
        fd = os.open(source.otherwise, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _log.warning("%s: %s", source.otherwise, error.strerror)
        return None
    return _read(fd, source.otherwise), source.otherwise


def _read(fd: int, file: str) -> str:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Denied(f"{file} is no file")
    with open(fd, encoding="utf-8", errors="replace") as opened:
        try:
            text = opened.read(MAX_FILE + 1)
        except OSError as error:
            raise Unavailable(f"{file}: {error.strerror}") from error
    if len(text) > MAX_FILE:
        raise Denied(f"{file} is longer than {MAX_FILE} bytes")
    return text
