"""The password file of ocpasswd: `user:group1,group2:hash`, one user a line; pure, plain.py reads the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_NAME = 63
MAX_GROUPS = 512

_WITH_HASH = re.compile(r"^[^:\n]+:[^:\n]*:[^\S\n]*(\$[^:\n]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One user. `stored` is what crypt(3) is asked to verify against; empty: no password set."""

    username: str
    groups: tuple[str, ...]
    stored: str = field(repr=False)


def parse_passwd(text: str) -> list[Entry]:
    """The entries in the order of the file. Lines without two colons (comments, blanks) are skipped."""
    return [entry for line in text.split("\n") if (entry := _parse_line(line)) is not None]


def find(text: str, username: str) -> Entry | None:
    """The first entry of that exact name: the first match wins. Only lines that begin with the name are read, since
    every login of a large file waits for this."""
    if not username or len(username.encode("utf-8", "surrogatepass")) >= MAX_NAME:
        # A name that may be cut does not stand in the file as it is.
        return next((entry for entry in parse_passwd(text) if entry.username == username), None)
    for line in _lines_from(text, f"{username}:"):
        entry = _parse_line(line)
        if entry is not None and entry.username == username:
            return entry
    return None


def find_hash(text: str) -> str:
    """The first hash of the modern form (`$5$…`) in the file; "" where there is none."""
    match = _WITH_HASH.search(text)
    return match[1].strip() if match else ""


def _lines_from(text: str, begin: str) -> Iterator[str]:
    """The lines that begin so, one after another."""
    text, begin = f"\n{text}", f"\n{begin}"
    start = text.find(begin)
    while start >= 0:
        end = text.find("\n", start + 1)
        yield text[start + 1 : end if end >= 0 else None]
        start = text.find(begin, start + 1)


def groups_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Every group of the file, in the order of first appearance."""
    return tuple(dict.fromkeys(group for entry in entries for group in entry.groups))[:MAX_GROUPS]


def _parse_line(line: str) -> Entry | None:
    fields = line.rstrip("\r\n").split(":")
    if len(fields) < 3 or not fields[0]:
        return None
    return Entry(_cut(fields[0]), _parse_groups(fields[1]), fields[2].strip())


def _cut(name: str) -> str:
    """As the C server reads it: so many bytes, of which half a character is dropped."""
    return name.encode("utf-8", "surrogatepass")[:MAX_NAME].decode("utf-8", "ignore")


def _parse_groups(text: str) -> tuple[str, ...]:
    """One character ("*") means no group, as the C server reads it."""
    names = (name.strip() for name in text.split(","))
    return tuple(name for name in names if len(name) > 1)[:MAX_GROUPS]
