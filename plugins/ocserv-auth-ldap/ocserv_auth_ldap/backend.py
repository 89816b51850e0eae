"""The back end: asks for the password up to three times. What the user hears is the same whatever was wrong; the log
says what it was."""

from __future__ import annotations

import logging
import secrets
import ssl
import threading
from collections.abc import Mapping

from ocserv_core.plugin import (
    BackendContext,
    BlockingAsk,
    Denied,
    Identity,
    Login,
    OptionError,
    Prompt,
    Unavailable,
    hookimpl,
)

from .connection import Connection, Deadline, Entry, Silent, Unwilling
from .directory import Directory
from .groups import EVERYTHING, MAX_NAME, collect, is_member, names_of
from .names import escape_dn, escape_filter, fill, fold
from .options import Settings, read_settings
from .results import SIZE_LIMIT
from .wire import make_context

_log = logging.getLogger(__name__)

TRIES = 3
"""Passwords per login, as the C server allows for its own."""

PATIENCE = 25.0
"""Seconds for all that one password makes necessary: less than the server waits (Limits.deadline)."""

_FIRST = "Please enter your password."
_AGAIN = "Login failed.\nPlease enter your password."
_IMPOSSIBLE_NAME = (21, 34)
"""Result codes of a search by a name that the directory cannot have."""


class LdapAuth:
    """The back end; its options are those of options.py."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], context: BackendContext) -> None:
        self._settings = read_settings(options)
        self._directory = Directory(self._settings, _context_of(self._settings))
        _warn(self._settings)
        # Who does not answer now is told, and holds up nothing: neither the start nor a reload.
        self.probing = threading.Thread(target=self._probe, name=f"{context.name}-probe", daemon=True)
        self.probing.start()

    def _probe(self) -> None:
        self._directory.probe(Deadline(PATIENCE))

    @hookimpl
    def ocserv_authenticate(self, login: Login, ask: BlockingAsk) -> Identity:
        """Asks for the password up to three times."""
        for attempt in range(TRIES):
            password = ask(Prompt(_AGAIN if attempt else _FIRST, again=attempt > 0))
            try:
                identity = _Attempt(self._settings, self._directory, login).check(password)
            except (Silent, Unwilling) as error:
                raise Unavailable(str(error)) from None
            if identity is not None:
                return identity
        raise Denied("Login failed.")

    @hookimpl
    def ocserv_groups(self) -> tuple[str, ...]:
        """Those of group-map; what the directory has is not asked for."""
        return tuple(dict.fromkeys(name for _group, name in self._settings.group_map))


class _Attempt:
    """One password of one login."""

    def __init__(self, settings: Settings, directory: Directory, login: Login) -> None:
        self._settings = settings
        self._directory = directory
        self._login = login
        self._deadline = Deadline(PATIENCE)
        self._wanted = [name for name in (settings.username, settings.group_attribute) if name]

    def check(self, password: str) -> Identity | None:
        """None where it is wrong. Silent, Unwilling; Denied where it is right and does not help."""
        if not password or "\0" in password:
            # A bind without a password succeeds (RFC 4513 §5.1.2); who compares up to a NUL is no better.
            self._refuse("an empty password" if not password else "a password with a NUL")
            return None
        if self._settings.user_dn:
            dn = fill(self._settings.user_dn, {"user": self._login.username}, escape_dn)
            return self._bind(Entry(dn, {}), password)
        user = self._directory.ask(self._find, self._deadline)
        if user is not None:
            return self._bind(user, password)
        self._bind_nobody()
        return None

    def _find(self, connection: Connection) -> Entry | None:
        settings = self._settings
        search_filter = fill(settings.filter, {"user": self._login.username}, escape_filter)
        entries, result = connection.search(settings.base, search_filter, self._wanted, self._deadline, limit=2)
        if len(entries) > 1:
            self._refuse(f"found more than once ('{entries[0].dn}', '{entries[1].dn}'); narrow base or filter")
        elif not result.ok and result.code not in (SIZE_LIMIT, *_IMPOSSIBLE_NAME):
            raise Unwilling(f"the search for users below '{settings.base}' failed: {result.explain()}")
        elif not entries:
            self._refuse("no such user")
        return entries[0] if len(entries) == 1 else None

    def _bind(self, user: Entry, password: str) -> Identity | None:
        result, identity = self._directory.bind(
            user.dn, password, lambda connection: self._read_by_himself(connection, user), self._deadline
        )
        if not result.ok:
            self._refuse(result.explain_bind())
            return None
        return identity or self._directory.ask(lambda connection: self._read(connection, user), self._deadline)

    def _bind_nobody(self) -> None:
        """As long as with a wrong password: who is nobody shall not be told by the time."""
        dn = f"cn=nobody at home,{self._settings.base}"
        self._directory.bind(dn, secrets.token_hex(), lambda _connection: None, self._deadline)

    def _read_by_himself(self, connection: Connection, user: Entry) -> Identity | None:
        """With no bind-dn a user reads his entry and groups himself."""
        return None if self._settings.bind_dn else self._read(connection, Entry(user.dn, {}))

    def _read(self, connection: Connection, user: Entry) -> Identity:
        if not user.attributes and self._wanted:
            entries, result = connection.search(user.dn, EVERYTHING, self._wanted, self._deadline, one=True)
            if not entries:
                self._deny(f"his entry '{user.dn}' cannot be read: {result.explain()}")
            user = Entry(user.dn, entries[0].attributes)
        username = self._username(user)
        groups = collect(connection, user, self._login.username, self._settings, self._deadline)
        required = self._settings.require_group
        if required and not any(is_member(groups, group) for group in required):
            self._deny(f"in no group of require-group ({', '.join(required)})")
        names = names_of(groups, self._settings.group_map)
        return Identity(username, names[0] if names else "", names)

    def _username(self, user: Entry) -> str:
        attribute = self._settings.username
        if not attribute:
            return self._login.username
        names = user.attributes.get(attribute, ())
        same = [name for name in names if fold(name) == fold(self._login.username)]
        name = names[0] if len(names) == 1 else same[0] if same else ""
        if not names:
            self._deny(f"'{user.dn}' has no {attribute} that can be read; see access rules, or username=typed")
        if not name:
            self._deny(f"'{user.dn}' has {len(names)} values of {attribute}, none is what was typed")
        if not name.isprintable() or len(name.encode()) > MAX_NAME:
            self._deny(f"the {attribute} of '{user.dn}' is no name of up to {MAX_NAME} printable bytes")
        return name

    def _refuse(self, reason: str) -> None:
        _log.info("ldap: '%s' from %s: %s", self._login.username, self._login.remote_ip, reason)

    def _deny(self, reason: str) -> None:
        self._refuse(reason)
        raise Denied("Login failed.")


def _context_of(settings: Settings) -> ssl.SSLContext:
    try:
        return make_context(settings.ca_file, verify=settings.verify)
    except (OSError, ssl.SSLError) as error:
        raise OptionError(f"ca-file: {settings.ca_file} has no certificates in PEM: {error}") from None


def _warn(settings: Settings) -> None:
    open_ones = [str(server) for server in settings.servers if not server.tls]
    if open_ones:
        _log.warning(
            "ldap: passwords go to %s as everybody on the way can read them (starttls=no)", ", ".join(open_ones)
        )
    if not settings.verify:
        _log.warning("ldap: tls-verify=no: whoever answers in a server's place gets the passwords")
