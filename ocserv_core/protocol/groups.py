"""The list of groups that a login form offers, and which of them a client means.

Used by login.py. A client may answer with a group's value or with its label, so both are understood; whether the
user is a member is for secmod to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from .login_words import GroupOption

MAX_GROUP = 63
"""Bytes of a group's name."""


@dataclass(frozen=True, slots=True)
class GroupList:
    """`default` is the label of the line that means "let the server decide", "" without one. `open`: a name that
    is not listed may be meant, since groups can be named by URL."""

    options: tuple[GroupOption, ...] = ()
    default: str = ""
    open: bool = False

    def resolve(self, answer: str) -> str | None:
        """The group that `answer` names: its value, "" for none in particular, None where it is unknown."""
        if answer in ("", self.default):
            return ""
        for option in self.options:
            if answer in (option.value, option.label):
                return option.value
        unlisted = self.open or not self.options
        return answer if unlisted and is_group_name(answer) else None

    def arranged(self, chosen: str) -> tuple[GroupOption, ...]:
        """The lines in the order to show: the chosen one first, which is how openconnect knows that its choice
        was taken. Before any choice the default line leads."""
        default = (GroupOption(self.default, self.default),) if self.default else ()
        first = tuple(option for option in self.options if option.value == chosen)
        rest = tuple(option for option in self.options if option.value != chosen)
        return (*first, *default, *rest)


def is_group_name(text: str) -> bool:
    """Whether `text` can be a group's name at all."""
    return bool(text) and text.isprintable() and len(text.encode()) <= MAX_GROUP
