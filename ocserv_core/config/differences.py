"""What the lines of an ocserv.conf mean to the C server (1.5) and not here, or the other way round. Used by `ocserv
config check` (cli/config_check.py) and by the manual's text of an option.

The table stands in differences_table.py; here is what follows from how the C server reads values: numbers by their
first digits, everything that is not true or yes as off, methods of authentication by the beginning of their names.
"""

from __future__ import annotations

import re

import msgspec

from .declare import Declared, with_aliases
from .differences_table import CHECKED_BY_BOTH, METHODS, OF_A_SECTION, RULES, UNCHECKED, UNSET
from .old_words import OLD_WORDS
from .parser import Section, Token, parse_tokens
from .server import SERVER
from .values import BACKEND, BOOLEAN
from .vhost import VHOST

_OPTIONS = with_aliases({**SERVER, **VHOST})


class Difference(msgspec.Struct, frozen=True):
    """line: 0 where it is of the whole file. option: as it is written there; for a section, the section."""

    line: int
    option: str
    text: str


def differences(text: str, file: str) -> list[Difference]:
    """Every difference, in the order of the lines; last, those that come of options which are not set."""
    found: list[Difference] = []
    unset = dict(UNSET)
    for item in parse_tokens(text, file).items:
        if isinstance(item, Section):
            found.append(Difference(item.line, f"[{item.name}]", OF_A_SECTION))
            continue
        option = _OPTIONS.get(item.name) or _renamed(item)
        if option is not None:
            unset.pop(option.name, None)
            found += (Difference(item.line, item.name, said) for said in _of(option, item))
    return [*found, *(Difference(0, name, said) for name, said in unset.items())]


def _renamed(token: Token) -> Declared | None:
    try:
        line = OLD_WORDS[token.name].becomes(token.value)
    except (KeyError, ValueError):
        return None
    return _OPTIONS[line[0]] if line and line[1] == token.value else None


def _of(option: Declared, token: Token) -> list[str]:
    said = _by_syntax(option, token.value)
    return [*([said] if said else []), *(rule.says for rule in RULES.get(option.name, ()) if rule.when(token))]


def _by_syntax(option: Declared, value: str) -> str:
    syntax = option.option.syntax
    if syntax.numeric and option.name not in CHECKED_BY_BOTH:
        return _number(option, value)
    if syntax is BOOLEAN:
        return _boolean(option, value)
    if syntax is BACKEND:
        return _method(value)
    if option.name in UNCHECKED and _parsed(option, value) is None:
        return "the C server does not look at this value when it starts"
    return ""


def _number(option: Declared, value: str) -> str:
    """strtol: what follows the digits is not looked at, and no range is."""
    digits = re.match(r"[+-]?[0-9]+", value)
    theirs, ours = int(digits[0]) if digits else 0, _parsed(option, value)
    if theirs == ours:
        return ""
    if ours is not None:
        return f"the C server reads '{value}' as {theirs}; {ours} means the same to both"
    if theirs < 0:
        return f"the C server lets '{value}' wrap into a large number"
    if str(theirs) == value:
        return f"the C server does not bound this number, and takes {theirs}"
    return f"the C server reads '{value}' as {theirs}"


def _boolean(option: Declared, value: str) -> str:
    theirs, ours = value.lower() in ("true", "yes"), _parsed(option, value)
    if theirs == ours:
        return ""
    hint = "; true means the same to both" if ours else ""
    return f"the C server reads '{value}' as false{hint}"


def _method(value: str) -> str:
    name = re.match(r"[A-Za-z0-9_.-]*", value)
    word = name[0].lower() if name else ""
    theirs = next((method for method in METHODS if word.startswith(method)), "")
    return f"the C server takes '{word}' for {theirs}; here names are whole" if theirs and theirs != word else ""


def _parsed(option: Declared, value: str) -> object:
    """What is made of it here; None where it is refused."""
    try:
        return option.option.syntax.parse(value)
    except ValueError:
        return None
