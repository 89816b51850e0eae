"""The syntaxes of values that are not addresses, and the small structs they make.

Used by the declarations (server.py, vhost.py, user.py). Each `parse_…` takes the cleaned text of a value and raises
ValueError with a sentence that says what would be right; draft.py adds the option's name and its place.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from .declare import Syntax

Seconds = int
"""A duration; 0 means what the option's text says, mostly "off"."""

RekeyMethod = Literal["ssl", "new-tunnel"]

_MAX_NUMBER = 2**31 - 1
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
_FACILITIES = ("daemon", "user", "auth", "authpriv", *(f"local{n}" for n in range(8)))


class BackendSpec(msgspec.Struct, frozen=True):
    """`NAME[a=b, c=d]`: a back end and its options, not yet checked by it. Names are in lower case."""

    name: str
    options: dict[str, str] = {}
    file: str = ""
    line: int = 0


class Group(msgspec.Struct, frozen=True, array_like=True):
    """A group that the user may choose; `label` is what he sees."""

    name: str
    label: str


class AlgorithmPriority(msgspec.Struct, frozen=True, array_like=True):
    """A compression algorithm and its rank; the higher rank wins."""

    algorithm: str
    priority: int


class KdcProxy(msgspec.Struct, frozen=True, array_like=True):
    """One realm behind a KKDCP path; `transport` is "udp" or "tcp"."""

    path: str
    realm: str
    transport: str
    host: str
    port: int


def number(low: int = 0, high: int = _MAX_NUMBER) -> Syntax:
    """A whole number within bounds, both included."""
    wanted = f"a number from {low} to {high}" if high != _MAX_NUMBER else f"a number of at least {low}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise ValueError(f"'{text}' is not {wanted}")
        return int(text)

    return Syntax(wanted.removeprefix("a "), parse, numeric=True)


def parse_seconds(text: str) -> Seconds:
    """`300`, `300s`, `5m`, `2h` or `1d`, in seconds."""
    match = re.fullmatch(r"([0-9]{1,19})\s?([smhd]?)", text)
    value = int(match[1]) * _UNITS[match[2]] if match else -1
    if not 0 <= value <= _MAX_NUMBER:
        raise ValueError(f"'{text}' is not a duration; write seconds, or a number with s, m, h or d, like 5m")
    return value


def parse_boolean(text: str) -> bool:
    """true, yes, on, 1 and their opposites, in any case."""
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise ValueError(f"'{text}' is neither true nor false")
    return value


def word(*allowed: str, fold: bool = False) -> Syntax:
    """One of the given words; with `fold` in any case."""

    def parse(text: str) -> str:
        value = text.lower() if fold else text
        if value not in allowed:
            raise ValueError(f"'{text}' is not one of {', '.join(allowed)}")
        return value

    return Syntax(" or ".join(allowed) if len(allowed) < 4 else f"{allowed[0]}, … {allowed[-1]}", parse)


def text_of(says: str, limit: int = 4096) -> Syntax:
    """Any text of at most `limit` bytes."""

    def parse(text: str) -> str:
        if len(text.encode()) > limit:
            raise ValueError(f"is {len(text.encode())} bytes long; at most {limit} are possible")
        return text

    return Syntax(says, parse)


def parse_device(text: str) -> str:
    """The beginning of a network device's name. Linux takes 15 bytes; four are left for the number behind it."""
    if len(text.encode()) > 11 or re.search(r"[\s/:%]", text) or not text.isprintable():
        raise ValueError(
            f"'{text}' cannot begin a device's name; write one like vpns, at most 11 bytes without blanks, /, : and %"
        )
    return text


def parse_oid(text: str) -> str:
    """An object identifier in dotted numbers."""
    if not re.fullmatch(r"[0-2](\.[0-9]+)+", text) or len(text) > 63:
        raise ValueError(f"'{text}' is not an object identifier like 2.5.4.3")
    return text


def parse_user_oid(text: str) -> str:
    """An object identifier, or `SAN(rfc822name)` for the first e-mail address."""
    return text if text == "SAN(rfc822name)" else parse_oid(text)


