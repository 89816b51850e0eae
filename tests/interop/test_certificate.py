"""Client certificates of a test CA, by the real client."""

from __future__ import annotations

import pytest

from .authority import CN, OU, UID, Authority, Card
from .client import Client
from .lab import GATEWAY4, Lab, Option
from .server import Server

WANTED = {"auth": "certificate", "cert-user-oid": CN}


@pytest.fixture
def ca(lab: Lab) -> Authority:
    return Authority(lab)


def start(lab: Lab, ca: Authority, **options: Option) -> Server:
    """The server with certificates of this CA; by default they are all that is needed."""
    return lab.start_server(**{"auth": "certificate", "cert_user_oid": CN, "ca_cert": ca.file, **options})


def present(lab: Lab, card: Card | None, *words: str, stdin: str = "", **more: object) -> Client:
    """openconnect with a card, and without a name or a password."""
    return lab.openconnect(*(card.words if card else ()), *words, stdin=stdin, **more)  # type: ignore[arg-type]


def with_password(lab: Lab, card: Card | None, user: str = "alice") -> Client:
    """openconnect with a card, a name and this user's password."""
    words = ("--user", user, "--passwd-on-stdin", "--non-inter")
    return present(lab, card, *words, stdin=f"{lab.passwords[user]}\n")


# ---- alone


def test_a_certificate_lets_in_without_a_password(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca)
    client = present(lab, ca.issue("zoe"), "--non-inter").await_connected()
    assert client.host.ping(GATEWAY4)
    assert server.log.find(r"'zoe' from .* is authenticated by certificate")
    (user,) = server.show("user", "zoe")
    assert (user["Username"], user["Certificate auth"]) == ("zoe", "True")
