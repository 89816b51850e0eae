"""The options in the brackets: `radius[config=FILE, …]`. The three entry points take the same ones, so that one line of
the configuration can be copied into another; each uses what concerns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ocserv_core.plugin import OptionError

from .groups import SEPARATORS
from .radcli import RadcliFile, read_radcli

NAMES = {
    "config": "FILE",
    "nas-identifier": "TEXT",
    "groupconfig": "true or false",
    "group-separator": "semicolon or comma",
    "require-message-authenticator": "yes or no",
    "coa": "ADDRESS:PORT",
    "coa-client": "HOST;HOST",
    "coa-window": "SECONDS",
    "coa-require-timestamp": "true or false",
}

COA_WINDOW = 300
"""Seconds that the clocks of a client and of this server may differ: RFC 5176 6.3."""

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class CoaOptions:
    """Where requests of RFC 5176 are heard, from which clients, how old they may be (seconds; 0: any age), and whether
    they must say their age."""

    address: str
    port: int
    clients: tuple[str, ...]
    window: int
    require_timestamp: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What stands in the brackets, and in the file that they name."""

    file: RadcliFile
    nas_identifier: str
    separator: str
    require_message_authenticator: bool
    coa: CoaOptions | None


def read_options(options: Mapping[str, str]) -> Settings:
    """OptionError."""
    check_names(options)
    if not options.get("config"):
        raise OptionError(
            "config=FILE is missing, the configuration of the RADIUS client (radiusclient.conf of radcli)"
        )
    _boolean(options, "groupconfig", default=False)
    file = read_radcli(options["config"])
    required = file.require_message_authenticator
    return Settings(
        file=file,
        nas_identifier=options.get("nas-identifier", file.nas_identifier),
        separator=_separator(options),
        require_message_authenticator=_boolean(
            options, "require-message-authenticator", default=True if required is None else required
        ),
        coa=_coa(options),
    )


def check_names(options: Mapping[str, str]) -> None:
    """OptionError for the first that is unknown."""
    unknown = sorted(set(options) - set(NAMES))
    if unknown:
        known = ", ".join(f"{name}={value}" for name, value in NAMES.items())
        raise OptionError(f"unknown option '{unknown[0]}'; there are {known}")


def _separator(options: Mapping[str, str]) -> str:
    word = options.get("group-separator", "semicolon").lower()
    if word not in SEPARATORS:
        raise OptionError(f"group-separator={word}: it is {NAMES['group-separator']}")
    return SEPARATORS[word]


def _boolean(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    word = options.get(name, "").lower()
    if name not in options:
        return default
    if word not in (*_YES, *_NO):
        raise OptionError(f"{name}={word}: it is {NAMES[name]}")
    return word in _YES


def _coa(options: Mapping[str, str]) -> CoaOptions | None:
    if "coa" not in options:
        lonely = next((name for name in NAMES if name.startswith("coa-") and name in options), None)
        if lonely:
            raise OptionError(f"{lonely} means nothing without coa=ADDRESS:PORT")
        return None
    address, colon, port = options["coa"].rpartition(":")
    if not colon or not address or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise OptionError(f"coa={options['coa']}: write ADDRESS:PORT, such as 192.0.2.1:3799; * is every address")
    window = options.get("coa-window", str(COA_WINDOW))
    if not window.isdecimal() or len(window) > 6:
        raise OptionError(f"coa-window={window}: it is a number of seconds; 0 turns the check off")
    clients = tuple(host for part in options.get("coa-client", "").split(";") if (host := part.strip()))
    timestamp = _boolean(options, "coa-require-timestamp", default=False)
    return CoaOptions("::" if address == "*" else address, int(port), clients, int(window), timestamp)
