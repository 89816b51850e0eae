"""Groups of the operating system, as the databases of the system tell them."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping

import pytest
from ocserv_auth_pam.groups import MAX_GROUPS, groups_from, groups_of


def database(
    monkeypatch: pytest.MonkeyPatch, groups: Mapping[int, str], members: Mapping[str, tuple[int, ...]]
) -> None:
    """A system with these groups; the first of a user's is the primary one."""

    def by_name(name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", 1, members[name][0], "", "/", "/bin/sh"))

    def by_gid(gid: int) -> grp.struct_group:
        return grp.struct_group((groups[gid], "x", gid, []))

    monkeypatch.setattr("pwd.getpwnam", by_name)
    monkeypatch.setattr("grp.getgrgid", by_gid)
    monkeypatch.setattr("grp.getgrall", lambda: [by_gid(gid) for gid in groups])
    monkeypatch.setattr("os.getgrouplist", lambda name, _primary: list(members[name]))


def test_the_primary_one_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    database(monkeypatch, {1: "users", 2: "staff"}, {"alice": (2, 1)})
    assert groups_of("alice") == ("staff", "users")


def test_one_whom_only_pam_knows_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    database(monkeypatch, {}, {})
    assert groups_of("alice") == ()


def test_a_number_without_a_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    database(monkeypatch, {1: "users"}, {"alice": (9, 1)})
    assert groups_of("alice") == ("users",)


def test_a_name_that_is_no_text_is_left_out(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    database(monkeypatch, {1: "g\udce4ste", 2: "staff"}, {"alice": (1, 2)})
    assert (groups_of("alice"), groups_from(0)) == (("staff",), ("staff",))
    assert r"the group 'g\udce4ste' is left out: its name is no UTF-8" in caplog.text


def test_those_to_choose_from_begin_with_gid_min(monkeypatch: pytest.MonkeyPatch) -> None:
    database(monkeypatch, {0: "root", 999: "system", 1000: "staff", 1001: "guests"}, {})
    assert groups_from(1000) == ("staff", "guests")
    assert groups_from(0) == ("root", "system", "staff", "guests")


def test_a_list_has_an_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    database(monkeypatch, {gid: f"g{gid}" for gid in range(600)}, {})
    assert len(groups_from(0)) == MAX_GROUPS
    assert "of 600 groups from gid-min=0 on, the first 512 may be chosen" in caplog.text
