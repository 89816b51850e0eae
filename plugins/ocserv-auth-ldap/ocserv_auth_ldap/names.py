"""Names in filters (RFC 4515) and in DNs (RFC 4514); pure.

What a user typed gets into both by `fill` alone, with everything escaped but ASCII letters, digits and a few marks:
more than the RFCs demand, so that no parser on the way can see anything else in it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Mapping

_PLAIN = frozenset((string.ascii_letters + string.digits).encode())
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

Rdn = tuple[tuple[str, str], ...]
"""One level of a DN: its attributes (in lower case) and their values."""


def escape_filter(text: str) -> str:
    """`text` as a value in a filter. A blank is escaped too: ldap3 cuts those at the ends."""
    return _escape(text, _PLAIN)


def escape_dn(text: str) -> str:
    """`text` as a value in a DN."""
    return _escape(text, _PLAIN | frozenset(b"-_.@"))


def _escape(text: str, plain: frozenset[int]) -> str:
    return "".join(chr(octet) if octet in plain else f"\\{octet:02x}" for octet in text.encode())


def check_template(template: str, known: Collection[str]) -> str:
    """`template`, or ValueError where it names something else in braces, or nothing."""
    names = _PLACEHOLDER.findall(template)
    wanted = " or ".join(f"{{{name}}}" for name in known)
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)) or not set(names) <= set(known):
        raise ValueError(f"'{template}' has something in braces that is not {wanted}")
    if not names:
        raise ValueError(f"'{template}' must contain {wanted}")
    return template


def fill(template: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """The template with its `{name}`s replaced by escaped values, in one pass: what is put in is not looked at."""
    return _PLACEHOLDER.sub(lambda match: escape(values[match[1]]), template)


def split_dn(dn: str) -> list[Rdn]:
    """The levels of a DN, the innermost first. ValueError where it is none."""
    levels: list[Rdn] = []
    rest = dn
    while True:
        pairs: list[tuple[str, str]] = []
        separator = "+"
        while separator == "+":
            name, value, separator, rest = _take_pair(rest)
            pairs.append((name, value))
        levels.append(tuple(pairs))
        if not separator:
            return levels


def _take_pair(text: str) -> tuple[str, str, str, str]:
    """The first `type=value`: type, value, the separator after it ("" at the end), and the rest."""
    name, equals, rest = text.partition("=")
    if not equals or not re.fullmatch(r"\s*[A-Za-z0-9][A-Za-z0-9.;-]*\s*", name):
        raise ValueError(f"'{text}' is not attribute=value")
    match = re.match(r'((?:[^\\,+;"]|\\[0-9A-Fa-f]{2}|\\[^0-9A-Fa-f])*)([,+;]?)', rest, re.DOTALL)
    assert match is not None  # it also matches nothing
    if not match[2] and match.end() != len(rest):
        raise ValueError(f"'{rest}' is not escaped as it must be")
    return name.strip().lower(), _unescape(match[1]), match[2], rest[match.end() :]


def _unescape(value: str) -> str:
    # Blanks around a value mean nothing, unless they are escaped.
    value = re.sub(r"(?<!\\) +$", "", value.lstrip(" "))
    octets = re.sub(
        rb"\\([0-9A-Fa-f]{2}|.)",
        lambda match: bytes.fromhex(match[1].decode()) if len(match[1]) == 2 else match[1],
        value.encode(),
        flags=re.DOTALL,
    )
    return octets.decode(errors="replace")


def fold_dn(dn: str) -> str:
    """What two spellings of a DN have in common: case, blanks and escapes do not count. Of what is no DN, the text."""
    try:
        levels = split_dn(dn)
    except ValueError:
        return dn.casefold()
    return ",".join("+".join(sorted(f"{name}={escape_dn(fold(value))}" for name, value in rdn)) for rdn in levels)


def fold(value: str) -> str:
    """What two spellings of a value have in common, as caseIgnoreMatch sees it."""
    return " ".join(value.casefold().split())


def first_value(dn: str) -> str:
    """The value of the innermost level: the name of a group. ValueError where `dn` is no DN."""
    return split_dn(dn)[0][0][1]


def is_dn(text: str) -> bool:
    """Whether it is a DN, and no mere name."""
    try:
        split_dn(text)
    except ValueError:
        return False
    return True
