"""What may be configured, and what is wrong with it: one sentence that says what would be right."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from ldap3.operation.search import compile_filter, parse_filter

from ocserv_core.plugin import OptionError

from .connection import Address
from .names import check_template, fill, is_dn
from .reader import Given, check_private, read_given, read_text

T = TypeVar("T")

MANY = ("uri", "group-map", "require-group")
"""What may stand in several lines."""

KNOWN = (
    *("uri", "starttls", "tls-verify", "ca-file", "timeout", "dead-time", "pool-size"),
    *("bind-dn", "bind-password", "bind-password-file", "base", "filter", "user-dn", "username"),
    *("group-attribute", "group-base", "group-filter", "group-depth", "group-map", "require-group"),
)

MAX_SERVERS = 16
TYPED = "typed"
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9;-]*|[0-9]+(\.[0-9]+)+")


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
    user_dn = given.one("user-dn", _template("user"), "")
    bind_dn = given.one("bind-dn", _parse_dn, "")
    base = given.one("base", _parse_dn, "")
    group_base = given.one("group-base", _parse_dn, "")
    if not user_dn and not base:
        raise OptionError("base=DN is missing, below which the users are; or user-dn=TEMPLATE")
    return Settings(
        servers=_servers(given),
        verify=given.one("tls-verify", _parse_boolean, True),
        ca_file=given.one("ca-file", _parse_readable, ""),
        timeout=given.one("timeout", _number(1, 20), 5),
        dead_time=given.one("dead-time", _number(0, 86400), 60),
        pool_size=given.one("pool-size", _number(0, 64), 8),
        bind_dn=bind_dn,
        bind_password=_bind_password(given, bind_dn),
        base=base,
        filter=given.one("filter", _filter("user"), "(uid={user})"),
        user_dn=user_dn,
        username=given.one("username", _parse_username, "uid"),
        group_attribute=given.one("group-attribute", _parse_optional_attribute, "memberof"),
        group_base=group_base,
        group_filter=given.one("group-filter", _filter("dn", "user"), "(member={dn})"),
        group_depth=given.one("group-depth", _number(1, 16), 1),
        group_map=tuple(given.all("group-map", _parse_mapping)),
        require_group=tuple(given.all("require-group", _parse_text)),
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
    starttls = given.one("starttls", _parse_boolean, True)
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
    password = given.one("bind-password", _parse_text, "")
    if "bind-password-file" in given:
        place = given.place("bind-password-file")
        if password:
            raise OptionError(f"{place}bind-password-file and bind-password exclude each other")
        path = given.one("bind-password-file", _parse_text, "")
        text, mode = read_text(path, place)
        check_private(path, mode, place)
        password = text.split("\n", 1)[0].rstrip("\r")
        if not password:
            raise OptionError(f"{place}{path} is empty; its first line is the password of bind-dn")
    if bool(bind_dn) != bool(password):
        missing = "bind-dn=DN" if password else "bind-password-file=FILE or bind-password"
        raise OptionError(f"{given.place('bind-dn')}{missing} is missing: bind-dn and its password belong together")
    return password


def _parse_text(text: str) -> str:
    if not text:
        raise ValueError("a value is missing")
    return text


def _parse_dn(text: str) -> str:
    if not is_dn(text):
        raise ValueError(f"'{text}' is no DN; write it like ou=people,dc=example,dc=com")
    return text


def _parse_readable(text: str) -> str:
    if not os.access(_parse_text(text), os.R_OK) or os.path.isdir(text):
        raise ValueError(f"cannot read '{text}', the file of certificates (PEM) that servers are checked by")
    return text


def _parse_boolean(text: str) -> bool:
    value = {"yes": True, "true": True, "no": False, "false": False}.get(text.lower())
    if value is None:
        raise ValueError(f"'{text}' is neither yes nor no")
    return value


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"'{text}' is not a number from {low} to {high}")
        return int(text)

    return parse


def _parse_attribute(text: str) -> str:
    if not _ATTRIBUTE.fullmatch(text):
        raise ValueError(f"'{text}' is not the name of an attribute")
    return text.lower()


def _parse_optional_attribute(text: str) -> str:
    return _parse_attribute(text) if text else ""


def _parse_username(text: str) -> str:
    return "" if text.lower() == TYPED else _parse_attribute(text)


def _template(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        return _parse_dn_template(check_template(text, known), known)

    return parse


def _parse_dn_template(text: str, known: tuple[str, ...]) -> str:
    _parse_dn(fill(text, dict.fromkeys(known, "x"), str))
    return text


def _filter(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        example = fill(check_template(text, known), dict.fromkeys(known, "x"), str)
        try:
            compile_filter(parse_filter(example, None, False, False, None, False).elements[0])
        except Exception:  # noqa: BLE001 (whatever ldap3 raises for what it cannot read)
            raise ValueError(f"'{text}' is not a filter; write it like (uid={{{known[-1]}}})") from None
        return text

    return parse


def _parse_mapping(text: str) -> tuple[str, str]:
    group, arrow, name = (part.strip() for part in text.rpartition("->"))
    if not arrow or not group or not name:
        raise ValueError(f"'{text}' is not LDAP-GROUP -> GROUP; LDAP-GROUP is a DN or a name")
    return group, name
