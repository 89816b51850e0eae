"""The list of groups that a login form offers, and which of them a client means.

Used by login.py. A client may answer with a group's name or with its label, so both are understood; whether the
user is a member is for secmod to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..config.values import Group

MAX_GROUP = 63
"""Bytes of a group's name."""


@dataclass(frozen=True, slots=True)
class GroupList:
    """`default` is the label of the line that means "let the server decide", "" without one. `open`: a name that
    is not listed may be meant, since groups can be named by URL."""

    groups: tuple[Group, ...] = ()
    default: str = ""
    open: bool = False

    def resolve(self, answer: str) -> str | None:
        """The listed group that `answer` names, "" for none in particular, None where it is unknown."""
        if answer in ("", self.default):
            return ""
        for group in self.groups:
            if answer in (group.name, group.label):
                return group.name
        return None

    def resolve_typed(self, answer: str) -> str | None:
        """The same, but a name that is not listed is believed where it may be meant; secmod knows if it exists."""
        listed = self.resolve(answer)
        if listed is None and (self.open or not self.groups) and is_group_name(answer):
            return answer
        return listed

    def arranged(self, chosen: str) -> tuple[Group, ...]:
        """The lines in the order to show: the chosen one first, which is how openconnect knows that its choice
        was taken. Before any choice the default line leads. A chosen group that is not listed stands alone."""
        if not self.groups:
            return ()
        first = tuple(group for group in self.groups if group.name == chosen)
        if chosen and not first:
            return (Group(chosen, chosen),)
        default = (Group(self.default, self.default),) if self.default else ()
        return (*first, *default, *(group for group in self.groups if group.name != chosen))


def is_group_name(text: str) -> bool:
    """Whether `text` can be a group's name at all."""
    return bool(text) and text.isprintable() and len(text.encode(errors="replace")) <= MAX_GROUP