def parse_header(text: str) -> str:
    """`Name: value`, as it goes into an HTTP header."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*", text):
        raise ValueError(f"'{text}' is not a header; write 'Name: value'")
    return text


def parse_group(text: str) -> Group:
    """`name` or `name[Label]`. As the C server has it, a label ends at its first comma."""
    name, bracket, rest = text.partition("[")
    label = rest.partition("]")[0].partition(",")[0].strip() if bracket else ""
    name = name.strip()
    if not name:
        raise ValueError("a group needs a name; write name or name[Label]")
    return Group(name, label or name)


def parse_net_priority(text: str) -> str:
    """A socket priority 0–6, or a TOS byte in hexadecimal."""
    if not re.fullmatch(r"[0-6]|0[xX][0-9a-fA-F]{1,2}", text):
        raise ValueError(f"'{text}' is neither a priority from 0 to 6 nor a TOS byte like 0x10")
    return text.lower()


def parse_algorithm_priority(text: str) -> AlgorithmPriority:
    """`oc-lz4:NUMBER` or `lzs:NUMBER`."""
    match = re.fullmatch(r"(oc-lz4|lzs):([1-9][0-9]{0,8})", text)
    if match is None:
        raise ValueError(f"'{text}' is not an algorithm and its rank like oc-lz4:90 or lzs:80")
    return AlgorithmPriority(match[1], int(match[2]))


def parse_kdc_proxy(text: str) -> KdcProxy:
    """`/PATH REALM udp|tcp@HOST:PORT`; an IPv6 host stands in brackets."""
    match = re.fullmatch(r"(/\S*)\s+(\S+)\s+(udp|tcp)@(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):([0-9]{1,5})", text)
    if match is None or not 0 < int(match[5]) < 65536:
        raise ValueError(f"'{text}' is not a proxy; write /PATH REALM tcp@HOST:PORT")
    path, realm, transport, host, port = match.groups()
    return KdcProxy(path, realm, transport, host.strip("[]"), int(port))


def parse_backend(text: str) -> BackendSpec:
    """`NAME` or `NAME[a=b, c=d]`; also the old forms `plain[/FILE]` and `radius[/FILE,groupconfig]`."""
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*(?:\[([^\]]*)(\].*)?)?", text, re.DOTALL)
    if match is None:
        raise ValueError(f"'{text}' is not a back end; write NAME or NAME[option=value, option=value]")
    name = match[1].lower()
    if match[2] is None:
        return BackendSpec(name)
    if match[3] is None:
        raise ValueError(f"'{text}' has no closing ]")
    items = [item.strip() for item in match[2].split(",") if item.strip()]
    return BackendSpec(name, _suboptions(_named(name, items)))


_POSITIONAL = {"plain": ("passwd",), "radius": ("config", "groupconfig")}


def _named(backend: str, items: list[str]) -> list[str]:
    """Give the items of the old positional form their names. It is told by a path in the first place."""
    names = _POSITIONAL.get(backend, ())
    if not names or not items or items[0][0] not in "/.":
        return items
    if items[1:] not in ([], ["groupconfig"]) or len(items) > len(names):
        raise ValueError(f"'{items[-1]}' has no name; write option=value")
    return [f"{names[0]}={items[0]}", *("groupconfig=true" for _ in items[1:])]


def _suboptions(items: list[str]) -> dict[str, str]:
    options = {}
    for item in items:
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise ValueError(f"'{item}' in the brackets is not option=value")
        options[name.lower()] = value
    return options


SECONDS = Syntax("duration", parse_seconds, numeric=True)
BOOLEAN = Syntax("boolean", parse_boolean)
TEXT = text_of("text")
FILE = text_of("file")
DIRECTORY = text_of("directory")
DEVICE = Syntax("name", parse_device)
PORT = number(0, 65535)
OID = Syntax("object identifier", parse_oid)
USER_OID = Syntax("object identifier or SAN(rfc822name)", parse_user_oid)
HEADER = Syntax("header", parse_header)
GROUP = Syntax("name or name[Label]", parse_group)
BACKEND = Syntax("NAME or NAME[option=value, …]", parse_backend)
REKEY_METHOD = word("ssl", "new-tunnel")
FACILITY = word(*_FACILITIES, fold=True)
NET_PRIORITY = Syntax("0–6 or 0xNN", parse_net_priority)
ALGORITHM_PRIORITY = Syntax("algorithm:number", parse_algorithm_priority)
KDC_PROXY = Syntax("/PATH REALM tcp@HOST:PORT", parse_kdc_proxy)
