"""The state folder is private, and has one server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ocserv_core.errors import StartError, StateError
from ocserv_core.system.statedir import StateDir

from .forked import needs_root


def test_is_made_for_root_alone(tmp_path: Path) -> None:
    state = StateDir.open(str(tmp_path / "state"))
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    state.close()


def test_is_made_private_again(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    StateDir.open(str(tmp_path)).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_second_server_is_told_whose_it_is(tmp_path: Path) -> None:
    state = StateDir.open(str(tmp_path))
    with pytest.raises(StartError, match=rf"another server \(pid {os.getpid()}\) uses the state folder"):
        StateDir.open(str(tmp_path))
    state.close()


def test_is_free_after_its_server(tmp_path: Path) -> None:
    StateDir.open(str(tmp_path)).close()
    StateDir.open(str(tmp_path)).close()


def test_has_an_empty_folder_for_workers(tmp_path: Path) -> None:
    state = StateDir.open(str(tmp_path))
    assert os.listdir(state.empty_root) == []
    state.close()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="not a directory"):
        StateDir.open(str(tmp_path / "state"))


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(tmp_path)
    with pytest.raises(StateError, match="not a directory"):
        StateDir.open(str(tmp_path / "state"))


def test_a_missing_parent_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory"):
        StateDir.open(str(tmp_path / "a" / "b"))


@needs_root
def test_another_owner_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(StateError, match="owned by uid 65534"):
        StateDir.open(str(tmp_path))
