"""GnuTLS's errors as exceptions."""

from __future__ import annotations

from ocserv_core.bridge._native import lib
from ocserv_core.bridge.errors import TlsClosed, TlsError, error_of, text_of


def test_an_error_has_gnutls_s_words() -> None:
    assert str(error_of(lib.GNUTLS_E_DECRYPTION_FAILED, 0)) == text_of(lib.GNUTLS_E_DECRYPTION_FAILED)


def test_an_abrupt_end_is_told_apart() -> None:
    assert isinstance(error_of(lib.GNUTLS_E_PREMATURE_TERMINATION, 0), TlsClosed)
    assert not isinstance(error_of(lib.GNUTLS_E_DECRYPTION_FAILED, 0), TlsClosed)


def test_an_alert_is_named() -> None:
    error = error_of(lib.GNUTLS_E_FATAL_ALERT_RECEIVED, 48)
    assert isinstance(error, TlsError)
    assert "CA is unknown" in str(error)


def test_an_alert_without_a_name_has_its_number() -> None:
    assert "201" in str(error_of(lib.GNUTLS_E_FATAL_ALERT_RECEIVED, 201))
