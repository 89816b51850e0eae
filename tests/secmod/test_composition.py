"""Which back ends a login must satisfy, and what comes of several that let the user in."""

from __future__ import annotations

import pytest

from ocserv_core.model import Identity
from ocserv_core.plugin import Ask, Denied, Login
from ocserv_core.secmod.composition import merge, method_name
from tests.loop import on_loop

from .backends import Backend, broken, compose, login, one_password


def test_a_method_is_called_after_its_back_ends() -> None:
    assert method_name(["certificate", "plain"]) == "certificate+plain"


def test_without_a_name_the_primary_method_is_meant() -> None:
    assert compose({"a": Backend(broken), "b": Backend(broken)}, {"c": Backend(broken)}).choose("") is not None


@pytest.mark.parametrize(("name", "back_ends"), [("", ["a", "b"]), ("a+b", ["a", "b"]), ("c", ["c"])])
def test_a_method_is_chosen_by_its_name(name: str, back_ends: list[str]) -> None:
    method = compose({"a": Backend(broken), "b": Backend(broken)}, {"c": Backend(broken)}).choose(name)
    assert method is not None
    assert [instance.name for instance in method.instances] == back_ends


@pytest.mark.parametrize("name", ["a", "b+a", "x", "C"])
def test_there_are_no_other_methods(name: str) -> None:
    assert compose({"a": Backend(broken), "b": Backend(broken)}, {"c": Backend(broken)}).choose(name) is None


def test_only_the_chosen_back_end_is_called() -> None:
    called = []

    async def mine(login: Login, _ask: Ask) -> Identity:
        called.append("mine")
        return Identity(login.username)

    async def other(login: Login, _ask: Ask) -> Identity:
        called.append("other")
        return Identity(login.username)

    composition = compose({"mine": Backend(mine)}, {"other": Backend(other)})

    async def dialogue() -> None:
        (instance,) = composition.methods[0].instances
        assert await instance.authenticate(login(), _nothing) == Identity("alice")

    on_loop(dialogue())
    assert called == ["mine"]


async def _nothing(_prompt: object) -> str:
    raise AssertionError("nothing is asked")


def test_groups_are_those_of_the_primary_method_once() -> None:
    composition = compose(
        {"a": Backend(one_password, ("x", "y")), "b": Backend(one_password, ("y", "z"))},
        {"c": Backend(one_password, ("hidden",))},
    )
    assert composition.groups() == ("x", "y", "z")


# ---- merging


def test_one_identity_stays_as_it_is() -> None:
    identity = Identity("alice", "staff", ("staff", "admins"), {"Class": "c"})
    assert merge(login(), [identity]) == identity


def test_who_knows_groups_decides_them() -> None:
    merged = merge(login(), [Identity("alice"), Identity("alice", "g1", ("g1", "g2"))])
    assert (merged.group, merged.groups) == ("g1", ("g1", "g2"))


def test_of_several_that_know_groups_what_all_know_counts() -> None:
    card, file = Identity("alice", "", ("choir", "staff", "guests")), Identity("alice", "guests", ("guests", "staff"))
    merged = merge(login(), [card, file])
    assert (merged.group, merged.groups) == ("guests", ("staff", "guests"))


def test_a_back_end_that_knows_one_group_alone_knows_that() -> None:
    merged = merge(login(), [Identity("alice", "staff"), Identity("alice", "", ("guests", "staff"))])
    assert (merged.group, merged.groups) == ("staff", ("staff",))


def test_a_group_that_one_of_them_does_not_know_denies() -> None:
    with pytest.raises(Denied):
        merge(login(group="choir"), [Identity("alice", "", ("choir", "staff")), Identity("alice", "", ("staff",))])


def test_back_ends_whose_groups_have_nothing_in_common_deny() -> None:
    with pytest.raises(Denied):
        merge(login(), [Identity("alice", "g1", ("g1",)), Identity("alice", "g2", ("g2",))])


def test_attributes_add_up() -> None:
    merged = merge(login(), [Identity("alice", attributes={"a": 1}), Identity("alice", attributes={"b": 2})])
    assert merged.attributes == {"a": 1, "b": 2}


def test_the_token_for_the_client_is_that_of_who_has_one() -> None:
    assert merge(login(), [Identity("alice"), Identity("alice", token="b3V0")]).token == "b3V0"


def test_back_ends_that_mean_different_users_deny() -> None:
    with pytest.raises(Denied):
        merge(login(), [Identity("alice"), Identity("bob")])


def test_the_chosen_group_is_the_session_s() -> None:
    assert merge(login(group="admins"), [Identity("alice", "staff", ("staff", "admins"))]).group == "admins"


@pytest.mark.parametrize("groups", [(), ("staff",), ("Admins",)])
def test_a_group_that_is_not_the_user_s_denies(groups: tuple[str, ...]) -> None:
    with pytest.raises(Denied):
        merge(login(group="admins"), [Identity("alice", "", groups)])
