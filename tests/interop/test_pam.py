"""Logins by PAM with the real client: real modules, in an /etc of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers.pam import UNIX, UNIX_AND_OTP, Pam, otp

from .client import Client
from .lab import GATEWAY4, Lab
from .server import OCSERV, Server


@pytest.fixture
def pam(lab: Lab) -> Pam:
    """In the lab's folder, so that it goes with it."""
    return Pam(Path(lab.folder))


def start(lab: Lab, pam: Pam, auth: str = "pam", **options: str) -> Server:
    """The server with that /etc."""
    argv = [*OCSERV, "-f", "--log-stderr", "-c", lab.configure(auth=f'"{auth}"', **options)]
    return lab.run_server(pam.argv(*argv), lab.path("occtl.sock")).await_listening()


def log_in(lab: Lab, user: str, *answers: str) -> Client:
    """The answers to what is asked, one after another."""
    return lab.openconnect("--user", user, stdin="".join(f"{answer}\n" for answer in answers))


def test_a_password_that_pam_knows_lets_its_user_in(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    password = pam.add_user("alice", groups=("staff",))
    server = start(lab, pam)
    client = log_in(lab, "alice", password).await_connected()
    assert client.host.ping(GATEWAY4)
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "users"
    assert password not in server.log.text
