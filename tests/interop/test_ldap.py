"""Logins of the real client by a real slapd, and what becomes of them when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..servers.slapd import ADMIN, ADMIN_PASSWORD, PEOPLE, Slapd, group, person
from .lab import GATEWAY4, Lab
from .server import Server

PASSWORD = "alices-password-in-the-directory"
BUSY = "The server is busy, please try again later."


@pytest.fixture
def slapd(lab: Lab, tmp_path: Path) -> Iterator[Slapd]:
    """In the namespace of the server."""
    yield from _run(lab, tmp_path / "slapd")


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> Iterator[Slapd]:
    """A second one, with the same people."""
    yield from _run(lab, tmp_path / "other")


def _run(lab: Lab, folder: Path) -> Iterator[Slapd]:
    ldif = person("alice", PASSWORD) + group("vpn", "alice") + group("admins", "alice")
    server = Slapd(folder, ldif, namespace=lab.namespace)
    try:
        yield server
    finally:
        server.stop()


def start(lab: Lab, *directories: Slapd, **options: str) -> Server:
    """The server with `ldap` of these, in this order."""
    ca_file = lab.write("ca.pem", "".join(one.certificate.file.read_text() for one in directories))
    lines = [f"uri = {one.uri}" for one in directories]
    lines += [f"ca-file = {ca_file}", f"base = {PEOPLE}", f"bind-dn = {ADMIN}", f"bind-password = {ADMIN_PASSWORD}"]
    config = lab.write(
        "ldap.conf", "\n".join([*lines, "timeout = 2", "group-map = vpn -> vpn", "group-map = admins -> ops"])
    )
    return lab.start_server(auth=f'"ldap[config={config}]"', **options)


def test_a_password_of_the_directory_lets_in(lab: Lab, slapd: Slapd) -> None:
    server = start(lab, slapd)
    client = lab.connect("alice", password=PASSWORD)
    assert client.host.ping(GATEWAY4)
    assert server.log.find(r"'alice' from .* is authenticated by ldap")
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "vpn"
    assert PASSWORD not in server.log.text
    assert ADMIN_PASSWORD not in server.log.text


def test_three_wrong_passwords_end_the_login(lab: Lab, slapd: Slapd) -> None:
    server = start(lab, slapd)
    client = lab.openconnect("--user", "alice", stdin=f"one\ntwo\nthree\n{PASSWORD}\n")
    assert client.wait() != 0
    server.log.wait_for(r"ldap: 'alice' from .*: wrong password \(49 invalidCredentials\)", times=3)
    assert server.show("status")["Total authentication failures"] == 1


def test_a_group_of_the_directory_is_chosen(lab: Lab, slapd: Slapd) -> None:
    server = start(lab, slapd, auto_select_group="true")
    lab.connect("alice", "--authgroup", "ops", password=PASSWORD)
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "ops"


def test_while_the_directory_is_down_nobody_has_failed(lab: Lab, slapd: Slapd) -> None:
    server = start(lab, slapd)
    slapd.stop()
    client = lab.login("alice", password=PASSWORD)
    assert client.wait() != 0
    assert BUSY in client.output.text
    assert server.log.find(
        r"login of 'alice' from .* failed: the back end 'ldap' is not available: .*Connection refused"
    )
    assert server.show("status")["Total authentication failures"] == 0
    slapd.start()
    assert lab.connect("alice", password=PASSWORD).host.ping(GATEWAY4)


def test_a_directory_that_is_down_at_start_only_warns(lab: Lab, slapd: Slapd) -> None:
    slapd.stop()
    server = start(lab, slapd)
    server.log.wait_for(rf"ldap: {slapd.uri} cannot be used: .*Connection refused; until it can")
    slapd.start()
    assert lab.connect("alice", password=PASSWORD).host.ping(GATEWAY4)


def test_another_server_answers_for_one_that_is_down(lab: Lab, slapd: Slapd, other: Slapd) -> None:
    server = start(lab, slapd, other)
    slapd.stop()
    assert lab.connect("alice", password=PASSWORD).host.ping(GATEWAY4)
    assert server.log.find(rf"ldap: {slapd.uri}: .*; it is asked last for 60 s")
    assert other.log.find('BIND dn="uid=alice')


def test_a_wrong_option_is_told_with_its_line_and_the_server_does_not_start(lab: Lab) -> None:
    config = lab.write("ldap.conf", "uri = ldaps://127.0.0.1\nbase = people\n")
    server = lab.launch(auth=f'"ldap[config={config}]"')
    assert server.wait() != 0
    assert server.log.find(rf"ldap: {config}:2: base: 'people' is no DN; write it like ou=people,dc=example,dc=com")
