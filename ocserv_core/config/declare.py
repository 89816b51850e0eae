"""What an option is. Used as `Annotated[T, Option(...)]` on the fields of server.py, vhost.py and user.py.

An option is declared once: its type and default are the field's, everything else stands in its Option. The tables
that `options_of` makes are what the reader, the manual and the reload go by; nothing else knows an option's name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import msgspec


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a value is written. `parse` raises ValueError with a sentence that says what would be right. numeric: it is
    a number, or a number and a unit."""

    says: str
    parse: Callable[[str], object]
    numeric: bool = False


class Repeat(enum.Enum):
    """What a second line with the same name does."""

    LAST = "the last line wins"
    FIRST = "the first line wins"
    APPEND = "may be repeated"


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of an option, but its type and default.

    name: as it is written, where it is not the field's name with `-` for `_`. raw: the value is taken with its
    quotes. lenient: a wrong value is a warning and the line is ignored. inherited: a vhost takes the default
    vhost's value. tolerated: may stand in a vhost's section, where it has no effect. extends: the value is itself
    a tuple, whose members are appended.
    """

    syntax: Syntax
    doc: str
    name: str = ""
    reloadable: bool = True
    repeat: Repeat = Repeat.LAST
    aliases: tuple[str, ...] = ()
    raw: bool = False
    lenient: bool = False
    inherited: bool = True
    tolerated: bool = False
    extends: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """An option together with the field that it was declared on."""

    name: str
    field: str
    default: object
    option: Option
    per_user: bool = False

    @property
    def many(self) -> bool:
        """Whether the field is a tuple that each line adds to."""
        return self.option.repeat is Repeat.APPEND


def options_of(struct: type[msgspec.Struct], *, also: type[msgspec.Struct] | None = None) -> dict[str, Declared]:
    """The options of a struct by their written names, aliases excluded, in the order of declaration.

    also: where the Option of a field stands that has none of its own (vhost.py refers to user.py so).
    """
    elsewhere = {d.field: d for d in options_of(also).values()} if also else {}
    declared = {}
    for field in msgspec.structs.fields(struct):
        option = _option_in(field.type)
        per_user = option is None
        if option is None:
            option = elsewhere[field.name].option
        name = option.name or field.name.replace("_", "-")
        declared[name] = Declared(name, field.name, field.default, option, per_user)
    return declared


def with_aliases(table: dict[str, Declared]) -> dict[str, Declared]:
    """The same table, in which every alias is a key too."""
    return table | {alias: d for d in table.values() for alias in d.option.aliases}


def _option_in(annotation: object) -> Option | None:
    return next((part for part in get_args(annotation) if isinstance(part, Option)), None)
