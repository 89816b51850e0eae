"""`plain[passwd=FILE]`, `plain[passwd=FILE,otp=FILE]`, `plain[otp=FILE]`: passwords in a file that ocpasswd writes, and
one-time passwords by an OATH users file. Both are read at each login, so that an edit counts at once; an unknown user
costs the same time as a wrong password."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping

from ..plugin import (
    BackendContext,
    BlockingAsk,
    Denied,
    Identity,
    Limits,
    Login,
    OptionError,
    Prompt,
    Unavailable,
    hookimpl,
)
from ..system.crypt import verify
from .otpfile import OtpFile, OtpFileError
from .passwdfile import Entry, find, find_hash, groups_of, parse_passwd

_log = logging.getLogger(__name__)

TRIES = 3
"""Passwords per login, as the C server allows; of one-time passwords there is one try."""

MAX_FILE = 64 * 1024 * 1024

_FIRST = "Please enter your password."
_AGAIN = "Login failed.\nPlease enter your password."
_OTP = "Please enter your OTP password."
_FAILED = "Login failed."

_NOBODY = "$5$nobody.at.home..$9uXkMIbEbDQ8vMFUBZ2gnnAYoBVzWM9sUJSbGqmWjY7"
"""Hashed against when the file has nobody to be mistaken for."""


class PlainAuth:
    """The back end. Options: `passwd`, the path of the password file; `otp`, that of an OATH users file; one of them at
    least. With both, a password and then a one-time password is asked for; of a user whose hash is empty, the latter
    alone."""

    ocserv_api = (1, 0)
    ocserv_limits = Limits(concurrency=4 + 2 * (os.cpu_count() or 1), threads=4096)
    """A hash keeps a processor busy: more at once are no faster, and their threads delay the event loop, which has the
    keys. Threads that wait for their user cost 45 KB; there are as many as logins may be in progress at all."""

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        unknown = sorted(set(options) - {"passwd", "otp"})
        if unknown:
            raise OptionError(f"unknown option '{unknown[0]}'; there are passwd=FILE and otp=FILE")
        self._path = options.get("passwd", "")
        self._otp = OtpFile(options["otp"]) if options.get("otp") else None
        if not self._path and self._otp is None:
            raise OptionError("passwd=FILE is missing, the file that ocpasswd writes; or otp=FILE, an OATH users file")
        for path in filter(None, (self._path, options.get("otp"))):
            if not os.access(path, os.R_OK):
                _log.warning("plain: cannot read %s; until it can be read, nobody can log in", path)
        if self._otp is not None and not os.access(os.path.dirname(os.path.realpath(self._otp.path)), os.W_OK):
            said = "plain: the folder of %s cannot be written; until it can, nobody can log in by a one-time password"
            _log.warning(said, self._otp.path)

    @hookimpl
    def ocserv_authenticate(self, login: Login, ask: BlockingAsk) -> Identity:
        """Asks for the password up to three times, and once for a one-time password."""
        try:
            return self._authenticate(login, ask)
        except OtpFileError as error:
            raise Unavailable(str(error)) from error

    @hookimpl
    def ocserv_groups(self) -> tuple[str, ...]:
        """Every group that the password file names."""
        return groups_of(parse_passwd(self._read())) if self._path else ()

    def _authenticate(self, login: Login, ask: BlockingAsk) -> Identity:
        entry = self._by_otp_alone(login) or self._ask_password(login, ask)
        if self._otp is not None:
            wrong = self._otp.use(login.username, ask(Prompt(_OTP)), time.time())
            if wrong:
                _log_refusal(login, wrong)
                raise Denied(_FAILED)
        return Identity(entry.username, entry.groups[0] if entry.groups else "", entry.groups)

    def _by_otp_alone(self, login: Login) -> Entry | None:
        """The entry of a user who is asked for a one-time password only."""
        if self._otp is None:
            return None
        if not self._path:
            return Entry(login.username, (), "")
        entry = find(self._read(), login.username)
        return entry if entry is not None and not entry.stored and self._otp.has(login.username) else None

    def _ask_password(self, login: Login, ask: BlockingAsk) -> Entry:
        for attempt in range(TRIES):
            password = ask(Prompt(_AGAIN if attempt else _FIRST, again=attempt > 0))
            entry = self._verify(login, password)
            if entry is not None:
                return entry
        raise Denied(_FAILED)

    def _verify(self, login: Login, password: str) -> Entry | None:
        """The user's entry where the password is right. Why it is none, the log says; the client does not hear it."""
        text = self._read()
        entry = find(text, login.username)
        if entry is not None and _has_password(entry):
            if verify(password.encode(), entry.stored):
                return entry
            _log_refusal(login, "wrong password")
            return None
        # Nobody of that name, locked, or without a hash (which would let anybody in; docs/deviations.md): as slow.
        verify(password.encode(), find_hash(text) or _NOBODY)
        _log_refusal(login, "no such user" if entry is None else "the user is locked, or has no password")
        return None

    def _read(self) -> str:
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                return file.read(MAX_FILE)
        except OSError as error:
            _log.error("plain: cannot read %s: %s", self._path, error.strerror)
            return ""


def _log_refusal(login: Login, reason: str) -> None:
    _log.info("plain: '%s' from %s: %s", login.username, login.remote_ip, reason)


def _has_password(entry: Entry) -> bool:
    """No hash begins so: `!` locks a user, `*` is for who never had a password."""
    return bool(entry.stored) and not entry.stored.startswith(("!", "*"))
