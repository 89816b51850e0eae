"""Whose member a user is: by memberOf, by search, through other groups; what the groups are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ldap_site import MANY, Dialogue, dialogue_with, running_slapd
from ocserv_auth_ldap import groups

from ocserv_core.plugin import Denied, Identity, Unavailable
from tests.servers.slapd import GROUPS, PEOPLE, SUFFIX, Slapd, group, group_dn, person

BY_ATTRIBUTE = {"group_attribute": "memberOf"}
BY_SEARCH = {"group_attribute": "", "group_base": GROUPS}
BOTH = {**BY_ATTRIBUTE, "group_base": GROUPS}
TEN = person("ten", "tens-password") + "".join(group(f"g{number}", "ten") for number in range(10))
WAYS = {"memberOf": BY_ATTRIBUTE, "search": BY_SEARCH, "both": BOTH}


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("ldap") / "slapd") as server:
        yield server


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> dict[str, str]:
    """How groups are found."""
    return WAYS[request.param]


def with_way(slapd: Slapd, folder: Path, way: dict[str, str], *more: str, **changed: str) -> Dialogue:
    # An attribute of "" stands as an empty value, and not as its absence.
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in {**way, **changed}.items()]
    return dialogue_with(slapd, *lines, *more, folder=folder)


def test_groups_are_those_that_a_user_is_in(slapd: Slapd, tmp_path: Path, way: dict[str, str]) -> None:
    identity = with_way(slapd, tmp_path, way).log_in("alice", "alices-password")
    assert identity == Identity("alice", "staff", ("staff", "vpn"))


def test_a_user_may_be_in_none(slapd: Slapd, tmp_path: Path, way: dict[str, str]) -> None:
    identity = with_way(slapd, tmp_path, way).log_in("twin", "one")
    assert identity == Identity("twin")


@pytest.mark.parametrize(
    ("depth", "found"), [("2", {"company", "staff", "vpn"}), ("3", {"company", "staff", "vpn", "world"})]
)
def test_groups_of_groups_count_to_the_depth(
    slapd: Slapd, tmp_path: Path, way: dict[str, str], depth: str, found: set[str]
) -> None:
    identity = with_way(slapd, tmp_path, way, group_depth=depth).log_in("alice", "alices-password")
    assert set(identity.groups) == found


def test_groups_that_are_in_each_other_end(slapd: Slapd, tmp_path: Path, way: dict[str, str]) -> None:
    since = slapd.mark()
    identity = with_way(slapd, tmp_path, way, group_depth="16").log_in("alice", "alices-password")
    assert set(identity.groups) == {"company", "staff", "vpn", "world"}
    slapd.settle()
    assert slapd.log.count("SRCH base=", since) < 12


def test_five_hundred_groups_are_five_hundred(slapd: Slapd, tmp_path: Path, way: dict[str, str]) -> None:
    assert with_way(slapd, tmp_path, way).log_in("many", "manys-password").groups == tuple(MANY)


def test_more_groups_of_groups_than_may_be_asked_for_end(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MAX_LOOKUPS", 100)
    dialogue = with_way(slapd, tmp_path, BY_ATTRIBUTE, group_depth="3")
    assert len(dialogue.log_in("many", "manys-password").groups) == 500
    assert caplog.messages.count("ldap: the groups of 'many' took 100 requests; no more are made") == 1


def test_more_groups_than_may_be_looked_at_end(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MAX_COLLECTED", 100)
    assert len(with_way(slapd, tmp_path, BY_ATTRIBUTE).log_in("many", "manys-password").groups) == 100
    assert caplog.messages.count("ldap: 'many' is in more than 100 groups; the others do not count") == 1


def test_what_a_size_limit_of_the_server_hides_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = Slapd(tmp_path / "slapd", TEN, locally="sizelimit 6")
    try:
        # As a user: limits do not bind the administrator.
        nobody = {"bind_dn": "", "bind_password": "", "base": "", "user_dn": f"uid={{user}},{PEOPLE}"}
        dialogue = dialogue_with(server, "group-attribute =", folder=tmp_path, group_base=GROUPS, **nobody)
        assert len(dialogue.log_in("ten", "tens-password").groups) == 6
    finally:
        server.stop()
    assert (
        "ldap: only 6 groups of 'ten' are known: the server gives no more at once (its size limit)" in caplog.messages
    )


def test_a_name_in_a_group_s_dn_is_unescaped(slapd: Slapd, tmp_path: Path, way: dict[str, str]) -> None:
    assert with_way(slapd, tmp_path, way).log_in("carol", "carols-password").groups == ("odd, name",)


def test_groups_may_name_their_members_by_user_names(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = with_way(slapd, tmp_path, BOTH, group_filter="(memberUid={user})", group_depth="3")
    assert dialogue.log_in("bob", "bobs-password").groups == ("posix", "vpn")


def test_a_group_base_that_is_not_there_is_told(slapd: Slapd, tmp_path: Path) -> None:
    wrong = f"ou=nowhere,{SUFFIX}"
    dialogue = with_way(slapd, tmp_path, BY_SEARCH, group_base=wrong)
    with pytest.raises(Unavailable, match=f"the search for groups below '{wrong}' failed: there is no such entry"):
        dialogue.log_in("alice", "alices-password")


# ---- what they are called -----------------------------------------------------------------------------------------

MAP = ("group-map = world -> outer", f"group-map = {group_dn('vpn').upper()} -> inner", "group-map = staff -> inner")


def test_with_a_map_it_alone_counts_and_its_order(slapd: Slapd, tmp_path: Path, way: dict[str, str]) -> None:
    dialogue = with_way(slapd, tmp_path, way, *MAP, group_depth="4")
    assert dialogue.log_in("alice", "alices-password") == Identity("alice", "outer", ("outer", "inner"))


def test_who_is_in_nothing_that_is_mapped_has_no_group(slapd: Slapd, tmp_path: Path) -> None:
    assert with_way(slapd, tmp_path, BY_ATTRIBUTE, *MAP).log_in("carol", "carols-password") == Identity("carol")


def test_the_names_of_the_map_can_be_chosen_from(slapd: Slapd, tmp_path: Path) -> None:
    assert with_way(slapd, tmp_path, BY_ATTRIBUTE, *MAP).backend.ocserv_groups() == ("outer", "inner")


# ---- who may log in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("required", ["vpn", "VPN", group_dn("vpn"), f"CN=vpn, {GROUPS}"])
def test_a_member_of_what_is_required_gets_in(slapd: Slapd, tmp_path: Path, required: str) -> None:
    dialogue = with_way(slapd, tmp_path, BY_ATTRIBUTE, f"require-group = {required}")
    assert dialogue.log_in("bob", "bobs-password").username == "bob"


def test_one_of_those_that_are_required_is_enough(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = with_way(slapd, tmp_path, BY_ATTRIBUTE, "require-group = nothing", "require-group = vpn")
    assert dialogue.log_in("bob", "bobs-password").username == "bob"


@pytest.mark.parametrize("required", ["vpn", f"cn=vpn,{SUFFIX}", "cn=vpn"])
def test_who_is_in_none_does_not_though_the_password_is_right(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture, required: str
) -> None:
    caplog.set_level("INFO")
    dialogue = with_way(slapd, tmp_path, BY_ATTRIBUTE, f"require-group = {required}")
    with pytest.raises(Denied, match=r"^Login failed\.$"):
        dialogue.log_in("carol", "carols-password")
    assert f"ldap: 'carol' from 192.0.2.7: in no group of require-group ({required})" in caplog.messages


def test_a_required_group_may_be_reached_through_another(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = with_way(slapd, tmp_path, BY_ATTRIBUTE, "require-group = world", group_depth="4")
    assert dialogue.log_in("alice", "alices-password").username == "alice"
