"""The files of groups and users: which is read, what they add up to, what refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ocserv_core.builtin.config_files import MAX_FILE, ConfigFiles
from ocserv_core.config.user import UserOptions
from ocserv_core.plugin import Denied
from ocserv_core.testing.contract import ConfigContract
from ocserv_core.testing.dialogue import Stage, a_session


class Site:
    """Both folders, with files that a test writes."""

    def __init__(self, home: Path) -> None:
        self.users, self.groups, self.home = home / "users", home / "groups", home
        self.users.mkdir()
        self.groups.mkdir()
        self.options = {"per-user": str(self.users), "per-group": str(self.groups)}

    def read(self, name: str = "alice", group: str = "") -> UserOptions:
        with Stage("ocserv.config", ConfigFiles, self.options) as stage:
            return stage.configure(a_session(name, group=group))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class TestContract(ConfigContract):
    factory = ConfigFiles

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, str]:
        return {"per-user": str(tmp_path), "default-user": str(tmp_path / "none")}

    @pytest.fixture
    def stage(self, options: Mapping[str, str]) -> Iterator[Stage]:
        with Stage(self.group, self.factory, options) as stage:
            yield stage

    def test_an_odd_name_is_no_fault(self, stage: Stage) -> None:  # type: ignore[override]  # some may have no file
        for name in ("..", "../../etc/passwd", "", "a/b"):
            with pytest.raises(Denied, match="no file name"):
                stage.configure(a_session(name))


def test_a_user_has_what_his_file_says(site: Site) -> None:
    (site.users / "alice").write_text("dns = 192.0.2.53\nidle-timeout = 10m\nno-udp = true\n")
    found = site.read()
    assert (found.dns, found.idle_timeout, found.no_udp) == (("192.0.2.53",), 600, True)


def test_an_edit_counts_at_once(site: Site) -> None:
    with Stage("ocserv.config", ConfigFiles, site.options) as stage:
        for mtu in (1300, 1200):
            (site.users / "alice").write_text(f"mtu = {mtu}\n")
            assert stage.configure(a_session()).mtu == mtu


def test_who_has_none_has_nothing(site: Site) -> None:
    assert site.read() == UserOptions()


def test_the_user_s_goes_before_the_group_s_and_lists_add_up(site: Site) -> None:
    (site.groups / "staff").write_text("mtu = 1300\nroute = 192.0.2.0/24\nhostname = from-the-group\n")
    (site.users / "alice").write_text("mtu = 1200\nroute = 203.0.113.0/24\n")
    found = site.read(group="staff")
    assert (found.mtu, found.hostname) == (1200, "from-the-group")
    assert found.routes == ("192.0.2.0/24", "203.0.113.0/24")


def test_without_a_group_no_group_s_file_is_read(site: Site) -> None:
    site.options["default-group"] = str(site.home / "default")
    (site.home / "default").write_text("mtu = 1300\n")
    assert site.read().mtu is None
    assert site.read(group="staff").mtu == 1300


def test_the_default_is_for_who_has_no_file(site: Site) -> None:
    site.options["default-user"] = str(site.home / "default")
    (site.home / "default").write_text("mtu = 1300\n")
    (site.users / "bob").write_text("")
    assert (site.read("alice").mtu, site.read("bob").mtu) == (1300, None)


def test_a_symbolic_link_is_no_file(site: Site) -> None:
    (site.home / "elsewhere").write_text("mtu = 1300\n")
    (site.users / "alice").symlink_to(site.home / "elsewhere")
    assert site.read() == UserOptions()


def test_what_is_unknown_is_passed_over(site: Site) -> None:
    (site.users / "alice").write_text("mtu = 1300\nno-such-option = 1\n[section]\nmtu = 1200\n")
    assert site.read().mtu == 1300


@pytest.mark.parametrize("text", ["mtu = wide\n", "dns = nowhere\n", "route = 300.0.0.0/8\n", "mtu 1300\n"])
def test_what_is_malformed_refuses_with_its_line(site: Site, text: str) -> None:
    (site.users / "alice").write_text(f"# a comment\n{text}")
    with pytest.raises(Denied, match=rf"{site.users}/alice:2: "):
        site.read()


ESCAPES = ["../elsewhere", "/etc/passwd", "users/../../elsewhere", "..", ".", "alice/", "a\0b", "\0"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("kind", ["user", "group"])
def test_a_name_that_leads_out_of_its_folder_refuses(site: Site, name: str, kind: str) -> None:
    (site.home / "elsewhere").write_text("mtu = 1300\n")
    with pytest.raises(Denied, match=f"^the {kind} '.*' cannot have a file: it is no file name$"):
        site.read(name) if kind == "user" else site.read(group=name)


@pytest.mark.parametrize("name", ["x" * 256, "x" * 100_000, "ä" * 128])
def test_a_name_that_no_file_can_have_has_none(site: Site, name: str) -> None:
    site.options["default-user"] = str(site.home / "default")
    (site.home / "default").write_text("mtu = 1300\n")
    assert site.read(name).mtu == 1300
    assert site.read(group=name).mtu == 1300


def test_a_folder_that_is_a_link_is_followed(site: Site) -> None:
    (site.users / "alice").write_text("mtu = 1300\n")
    (site.home / "link").symlink_to(site.users)
    site.options["per-user"] = str(site.home / "link")
    assert site.read().mtu == 1300


def test_what_is_malformed_in_a_group_s_file_refuses_its_members(site: Site) -> None:
    (site.groups / "staff").write_text("restrict-user-to-ports = tcp\n")
    with pytest.raises(Denied, match=rf"{site.groups}/staff:1: restrict-user-to-ports: "):
        site.read(group="staff")
    assert site.read() == UserOptions()


def test_a_file_that_is_too_long_refuses(site: Site) -> None:
    (site.users / "alice").write_text("#" * (MAX_FILE + 1))
    with pytest.raises(Denied, match="longer than"):
        site.read()


def test_a_fifo_is_not_waited_for(site: Site) -> None:
    os.mkfifo(site.users / "alice")
    with pytest.raises(Denied, match="is no file"):
        site.read()


def test_a_folder_of_that_name_is_no_file(site: Site) -> None:
    (site.users / "alice").mkdir()
    with pytest.raises(Denied, match="is no file"):
        site.read()


def test_a_folder_that_is_not_there_is_told_and_holds_nobody_up(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.options["per-user"] = str(site.home / "gone")
    assert site.read() == UserOptions()
    assert "gone: No such file or directory" in caplog.text
