"""Text → tokens: one `name = value` each, as the C server's reader (inih) sees the lines. Used by build.py.

Knows lines, comments, continuation, sections and quotes; knows no option. Everything that is wrong is collected,
so that one reading shows all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import ConfigError

MAX_LINE = 2046
"""Bytes of a physical line without its end: what the C server's buffer holds."""

MAX_SECTION = 49
"""Bytes of a section's name; the C server cuts longer ones."""

BLANKS = " \t\v\f\r"

_COMMENT = re.compile(f"(?<=[{BLANKS}])#")
"""A `#` behind a blank begins a comment, even within quotes."""

_SEPARATOR = re.compile(f"[=:]|{_COMMENT.pattern}")
_BRACKET = re.compile(f"]|{_COMMENT.pattern}")

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f]")


@dataclass(frozen=True, slots=True)
class Token:
    """One value. value: without quotes around it; raw: with them. continues: the line of the option that an
    indented line adds a value to, 0 for an ordinary line. section: None before the first one."""

    name: str
    value: str
    raw: str
    line: int
    section: str | None = None
    continues: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """`[name]`, where it stands."""

    name: str
    line: int


@dataclass(slots=True)
class Tokens:
    """What a text consists of, in its order, and what is wrong with it."""

    file: str
    items: list[Token | Section] = field(default_factory=list)
    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def parse_tokens(text: str, file: str) -> Tokens:
    """The sections and values of a whole text, which may begin with a byte order mark."""
    parser = _Parser(Tokens(file))
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        parser.on_line(number, line)
    return parser.tokens


class _Parser:
    """The reader's state between lines: the section, and the option that an indented line continues."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._section: str | None = None
        self._name = ""
        self._name_line = 0

    def on_line(self, number: int, line: str) -> None:
        fault = _fault(line)
        if fault:
            self._error(number, fault)
            return
        start = line.lstrip(BLANKS)
        if not start or start[0] in "#;":
            return
        # Blank lines and comments do not end a continuation; only a section does.
        if self._name and line[0] in BLANKS:
            self._on_continuation(number, start)
        elif start[0] == "[":
            self._on_section(number, start)
        else:
            self._on_option(number, start)

    def _on_section(self, number: int, start: str) -> None:
        end = _find(start[1:], _BRACKET)
        self._name = ""
        if start[1 + end : 2 + end] != "]":
            self._error(number, "a section has no closing ]; write [vhost:NAME]")
            return
        name = start[1 : 1 + end]
        self._section = name.encode()[:MAX_SECTION].decode(errors="ignore")
        if self._section != name:
            self._warn(number, f"the section's name is cut to '{self._section}'")
        self.tokens.items.append(Section(self._section, number))

    def _on_option(self, number: int, start: str) -> None:
        end = _find(start, _SEPARATOR)
        if start[end : end + 1] not in ("=", ":"):
            self._error(number, f"'{_shown(start.rstrip(BLANKS))}' is not an option; write name = value")
            return
        self._name, self._name_line = start[:end].rstrip(BLANKS), number
        rest = start[end + 1 :]
        self._add(number, rest[: _find(rest, _COMMENT)], 0)

    def _on_continuation(self, number: int, start: str) -> None:
        self._warn(
            number,
            f"an indented line is one more value of '{self._name}' in line {self._name_line};"
            " begin it at the margin if it is an option of its own",
        )
        self._add(number, start[: _find(start, _COMMENT)], self._name_line)

    def _add(self, number: int, rest: str, continues: int) -> None:
        """A value of nothing but blanks and quotes leaves the option alone; no value at all empties it."""
        value = rest.strip(BLANKS + '"')
        if rest and not value:
            return
        raw = rest.strip(BLANKS)
        self.tokens.items.append(Token(self._name, value, raw, number, self._section, continues))

    def _error(self, number: int, message: str) -> None:
        self.tokens.errors.append(ConfigError(message, self.tokens.file, number))

    def _warn(self, number: int, message: str) -> None:
        self.tokens.warnings.append(f"{self.tokens.file}:{number}: {message}")


def _find(text: str, end: re.Pattern[str]) -> int:
    """Where it begins; where there is none, the end of the text."""
    found = end.search(text)
    return found.start() if found else len(text)


def _fault(line: str) -> str:
    if _SURROGATE.search(line):
        return "the line is not UTF-8"
    if len(line.encode()) > MAX_LINE:
        return f"the line is longer than {MAX_LINE} bytes"
    if _CONTROL.search(line.strip(BLANKS)):
        return "the line contains a control character"
    return ""


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def sections_of(tokens: Tokens) -> Iterator[tuple[Section | None, list[Token]]]:
    """The tokens by section, in the order of the text; first those before any section (None)."""
    current: Section | None = None
    members: list[Token] = []
    for item in tokens.items:
        if isinstance(item, Token):
            members.append(item)
        else:
            yield current, members
            current, members = item, []
    yield current, members
