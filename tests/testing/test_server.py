"""A whole server for an author's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocserv_core.system.crypt import hash_password
from ocserv_core.testing.server import NotStarted, TestServer
from ocserv_core.testing.vpn import Refused

pytestmark = pytest.mark.needs_tun


def passwd(tmp_path: Path) -> str:
    """A file of users, and the line that names it."""
    (tmp_path / "passwd").write_text(f"zoe:staff:{hash_password(b'swordfish', '$5$abcdefgh')}\n")
    return f'"plain[passwd={tmp_path}/passwd]"'


def test_a_login_with_it_is_real(ocserv_server: Callable[..., TestServer], tmp_path: Path) -> None:
    server = ocserv_server(auth=passwd(tmp_path))
    assert server.log_in("zoe", "swordfish")
    assert "'zoe' from 127.0.0.1 is authenticated by plain" in server.log


def test_a_wrong_password_is_refused(ocserv_server: Callable[..., TestServer], tmp_path: Path) -> None:
    server = ocserv_server(auth=passwd(tmp_path))
    with pytest.raises(Refused):
        server.log_in("zoe", "haddock")


def test_several_answers_go_to_several_questions(ocserv_server: Callable[..., TestServer], tmp_path: Path) -> None:
    server = ocserv_server(auth=passwd(tmp_path))
    assert server.log_in("zoe", "haddock", "swordfish")


def test_what_it_cannot_start_with_is_told() -> None:
    with pytest.raises(NotStarted, match="back end 'nobody' is not installed"):
        TestServer({"auth": '"nobody"'})
