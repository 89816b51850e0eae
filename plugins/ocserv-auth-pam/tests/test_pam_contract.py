"""What every back end must do, with real modules in an /etc of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.pam import MOODS, UNIX, Pam

CONTRACT = Path(__file__).with_name("pam_contract.py")


@pytest.fixture
def pam(tmp_path: Path) -> Pam:
    return Pam(tmp_path)


@pytest.mark.needs_root
def test_it_is_kept_where_a_password_is_asked_for(pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    keep_contract(pam, pam.add_user("alice"))


@pytest.mark.needs_root
def test_it_is_kept_where_more_is_asked(pam: Pam) -> None:
    """Not by pam_oath: the tests of the contract log in with the same answers again and again."""
    rules = f"auth required {pam.module('pam_moods', MOODS)} all-at-once\naccount required pam_permit.so\n"
    pam.service("ocserv", rules)
    keep_contract(pam, "right", "123456")


def keep_contract(pam: Pam, *right: str) -> None:
    """Run it in there."""
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(CONTRACT))
    done = subprocess.run(
        pam.argv(sys.executable, *words),
        env={**os.environ, "RIGHT": json.dumps(right), "WRONG": json.dumps(["spring-1999", "000000"])},
        capture_output=True,
        text=True,
        timeout=100,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stdout
