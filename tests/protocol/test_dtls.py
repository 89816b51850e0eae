"""The client lists what it can, the server plans the DTLS session."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.bridge._native import ffi, lib
from ocserv_core.model import Cookie
from ocserv_core.protocol.connect import ConnectRequest
from ocserv_core.protocol.dtls import (
    CIPHERS,
    CIPHERS_12,
    LEGACY_SUITES,
    PSK_NEGOTIATE,
    DtlsPlan,
    DtlsSettings,
    LegacyPlan,
    LegacySuite,
    PskPlan,
    choose_dtls,
)

ON = DtlsSettings(udp_port=443)
NO_PSK = replace(ON, psk=False)
PRIORITIES = "NORMAL:%SERVER_PRECEDENCE:%COMPAT:-VERS-ALL:-KX-ALL:+PSK:+VERS-DTLS1.2"

# As openconnect 9.01 (GnuTLS) and 9.21 (OpenSSL) send them.
GNUTLS = (
    "PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:OC2-DTLS1_2-CHACHA20-POLY1305:OC-DTLS1_2-AES128-GCM:DHE-RSA-AES256-SHA"
    ":DHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA"
)
GNUTLS_12 = (
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-GCM-SHA256:DHE-RSA-AES256-SHA"
    ":DHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA"
)
OPENSSL = (
    "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
    ":DHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA:OC-DTLS1_2-AES128-GCM:OC-DTLS1_2-AES256-GCM:PSK-NEGOTIATE"
)
OPENSSL_12 = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384"
    ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-CHACHA20-POLY1305"
    ":ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256"
    ":ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA:AES128-SHA"
)


def asks(ciphers: str = "", ciphers12: str = "", *, secret: bool = True) -> ConnectRequest:
    """A client that lists these suites, and sends a master secret or none."""
    return ConnectRequest(
        cookie=Cookie("c" * 43),
        dtls_ciphers=tuple(filter(None, ciphers.split(":"))),
        dtls12_ciphers=tuple(filter(None, ciphers12.split(":"))),
        dtls_master_secret=bytes(48) if secret else None,
    )


def answer(plan: DtlsPlan | None) -> tuple[str, str] | None:
    """The line that the client is answered."""
    return (plan.header, plan.name) if plan else None


# ---- PSK --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ciphers", "ciphers12"), [(GNUTLS, GNUTLS_12), (OPENSSL, OPENSSL_12), ("", PSK_NEGOTIATE)])
def test_psk_goes_first_wherever_it_is_listed(ciphers: str, ciphers12: str) -> None:
    plan = choose_dtls(asks(ciphers, ciphers12), ON)
    assert answer(plan) == (CIPHERS, PSK_NEGOTIATE)
    assert plan == PskPlan(PRIORITIES, 37)


def test_psk_needs_no_secret_of_the_client() -> None:
    assert isinstance(choose_dtls(asks(PSK_NEGOTIATE, secret=False), ON), PskPlan)


def test_the_cipher_of_tls_may_be_the_only_one() -> None:
    settings = replace(ON, match_tls_ciphers=True, tls_cipher="CHACHA20-POLY1305", tls_mac="AEAD")
    matched = PskPlan(PRIORITIES + ":-CIPHER-ALL:+CHACHA20-POLY1305:-MAC-ALL:+AEAD", 29)
    assert choose_dtls(asks(GNUTLS), settings) == matched


def test_the_vhosts_priorities_are_the_base() -> None:
    plan = choose_dtls(asks(GNUTLS), replace(ON, priorities="SECURE192"))
    assert plan == PskPlan("SECURE192:-VERS-ALL:-KX-ALL:+PSK:+VERS-DTLS1.2", 37)


@pytest.mark.parametrize("legacy", [True, False])
def test_who_does_not_ask_for_psk_is_not_told_of_it(legacy: bool) -> None:
    assert choose_dtls(asks(secret=False), replace(ON, legacy=legacy)) is None


# ---- legacy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ciphers", "ciphers12", "expected"),
    [
        (GNUTLS, GNUTLS_12, (CIPHERS_12, "ECDHE-RSA-AES256-GCM-SHA384")),
        (OPENSSL, OPENSSL_12, (CIPHERS_12, "ECDHE-RSA-AES256-GCM-SHA384")),
        ("", "AES128-GCM-SHA256:AES256-GCM-SHA384", (CIPHERS_12, "AES256-GCM-SHA384")),
        (GNUTLS, "", (CIPHERS, "OC-DTLS1_2-AES256-GCM")),
        (GNUTLS, "AES128-SHA", (CIPHERS_12, "AES128-SHA")),
        ("AES128-SHA:OC-DTLS1_2-AES128-GCM", "", (CIPHERS, "OC-DTLS1_2-AES128-GCM")),
        ("AES128-SHA:AES256-SHA", "", (CIPHERS, "AES256-SHA")),
    ],
)
def test_the_server_has_the_choice(ciphers: str, ciphers12: str, expected: tuple[str, str]) -> None:
    assert answer(choose_dtls(asks(ciphers, ciphers12), NO_PSK)) == expected


@pytest.mark.parametrize(
    ("ciphers", "ciphers12"),
    [
        ("DES-CBC3-SHA:OC2-DTLS1_2-CHACHA20-POLY1305", ""),
        ("", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("AES256-GCM-SHA384", ""),
    ],
)
def test_what_is_not_served_is_not_answered(ciphers: str, ciphers12: str) -> None:
    assert choose_dtls(asks(ciphers, ciphers12), ON) is None


def test_a_name_means_another_version_in_the_other_header() -> None:
    chosen = [choose_dtls(asks("AES256-SHA"), ON), choose_dtls(asks("", "AES256-SHA"), ON)]
    assert [plan.suite.version for plan in chosen if isinstance(plan, LegacyPlan)] == ["DTLS0.9", "DTLS1.2"]


def test_legacy_needs_the_clients_secret() -> None:
    assert choose_dtls(asks(GNUTLS, GNUTLS_12, secret=False), NO_PSK) is None


def test_legacy_may_be_forbidden() -> None:
    assert choose_dtls(asks(GNUTLS, GNUTLS_12), replace(NO_PSK, legacy=False)) is None


def test_a_suite_knows_what_its_records_add() -> None:
    chosen = [choose_dtls(asks("", name), ON) for name in ("AES256-GCM-SHA384", "AES256-SHA")]
    assert [plan.overhead for plan in chosen if plan] == [37, 65]


# ---- neither ----------------------------------------------------------------------------------------------------


def test_without_a_port_there_is_no_dtls() -> None:
    assert choose_dtls(asks(GNUTLS, GNUTLS_12), replace(ON, udp_port=0)) is None


def test_a_session_may_be_without_udp() -> None:
    assert choose_dtls(asks(GNUTLS, GNUTLS_12), ON, no_udp=True) is None


NAMES = st.lists(st.sampled_from([*(OPENSSL + ":" + OPENSSL_12).split(":"), "DES-CBC3-SHA", "x"])).map(":".join)


@given(NAMES, NAMES, st.booleans(), st.booleans(), st.booleans())
def test_only_what_was_listed_is_answered(a: str, b: str, secret: bool, psk: bool, legacy: bool) -> None:
    request = asks(a, b, secret=secret)
    plan = choose_dtls(request, replace(ON, psk=psk, legacy=legacy))
    listed = {CIPHERS: request.dtls_ciphers, CIPHERS_12: request.dtls12_ciphers}
    if isinstance(plan, LegacyPlan):
        assert plan.name in listed[plan.header]
    elif plan:
        assert PSK_NEGOTIATE in request.dtls_ciphers + request.dtls12_ciphers


# ---- GnuTLS -----------------------------------------------------------------------------------------------------


def understood(priorities: str) -> bool:
    """Whether GnuTLS takes this string."""
    priority = ffi.new("gnutls_priority_t *")
    if lib.gnutls_priority_init(priority, priorities.encode(), ffi.NULL) < 0:
        return False
    lib.gnutls_priority_deinit(priority[0])
    return True


@pytest.mark.parametrize("suite", LEGACY_SUITES, ids=lambda suite: f"{suite.name} {suite.version}")
def test_gnutls_understands_the_words_of_a_suite(suite: LegacySuite) -> None:
    assert understood(suite.priorities)


@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-128-CCM-8", "CHACHA20-POLY1305"])
def test_gnutls_understands_the_words_of_a_plan(cipher: str) -> None:
    plan = choose_dtls(asks(GNUTLS), replace(ON, match_tls_ciphers=True, tls_cipher=cipher, tls_mac="AEAD"))
    assert plan
    assert understood(plan.priorities)
