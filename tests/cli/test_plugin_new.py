"""`ocserv plugin new` writes distributions that pass their own tests, lint and types at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocserv_core.cli import ocserv
from ocserv_core.cli.plugin_files import BACKENDS
from tests.interop.environment import Environment

ROOT = Path(__file__).parents[2]


def written(tmp_path: Path, kind: str) -> Path:
    assert ocserv.main(["plugin", "new", "door-keeper", "--kind", kind, "--into", str(tmp_path)]) == 0
    return tmp_path / f"ocserv-{kind}-door-keeper"


def run(folder: Path, *words: str) -> str:
    # mypy does not follow an editable installation.
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    argv = [sys.executable, "-m", *words]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", BACKENDS)
def test_it_passes_its_own_tests(tmp_path: Path, kind: str) -> None:
    folder = written(tmp_path, kind)
    out = run(
        folder, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests", "--rootdir=.", "-o", "pythonpath=."
    )
    assert " passed" in out


@pytest.mark.parametrize("kind", BACKENDS)
def test_it_is_typed_and_formatted(tmp_path: Path, kind: str) -> None:
    folder = written(tmp_path, kind)
    run(folder, "mypy", "--strict", f"ocserv_{kind}_door_keeper", "tests")
    run(folder, "ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), ".")
    run(folder, "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "ARG,S", ".")


def test_it_is_found_by_its_name_when_it_is_installed(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install(written(tmp_path, "auth"))
    done = subprocess.run([*environment.server, "--version"], capture_output=True, text=True, timeout=60)
    assert "door-keeper" in done.stderr


@pytest.mark.parametrize("name", ["", "Door", "-x", "a_b", "a--b", "../x"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ocserv.main(["plugin", "new", "--into", str(tmp_path), "--", name]) != 0
    assert "is no name for a back end" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [
        ("auth", "plain", "ocserv-core"),
        ("auth", "pam", "ocserv-auth-pam"),
        ("acct", "radius", "ocserv-acct-radius"),
        ("config", "files", "ocserv-core"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    tmp_path: Path, kind: str, name: str, owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ocserv.main(["plugin", "new", name, "--kind", kind, "--into", str(tmp_path)]) != 0
    assert f"'{name}' is the back end of {owner};" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path, "auth")
    before = sorted(path.stat().st_mtime_ns for path in folder.rglob("*"))
    assert ocserv.main(["plugin", "new", "door-keeper", "--into", str(tmp_path)]) != 0
    assert "File exists" in capsys.readouterr().err
    assert sorted(path.stat().st_mtime_ns for path in folder.rglob("*")) == before
