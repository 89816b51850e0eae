"""`plain[passwd=FILE]`: passwords in a file that ocpasswd writes. The file is read at each login, so that an
edit counts at once; an unknown user costs the same time as a wrong password."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping

from ..plugin import Ask, BackendContext, Denied, Identity, Login, OptionError, Prompt, hookimpl
from ..system.crypt import verify
from .passwdfile import Entry, find, groups_of, parse_passwd

_log = logging.getLogger(__name__)

TRIES = 3
"""Passwords per login, as the C server allows."""

MAX_FILE = 64 * 1024 * 1024

_FIRST = "Please enter your password."
_AGAIN = "Login failed.\nPlease enter your password."

_NOBODY = Entry("", (), "$5$nobody.at.home..$9uXkMIbEbDQ8vMFUBZ2gnnAYoBVzWM9sUJSbGqmWjY7")
"""Hashed against when the file has nobody to be mistaken for."""


class PlainAuth:
    """The back end. Options: `passwd` (mandatory), the path of the password file."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        unknown = sorted(set(options) - {"passwd"})
        if unknown:
            raise OptionError(f"unknown option '{unknown[0]}'; there is passwd=FILE")
        if not options.get("passwd"):
            raise OptionError("passwd=FILE is missing, the file that ocpasswd writes")
        self._path = options["passwd"]
        if not os.access(self._path, os.R_OK):
            _log.warning("plain: cannot read %s; until it can be read, nobody can log in", self._path)

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        """Asks for the password up to three times."""
        for attempt in range(TRIES):
            password = await ask(Prompt(_AGAIN if attempt else _FIRST, again=attempt > 0))
            entry = await asyncio.to_thread(self._verify, login, password)
            if entry is not None:
                return Identity(entry.username, entry.groups[0] if entry.groups else "", entry.groups)
        raise Denied("Login failed.")

    @hookimpl
    def ocserv_groups(self) -> tuple[str, ...]:
        """Every group that the file names."""
        return groups_of(self._read())

    def _verify(self, login: Login, password: str) -> Entry | None:
        """The user's entry where the password is right. Why it is none, the log says; the client does not hear it."""
        entries = self._read()
        entry = find(entries, login.username)
        if entry is not None and _has_password(entry):
            if verify(password.encode(), entry.stored):
                return entry
            _log_refusal(login, "wrong password")
            return None
        # Nobody of that name, locked, or without a hash (which would let anybody in; docs/deviations.md): as slow.
        other = next((other for other in entries if other.stored.startswith("$")), _NOBODY)
        verify(password.encode(), other.stored)
        _log_refusal(login, "no such user" if entry is None else "the user is locked, or has no password")
        return None

    def _read(self) -> list[Entry]:
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                return parse_passwd(file.read(MAX_FILE))
        except OSError as error:
            _log.error("plain: cannot read %s: %s", self._path, error.strerror)
            return []


def _log_refusal(login: Login, reason: str) -> None:
    _log.info("plain: '%s' from %s: %s", login.username, login.remote_ip, reason)


def _has_password(entry: Entry) -> bool:
    """No hash begins so: `!` locks a user, `*` is for who never had a password."""
    return bool(entry.stored) and not entry.stored.startswith(("!", "*"))
