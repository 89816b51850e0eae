"""The workers' half: whom a certificate names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from ocserv_auth_cert.worker import CertificateNames

from ocserv_core.model import CertificateFacts
from ocserv_core.plugin.worker import CertificateRefused, WorkerContext

CN, OU = "2.5.4.3", "2.5.4.11"


@dataclass(frozen=True)
class Subject:
    """A PeerCertificate with these values."""

    values: Mapping[str, tuple[str, ...]]
    addresses: tuple[str, ...] = field(default=())

    def names(self, oid: str) -> tuple[str, ...]:
        return self.values.get(oid, ())

    def emails(self) -> tuple[str, ...]:
        return self.addresses


def named(subject: Subject, user_oid: str = CN, group_oid: str = "") -> CertificateFacts:
    names = CertificateNames(WorkerContext("default", "certificate", user_oid, group_oid))
    return names.ocserv_certificate_identity(subject)


def refusal(subject: Subject, user_oid: str = CN) -> str:
    with pytest.raises(CertificateRefused) as caught:
        named(subject, user_oid)
    return str(caught.value)


def test_the_name_is_that_of_the_oid() -> None:
    assert named(Subject({CN: ("alice",), OU: ("staff",)})) == CertificateFacts("alice", ())


def test_the_name_may_be_the_first_address() -> None:
    subject = Subject({CN: ("alice",)}, ("a@example.com", "b@example.com"))
    assert named(subject, "SAN(rfc822name)").user == "a@example.com"


def test_of_several_names_the_first_counts_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert named(Subject({CN: ("alice", "bob")})).user == "alice"
    assert "2 user names in 2.5.4.3; the first counts: 'alice' (not 'bob')" in caplog.text


def test_each_value_of_the_group_oid_is_a_group_once() -> None:
    subject = Subject({CN: ("alice",), OU: ("staff", "choir", "staff")})
    assert named(subject, group_oid=OU).groups == ("staff", "choir")


def test_groups_that_cannot_be_chosen_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    subject = Subject({CN: ("alice",), OU: ("staff", "", "g" * 64, "a\nb")})
    assert named(subject, group_oid=OU).groups == ("staff",)
    assert "3 groups of the client certificate are left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a" * 64, "its user name has 64 bytes; 63 are the most"),
        ("ä" * 32, "its user name has 64 bytes; 63 are the most"),
        ("", "its user name is empty, or has characters that cannot be printed"),
        ("al\nice", "its user name is empty, or has characters that cannot be printed"),
        ("al\x1b[2Jice", "its user name is empty, or has characters that cannot be printed"),
    ],
)
def test_names_that_cannot_be_used(name: str, why: str) -> None:
    assert refusal(Subject({CN: (name,)})) == why


def test_63_bytes_are_a_name() -> None:
    assert named(Subject({CN: ("a" * 63,)})).user == "a" * 63


@pytest.mark.parametrize("oid", ["0.9.2342.19200300.100.1.1", "SAN(rfc822name)"])
def test_without_a_name(oid: str) -> None:
    assert refusal(Subject({CN: ("alice",)}), oid) == f"it has no user name in {oid} (cert-user-oid)"
