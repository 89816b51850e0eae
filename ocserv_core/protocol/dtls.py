"""Whether a client is offered DTLS, and of which kind. Used by offer.py; the plan goes on to the worker's bridge.

PSK: a full DTLS 1.2 handshake, whose key the worker takes from the exporter of the TLS connection. Legacy: the
"resumption" of a session that never existed, whose master secret the client has sent in its CONNECT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..config.vhost import DEFAULT_PRIORITIES
from .connect import ConnectRequest
from .mtu import AEAD_OVERHEAD, dtls_overhead

PSK_NEGOTIATE = "PSK-NEGOTIATE"

CIPHERS = "X-DTLS-CipherSuite"
CIPHERS_12 = "X-DTLS12-CipherSuite"


@dataclass(frozen=True, slots=True)
class DtlsSettings:
    """What may be offered on this connection.

    udp_port: 0 offers nothing. psk, legacy, match_tls_ciphers: dtls-psk, dtls-legacy, match-tls-dtls-ciphers.
    priorities: the vhost's tls-priorities. tls_cipher, tls_mac: what TLS uses, in GnuTLS's words.
    """

    udp_port: int = 0
    psk: bool = True
    legacy: bool = True
    match_tls_ciphers: bool = False
    priorities: str = DEFAULT_PRIORITIES
    tls_cipher: str = ""
    tls_mac: str = ""


@dataclass(frozen=True, slots=True)
class PskPlan:
    """DTLS 1.2 with a pre-shared key. `priorities` is for GnuTLS. `overhead` is what a record adds, in bytes: the
    cipher is not chosen yet, and unless it is fixed an AEAD is expected; with any other, both ends lower their MTU
    after the handshake."""

    priorities: str
    overhead: int
    header: ClassVar[str] = CIPHERS
    name: ClassVar[str] = PSK_NEGOTIATE


@dataclass(frozen=True, slots=True)
class LegacySuite:
    """A suite of the legacy form. `name` is as clients list it in `header`; `version` is "DTLS1.2" or "DTLS0.9";
    kx, cipher and mac are GnuTLS's words. Nothing is exchanged: the name only fixes cipher, MAC and hash."""

    name: str
    header: str
    version: str
    kx: str
    cipher: str
    mac: str

    @property
    def overhead(self) -> int:
        """Bytes that a record adds, at most."""
        return dtls_overhead(self.cipher, self.mac)

    @property
    def priorities(self) -> str:
        """This suite and nothing else, in GnuTLS's words."""
        # Cisco's and OpenSSL's clients end a resumption that has the extended master secret or a renegotiation
        # extension in its ServerHello.
        return (
            f"NONE:+VERS-{self.version}:+COMP-NULL:+{self.cipher}:+{self.mac}:+{self.kx}:+GROUP-ALL:+SIGN-ALL"
            ":%COMPAT:%NO_SESSION_HASH:%DISABLE_SAFE_RENEGOTIATION"
        )


@dataclass(frozen=True, slots=True)
class LegacyPlan:
    """The legacy form, with the suite that was chosen."""

    suite: LegacySuite

    @property
    def header(self) -> str:
        """The header that the suite is answered in."""
        return self.suite.header

    @property
    def name(self) -> str:
        """The suite's name, as the client listed it."""
        return self.suite.name

    @property
    def overhead(self) -> int:
        """Bytes that a record adds, at most."""
        return self.suite.overhead

    @property
    def priorities(self) -> str:
        """For GnuTLS."""
        return self.suite.priorities


DtlsPlan = PskPlan | LegacyPlan

