"""secmod's half: whom a verified certificate lets in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ocserv_auth_cert.auth import CertificateAuth

from ocserv_core.errors import ConfigError
from ocserv_core.model import CertificateFacts
from ocserv_core.testing.dialogue import Stage

CARD = CertificateFacts("alice", ("staff", "choir"))


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage("ocserv.auth", CertificateAuth) as stage:
        yield stage


def test_who_the_certificate_names_gets_in_unasked(stage: Stage) -> None:
    identity = stage.log_in("alice", certificate=CARD).identity
    assert (identity.username, identity.group, identity.groups) == ("alice", "", ("staff", "choir"))


def test_a_group_of_the_certificate_may_be_chosen(stage: Stage) -> None:
    assert stage.log_in("alice", "choir", certificate=CARD).identity.group == "choir"


@pytest.mark.parametrize(
    ("user", "group", "card", "why"),
    [
        ("alice", "", None, "no client certificate was presented"),
        ("bob", "", CARD, "the client certificate is of 'alice'"),
        ("Alice", "", CARD, "the client certificate is of 'alice'"),
        ("alice", "admins", CARD, "group 'admins' is not in the client certificate (groups: staff, choir)"),
        (
            "alice",
            "admins",
            CertificateFacts("alice"),
            "group 'admins' is not in the client certificate (groups: none)",
        ),
    ],
)
def test_others_do_not_and_the_log_says_why(
    stage: Stage,
    user: str,
    group: str,
    card: CertificateFacts | None,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    assert stage.log_in(user, group, certificate=card).denied == "Login failed."
    assert f"certificate: '{user}' from 192.0.2.7: {why}" in caplog.text


def test_there_are_no_options() -> None:
    with pytest.raises(ConfigError, match="'crl' is unknown; certificate has no options, see cert-user-oid"):
        Stage("ocserv.auth", CertificateAuth, {"crl": "/x"})
