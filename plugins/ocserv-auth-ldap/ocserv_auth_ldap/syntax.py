"""The syntaxes of values. Each takes a value as it was said and raises ValueError with a sentence that says what would
be right; options.py adds the option's name and its place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from ldap3.operation.search import compile_filter, parse_filter

from .names import check_template, fill, is_dn

TYPED = "typed"
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9;-]*|[0-9]+(\.[0-9]+)+")


def parse_text(text: str) -> str:
    """Anything, but not nothing."""
    if not text:
        raise ValueError("a value is missing")
    return text


def parse_dn(text: str) -> str:
    """A DN, as it is written."""
    if not is_dn(text):
        raise ValueError(f"'{text}' is no DN; write it like ou=people,dc=example,dc=com")
    return text


def parse_readable(text: str) -> str:
    """The path of a file that can be read."""
    if not os.access(parse_text(text), os.R_OK) or os.path.isdir(text):
        raise ValueError(f"cannot read '{text}', the file of certificates (PEM) that servers are checked by")
    return text


def parse_boolean(text: str) -> bool:
    """yes or no."""
    value = {"yes": True, "true": True, "no": False, "false": False}.get(text.lower())
    if value is None:
        raise ValueError(f"'{text}' is neither yes nor no")
    return value


def number(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds, both included."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"'{text}' is not a number from {low} to {high}")
        return int(text)

    return parse


def parse_attribute(text: str) -> str:
    """The name of an attribute, in lower case."""
    if not _ATTRIBUTE.fullmatch(text):
        raise ValueError(f"'{text}' is not the name of an attribute")
    return text.lower()


def parse_optional_attribute(text: str) -> str:
    """The same, or nothing."""
    return parse_attribute(text) if text else ""


def parse_username(text: str) -> str:
    """The same; "" for the word `typed`."""
    return "" if text.lower() == TYPED else parse_attribute(text)


def dn_template(*known: str) -> Callable[[str], str]:
    """A DN with these names in braces."""

    def parse(text: str) -> str:
        return _checked_dn(check_template(text, known), known)

    return parse


def _checked_dn(text: str, known: tuple[str, ...]) -> str:
    parse_dn(fill(text, dict.fromkeys(known, "x"), str))
    return text


def search_filter(*known: str) -> Callable[[str], str]:
    """A filter (RFC 4515) with these names in braces."""

    def parse(text: str) -> str:
        example = fill(check_template(text, known), dict.fromkeys(known, "x"), str)
        try:
            compile_filter(parse_filter(example, None, False, False, None, False).elements[0])
        except Exception:  # noqa: BLE001 (whatever ldap3 raises for what it cannot read)
            raise ValueError(f"'{text}' is not a filter; write it like (uid={{{known[-1]}}})") from None
        return text

    return parse


def parse_mapping(text: str) -> tuple[str, str]:
    """`LDAP-GROUP -> GROUP`: both, without blanks around."""
    group, arrow, name = (part.strip() for part in text.rpartition("->"))
    if not arrow or not group or not name:
        raise ValueError(f"'{text}' is not LDAP-GROUP -> GROUP; LDAP-GROUP is a DN or a name")
    return group, name