# The first that the client lists is taken: today's names before those of old openconnect, DTLS 0.9 last.
# Left out: ECDHE-ECDSA, which no client lists without ECDHE-RSA; OC2-DTLS1_2-CHACHA20-POLY1305, which no server has
# ever served; DES-CBC3-SHA, whose blocks are too short for a tunnel.
LEGACY_SUITES = (
    LegacySuite("ECDHE-RSA-AES256-GCM-SHA384", CIPHERS_12, "DTLS1.2", "ECDHE-RSA", "AES-256-GCM", "AEAD"),
    LegacySuite("ECDHE-RSA-AES128-GCM-SHA256", CIPHERS_12, "DTLS1.2", "ECDHE-RSA", "AES-128-GCM", "AEAD"),
    LegacySuite("AES256-GCM-SHA384", CIPHERS_12, "DTLS1.2", "RSA", "AES-256-GCM", "AEAD"),
    LegacySuite("AES128-GCM-SHA256", CIPHERS_12, "DTLS1.2", "RSA", "AES-128-GCM", "AEAD"),
    LegacySuite("DHE-RSA-AES256-SHA", CIPHERS_12, "DTLS1.2", "DHE-RSA", "AES-256-CBC", "SHA1"),
    LegacySuite("AES256-SHA", CIPHERS_12, "DTLS1.2", "RSA", "AES-256-CBC", "SHA1"),
    LegacySuite("DHE-RSA-AES128-SHA", CIPHERS_12, "DTLS1.2", "DHE-RSA", "AES-128-CBC", "SHA1"),
    LegacySuite("AES128-SHA", CIPHERS_12, "DTLS1.2", "RSA", "AES-128-CBC", "SHA1"),
    LegacySuite("OC-DTLS1_2-AES256-GCM", CIPHERS, "DTLS1.2", "RSA", "AES-256-GCM", "AEAD"),
    LegacySuite("OC-DTLS1_2-AES128-GCM", CIPHERS, "DTLS1.2", "RSA", "AES-128-GCM", "AEAD"),
    LegacySuite("DHE-RSA-AES256-SHA", CIPHERS, "DTLS0.9", "DHE-RSA", "AES-256-CBC", "SHA1"),
    LegacySuite("AES256-SHA", CIPHERS, "DTLS0.9", "RSA", "AES-256-CBC", "SHA1"),
    LegacySuite("DHE-RSA-AES128-SHA", CIPHERS, "DTLS0.9", "DHE-RSA", "AES-128-CBC", "SHA1"),
    LegacySuite("AES128-SHA", CIPHERS, "DTLS0.9", "RSA", "AES-128-CBC", "SHA1"),
)


def choose_dtls(request: ConnectRequest, settings: DtlsSettings, *, no_udp: bool = False) -> DtlsPlan | None:
    """The best that both sides know: PSK, else a legacy suite, else None. `no_udp` is the session's."""
    if not settings.udp_port or no_udp:
        return None
    # The C server with dtls-legacy = false announces PSK also to who has not listed it. openconnect before 7.08
    # takes an unknown suite for an error ("Unknown DTLS parameters"), and nobody else would know what to do with it.
    if settings.psk and PSK_NEGOTIATE in (*request.dtls_ciphers, *request.dtls12_ciphers):
        return _plan_psk(settings)
    suite = _choose_suite(request) if settings.legacy and request.dtls_master_secret else None
    return LegacyPlan(suite) if suite else None


def _plan_psk(settings: DtlsSettings) -> PskPlan:
    """Plain PSK alone: the key already is as secret as the TLS connection, a DH exchange would add nothing."""
    priorities = f"{settings.priorities}:-VERS-ALL:-KX-ALL:+PSK:+VERS-DTLS1.2"
    if not settings.match_tls_ciphers:
        return PskPlan(priorities, AEAD_OVERHEAD)
    cipher, mac = settings.tls_cipher, settings.tls_mac
    return PskPlan(f"{priorities}:-CIPHER-ALL:+{cipher}:-MAC-ALL:+{mac}", dtls_overhead(cipher, mac))


def _choose_suite(request: ConnectRequest) -> LegacySuite | None:
    listed = {CIPHERS: request.dtls_ciphers, CIPHERS_12: request.dtls12_ciphers}
    return next((suite for suite in LEGACY_SUITES if suite.name in listed[suite.header]), None)
