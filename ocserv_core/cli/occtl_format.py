"""Fields as occtl prints them, as text or as JSON, and the texts of times, sizes and intervals.

Called by occtl_views and occtl_commands. Pure: the present time is an argument, nothing is printed here. The JSON is
written by hand because scripts match its exact layout (two blanks after a colon, a tab before a list).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Value = str | int | Sequence[str]

_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {ord('"'): '\\"', ord("\\"): "\\\\"}
_SIZES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB"))


class Field(NamedTuple):
    """One or more keys of the JSON object, and what plain text shows of them (None: nothing)."""

    pairs: tuple[tuple[str, Value], ...]
    shown: str | None


class Line(NamedTuple):
    """Fields that share a line of plain text."""

    fields: tuple[Field, ...]
    indent: str = "\t"
    separator: str = "   "


View = Sequence[Line]
"""Everything that is shown of one object, in order."""


# ---- fields ---------------------------------------------------------------------------------------------------


def text(key: str, value: str, label: str = "") -> Field | None:
    """A text; nothing at all where it is empty."""
    return Field(((key, value),), f"{label or key}: {value}") if value else None


def number(key: str, value: int) -> Field:
    """An integer."""
    return Field(((key, value),), f"{key}: {value}")


def hidden(key: str, value: Value) -> Field:
    """A key of JSON that plain text leaves out."""
    return Field(((key, value),), None)


def moment(key: str, when: float, now: float) -> Field:
    """A time and how long ago it was."""
    date, ago = date_text(when), interval_text(now - when)
    return Field(((key, date), (f"_{key}", ago)), f"{key}: {date} ({ago})")


def listing(key: str, values: Sequence[str]) -> Field:
    """A list: one value a line in plain text, which leaves an empty one out."""
    return Field(((key, values),), f"{key}: " + "\n\t\t".join(values) if values else None)


def line(*fields: Field | None, separator: str = "   ") -> Line:
    """A line of those fields that are not None."""
    return Line(tuple(field for field in fields if field is not None), separator=separator)


def heading(words: str) -> Line:
    """A line of plain text alone; JSON has nothing of it."""
    return Line((Field((), words),), indent="")


# ---- text -----------------------------------------------------------------------------------------------------


def plain(view: View) -> str:
    """A view as text, without what a terminal could take for a command."""
    return "".join(f"{printable(shown)}\n" for one in view if (shown := _plain_line(one)) is not None)


def _plain_line(one: Line) -> str | None:
    shown = [field.shown for field in one.fields if field.shown is not None]
    return one.indent + one.separator.join(shown) if shown else None


def printable(words: str) -> str:
    """Names and user agents come from strangers: their control characters must not reach the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in words)


# ---- JSON -----------------------------------------------------------------------------------------------------


def json_object(view: View) -> str:
    """A view as a JSON object, one key a line, without a newline at its end."""
    pairs = (pair for one in view for field in one.fields for pair in field.pairs)
    return "  {\n" + ",\n".join(_json_pair(key, value) for key, value in pairs) + "\n  }"


def json_array(views: Iterable[View]) -> str:
    """Several views as a JSON array."""
    body = ",\n".join(json_object(view) for view in views)
    return f"[\n{body}\n]\n" if body else "[\n]\n"


def _json_pair(key: str, value: Value) -> str:
    if isinstance(value, int):
        return f'    "{key}":  {value}'
    if isinstance(value, str):
        return f'    "{key}":  {_json_string(value)}'
    return f'    "{key}":\t[{", ".join(map(_json_string, value))}]'


def _json_string(value: str) -> str:
    return f'"{value.translate(_ESCAPES)}"'


# ---- times and sizes ------------------------------------------------------------------------------------------


def date_text(when: float) -> str:
    """`2026-01-31 23:59`, local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def interval_text(seconds: float) -> str:
    """A length of time in at least six characters, as columns expect it; unknown where it is negative."""
    if seconds < 0:
        return "   ?   "
    whole = int(seconds)
    if whole >= 48 * 3600:
        return f"{whole // 86400:2d}days"
    if whole >= 3600:
        return f"{whole // 3600:2d}h:{whole // 60 % 60:02d}m"
    if whole > 60:
        return f"{whole // 60:2d}m:{whole % 60:02d}s"
    return f"{whole:5d}s"


def bytes_text(count: float, suffix: str = "") -> str:
    """`999 bytes`, `1.5 kB`, `2.0 MB/s`: decimal steps, which begin above, not at, their size."""
    for size, unit in _SIZES:
        if count > size:
            return f"{count / size:.1f} {unit}{suffix}"
    return f"{int(count)} bytes{suffix}"


def latency_text(microseconds: int) -> str:
    """`<1ms`, `12ms`, `3s`."""
    milliseconds = microseconds // 1000
    if milliseconds < 1:
        return "<1ms"
    return f"{milliseconds}ms" if milliseconds < 1000 else f"{milliseconds // 1000}s"
