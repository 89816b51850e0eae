"""The group list."""

from __future__ import annotations

import pytest

from ocserv_core.config.values import Group
from ocserv_core.protocol.groups import GroupList, is_group_name

STAFF, GUESTS = Group("staff", "Staff members"), Group("guests", "guests")
CLOSED = GroupList((STAFF, GUESTS), "DEFAULT")
OPEN = GroupList((STAFF,), open=True)


def names(groups: tuple[Group, ...]) -> list[str]:
    return [group.name for group in groups]


@pytest.mark.parametrize(
    ("answer", "group"), [("staff", "staff"), ("Staff members", "staff"), ("DEFAULT", ""), ("", ""), ("gone", None)]
)
def test_what_an_answer_means(answer: str, group: str | None) -> None:
    assert CLOSED.resolve(answer) == group


@pytest.mark.parametrize(("groups", "believed"), [(CLOSED, None), (OPEN, "gone"), (GroupList(), "gone")])
def test_whether_a_typed_name_is_believed(groups: GroupList, believed: str | None) -> None:
    assert groups.resolve_typed("gone") == believed


def test_a_typed_label_still_means_its_group() -> None:
    assert OPEN.resolve_typed("Staff members") == "staff"


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ("", ["DEFAULT", "staff", "guests"]),
        ("guests", ["guests", "DEFAULT", "staff"]),
        ("hidden", ["hidden"]),
    ],
)
def test_the_order_shown(chosen: str, shown: list[str]) -> None:
    assert names(CLOSED.arranged(chosen)) == shown


def test_without_groups_there_is_no_list() -> None:
    assert GroupList(default="DEFAULT").arranged("x") == ()


@pytest.mark.parametrize(
    ("name", "can_be"), [("a", True), ("a" * 63, True), ("a" * 64, False), ("", False), ("a\n", False)]
)
def test_what_can_be_a_name(name: str, can_be: bool) -> None:
    assert is_group_name(name) is can_be
