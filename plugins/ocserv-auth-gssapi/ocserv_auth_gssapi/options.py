"""What stands in the brackets: `gssapi[keytab=FILE, require-local-user-map=false, …]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ocserv_core.plugin import OptionError

NAMES = {
    "keytab": "FILE",
    "require-local-user-map": "true or false",
    "tgt-freshness-time": "SECONDS",
    "require-channel-bindings": "true or false",
    "gid-min": "NUMBER",
}

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

MAX_NUMBER = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Settings:
    """keytab: "" for the system's own. freshness: seconds from when the user has shown a password, 0 for any time.
    gid_min: the lowest number of a group that users may choose."""

    keytab: str
    maps_to_local_user: bool
    freshness: int
    requires_bindings: bool
    gid_min: int


def read_options(options: Mapping[str, str]) -> Settings:
    """OptionError."""
    unknown = sorted(set(options) - set(NAMES))
    if unknown:
        known = ", ".join(f"{name}={value}" for name, value in NAMES.items())
        raise OptionError(f"unknown option '{unknown[0]}'; there are {known}")
    if options.get("keytab") == "":
        raise OptionError("keytab= names no file; leave it out for the system's own, usually /etc/krb5.keytab")
    return Settings(
        keytab=options.get("keytab", ""),
        maps_to_local_user=_boolean(options, "require-local-user-map", default=True),
        freshness=_number(options, "tgt-freshness-time", least=1),
        requires_bindings=_boolean(options, "require-channel-bindings", default=False),
        gid_min=_number(options, "gid-min", least=0),
    )


def _boolean(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    word = options.get(name, "true" if default else "false").lower()
    if word not in (*_YES, *_NO):
        raise OptionError(f"{name}={word}: it is {NAMES[name]}")
    return word in _YES


def _number(options: Mapping[str, str], name: str, *, least: int) -> int:
    """0 where it is not given."""
    if name not in options:
        return 0
    text = options[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= MAX_NUMBER):
        raise OptionError(f"{name}={text}: it is a number from {least} to {MAX_NUMBER}")
    return int(text)
