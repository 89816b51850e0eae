"""The values of one section while it is read, with the place each came from. Used by build.py.

Knows how a value is parsed and kept; which option may stand where is build.py's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..errors import ConfigError, ConfigErrors
from .declare import Declared, Repeat
from .parser import Token
from .tree import Origin
from .values import BackendSpec

_FORGETS = {"ipv4-network": "ipv4-netmask", "ipv6-network": "ipv6-prefix"}
"""A network that brings its prefix makes an earlier (or inherited) mask void: the last line wins."""


@dataclass(slots=True)
class Notes:
    """What is to be said of a file when it is read through. strict: an unknown name is an error. faulty: the
    options of which a line is wrong."""

    file: str
    strict: bool = False
    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    faulty: set[str] = field(default_factory=set)

    def error(self, line: int, message: str) -> None:
        """Nothing will come of this reading, and why."""
        self.errors.append(ConfigError(message, self.file, line))

    def warn(self, line: int, message: str) -> None:
        """The reading goes on, but the administrator should know."""
        place = f"{self.file}:{line}" if line else self.file
        self.warnings.append(f"{place}: {message}")

    def unknown(self, line: int, message: str) -> None:
        """A name that means nothing here."""
        if self.strict:
            self.error(line, message)
        else:
            self.warn(line, f"{message}; the line is ignored")

    def raise_errors(self) -> None:
        """Raise ConfigErrors with every error, in the order of the file, if there is any."""
        if self.errors:
            raise ConfigErrors(sorted(self.errors, key=lambda error: (not error.line, error.line)))


@dataclass(slots=True)
class Draft:
    """values: by field name. origins: by option name. own: the options that were written in this very section."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[Origin, ...]] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    def set(self, option: Declared, token: Token, notes: Notes) -> None:
        """Take a line. What is wrong with its value goes to `notes`."""
        if option.option.repeat is Repeat.FIRST and option.name in self.own:
            before = self.origins[option.name][0].line
            notes.warn(token.line, f"{option.name} is already set in line {before}; the line is ignored")
            return
        try:
            value = option.option.syntax.parse(token.raw if option.option.raw else token.value)
        except ValueError as error:
            self._refuse(option, token, error, notes)
            return
        self._keep(option, value, Origin(notes.file, token.line))

    @staticmethod
    def _refuse(option: Declared, token: Token, error: ValueError, notes: Notes) -> None:
        if option.option.lenient:
            notes.warn(token.line, f"{token.name}: {error}; the line is ignored")
            return
        indented = f" (an indented line is one more value of line {token.continues})" if token.continues else ""
        notes.error(token.line, f"{token.name}: {error}{indented}")
        notes.faulty.add(option.name)

    def _keep(self, option: Declared, value: object, origin: Origin) -> None:
        if isinstance(value, BackendSpec):
            value = msgspec.structs.replace(value, file=origin.file, line=origin.line)
        if option.many:
            added = value if option.option.extends and isinstance(value, tuple) else (value,)
            value = (*self.values.get(option.field, ()), *added)
            self.origins[option.name] = (*self.origins.get(option.name, ()), *(origin for _ in added))
        else:
            self.origins[option.name] = (origin,)
        self.values[option.field] = value
        self.own.add(option.name)
        self._forget_mask(option.name, value)

    def _forget_mask(self, name: str, value: object) -> None:
        mask = _FORGETS.get(name)
        if mask and isinstance(value, str) and "/" in value:
            self.values.pop(mask.replace("-", "_"), None)
            self.origins.pop(mask, None)

    def inherit(self, option: Declared, source: Draft) -> None:
        """Take over what another draft says of an option, with its places; also that it says nothing."""
        for mine, theirs, key in (
            (self.values, source.values, option.field),
            (self.origins, source.origins, option.name),
        ):
            _copy(mine, theirs, key)

    def discard(self, option: Declared) -> None:
        """Forget what was said of an option."""
        self.values.pop(option.field, None)
        self.origins.pop(option.name, None)
        self.own.discard(option.name)


def _copy(mine: dict[str, Any], theirs: Mapping[str, Any], key: str) -> None:
    mine.pop(key, None)
    if key in theirs:
        mine[key] = theirs[key]
