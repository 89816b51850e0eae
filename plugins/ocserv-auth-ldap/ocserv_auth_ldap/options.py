"""What may be configured, and what is wrong with it: one sentence that says what would be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from ocserv_core.plugin import OptionError

from .connection import Address
from .reader import Given, check_private, read_given, read_text
from .syntax import (
    dn_template,
    number,
    parse_boolean,
    parse_dn,
    parse_mapping,
    parse_optional_attribute,
    parse_readable,
    parse_text,
    parse_username,
    search_filter,
)

T = TypeVar("T")

MANY = ("uri", "group-map", "require-group")
"""What may stand in several lines."""

KNOWN = (
    *("uri", "starttls", "tls-verify", "ca-file", "timeout", "dead-time", "pool-size"),
    *("bind-dn", "bind-password", "bind-password-file", "base", "filter", "user-dn", "username"),
    *("group-attribute", "group-base", "group-filter", "group-depth", "group-map", "require-group"),
)

MAX_SERVERS = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """All that was said, checked. `filter` finds a user below `base`; where `user_dn` is not "", no user is looked for.
    `username` is the attribute whose value is the name of a session, "" for what was typed. `group_map` is in the
    configuration's order."""

    servers: tuple[Address, ...]
    verify: bool
    ca_file: str
    timeout: float
    dead_time: float
    pool_size: int
    bind_dn: str
    bind_password: str = field(repr=False)
    base: str
    filter: str
    user_dn: str
    username: str
    group_attribute: str
    group_base: str
    group_filter: str
    group_depth: int
    group_map: tuple[tuple[str, str], ...]
    require_group: tuple[str, ...]


def read_settings(options: Mapping[str, str]) -> Settings:
    """What the brackets and the file say. OptionError for the first thing that is wrong."""
    given = _Draft(read_given(options))
    user_dn = given.one("user-dn", dn_template("user"), "")
    bind_dn = given.one("bind-dn", parse_dn, "")
    base = given.one("base", parse_dn, "")
    group_base = given.one("group-base", parse_dn, "")
    if not user_dn and not base:
        raise OptionError("base=DN is missing, below which the users are; or user-dn=TEMPLATE")
    return Settings(
        servers=_servers(given),
        verify=given.one("tls-verify", parse_boolean, True),
        ca_file=given.one("ca-file", parse_readable, ""),
        timeout=given.one("timeout", number(1, 20), 5),
        dead_time=given.one("dead-time", number(0, 86400), 60),
        pool_size=given.one("pool-size", number(0, 64), 8),
        bind_dn=bind_dn,
        bind_password=_bind_password(given, bind_dn),
        base=base,
        filter=given.one("filter", search_filter("user"), "(uid={user})"),
        user_dn=user_dn,
        username=given.one("username", parse_username, "uid"),
        group_attribute=given.one("group-attribute", parse_optional_attribute, "memberof"),
        group_base=group_base,
        group_filter=given.one("group-filter", search_filter("dn", "user"), "(member={dn})"),
        group_depth=given.one("group-depth", number(1, 16), 1),
        group_map=tuple(given.all("group-map", parse_mapping)),
        require_group=tuple(given.all("require-group", parse_text)),
    )


class _Draft:
    def __init__(self, given: list[Given]) -> None:
        self._given: dict[str, list[Given]] = {}
        for each in given:
            if each.name not in KNOWN:
                hint = "" if each.place else "; a value with a comma in it must stand in the file of config=FILE"
                raise OptionError(f"{each.place}unknown option '{each.name}'; there are {', '.join(KNOWN)}{hint}")
            earlier = self._given.setdefault(each.name, [])
            if earlier and each.name not in MANY:
                raise OptionError(f"{each.place}{each.name} was said before ({earlier[0].place.rstrip(': ')})")
            earlier.append(each)

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def place(self, name: str) -> str:
        return self._given[name][0].place if name in self._given else ""

    def one(self, name: str, parse: Callable[[str], T], default: T) -> T:
        return self.all(name, parse)[0] if name in self._given else default

    def all(self, name: str, parse: Callable[[str], T]) -> list[T]:
        found = []
        for given in self._given.get(name, ()):
            try:
                found.append(parse(given.value))
            except ValueError as error:
                raise OptionError(f"{given.place}{name}: {error}") from None
        return found


def _servers(given: _Draft) -> tuple[Address, ...]:
    starttls = given.one("starttls", parse_boolean, True)
    servers = [
        server for line in given.all("uri", lambda text: _parse_uris(text, starttls=starttls)) for server in line
    ]
    if not servers:
        raise OptionError("uri=ldaps://SERVER is missing (several: with blanks between them, in the order to be asked)")
    if len(servers) > MAX_SERVERS:
        raise OptionError(f"{given.place('uri')}uri: {len(servers)} servers; {MAX_SERVERS} at most")
    return tuple(servers)


def _parse_uris(text: str, *, starttls: bool) -> list[Address]:
    return [_parse_uri(uri, starttls=starttls) for uri in text.split()]


def _parse_uri(uri: str, *, starttls: bool) -> Address:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or parts.scheme not in ("ldap", "ldaps")
        or parts.path not in ("", "/")
        or parts.query
        or parts.username
    ):
        raise ValueError(f"'{uri}' is not ldaps://SERVER or ldap://SERVER, with :PORT or without")
    if parts.scheme == "ldaps":
        return Address(host, port or 636, "ldaps")
    return Address(host, port or 389, "starttls" if starttls else "")


def _bind_password(given: _Draft, bind_dn: str) -> str:
    password = given.one("bind-password", parse_text, "")
    if "bind-password-file" in given:
        place = given.place("bind-password-file")
        if password:
            raise OptionError(f"{place}bind-password-file and bind-password exclude each other")
        path = given.one("bind-password-file", parse_text, "")
        text, mode = read_text(path, place)
        check_private(path, mode, place)
        password = text.split("\n", 1)[0].rstrip("\r")
        if not password:
            raise OptionError(f"{place}{path} is empty; its first line is the password of bind-dn")
    if bool(bind_dn) != bool(password):
        missing = "bind-dn=DN" if password else "bind-password-file=FILE or bind-password"
        raise OptionError(f"{given.place('bind-dn')}{missing} is missing: bind-dn and its password belong together")
    return password
