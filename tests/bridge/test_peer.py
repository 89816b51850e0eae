"""Names in a client's certificate, as GnuTLS parses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.x509 import NameOID, ObjectIdentifier

from ocserv_core.bridge.tls import TlsError

from .peers import connect
from .pki import issue
from .test_handshake import REQUEST, asking, with_certificate

CN, OU, UID, MAIL = NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.USER_ID, NameOID.EMAIL_ADDRESS


def names_of(
    folder: Path, subject: Sequence[tuple[ObjectIdentifier, str]], oid: ObjectIdentifier, emails: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    ca = issue("Client CA", ca=True)
    client = issue(subject, by=ca, emails=emails)
    with connect(*asking(REQUEST, ca), with_certificate(folder, client, "1.3")) as connection:
        return connection.session.peer_names(oid.dotted_string), connection.session.peer_emails()


def test_one_value(tmp_path: Path) -> None:
    assert names_of(tmp_path, [(CN, "alice")], CN)[0] == ("alice",)


def test_a_user_id(tmp_path: Path) -> None:
    assert names_of(tmp_path, [(CN, "Alice A."), (UID, "alice")], UID)[0] == ("alice",)


def test_several_values_in_their_order(tmp_path: Path) -> None:
    subject = [(OU, "staff"), (CN, "alice"), (OU, "admins"), (OU, "gäste")]
    assert names_of(tmp_path, subject, OU)[0] == ("staff", "admins", "gäste")


def test_no_value(tmp_path: Path) -> None:
    assert names_of(tmp_path, [(CN, "alice")], OU) == ((), ())


def test_characters_that_text_forms_escape_are_as_they_are(tmp_path: Path) -> None:
    for name in ('a, b+"c"=#<d>;\\', "#1", " a ", "\\41"):
        assert names_of(tmp_path, [(CN, name)], CN)[0] == (name,)


def test_emails_of_the_alternative_name(tmp_path: Path) -> None:
    emails = ("alice@vpn.example", "a@b.example")
    assert names_of(tmp_path, [(CN, "alice")], MAIL, emails) == ((), emails)


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="no plain text"):
        names_of(tmp_path, [(CN, "alice\0.evil")], CN)
