"""Text of strangers, made fit for a prompt and for the log."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 1000
"""Characters of a message that are shown; RFC 2865 5.18 lets a server send more than a form has room for."""


def message(texts: Iterable[str]) -> str:
    """The lines of a Reply-Message, as a user may see them: without control characters, and not without end."""
    lines = "\n".join(texts).replace("\r\n", "\n").splitlines()
    clean = ("".join(char for char in line if char.isprintable()).strip() for line in lines)
    return "\n".join(line for line in clean if line)[:LONGEST]


def flat(text: str) -> str:
    """The same in one line, for the log."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:LONGEST]
