"""What a handshake decides: the vhost, what may be resumed, and whether a client's certificate is good."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ocserv_core.bridge.tls import CertificateRequest, TlsContext, TlsError, TlsInfo, TlsSession, TlsVhost

from .peers import LIMIT, NORMAL, client_context, connect
from .pki import Issued, KeyHolder, crl_of, issue, ocsp_response

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])

NONE, REQUEST, REQUIRE = CertificateRequest.NONE, CertificateRequest.REQUEST, CertificateRequest.REQUIRE


def vhost(name: str, served: Issued, key: int = 0, **more: object) -> TlsVhost:
    return replace(TlsVhost(name, NORMAL, ((served.pem, None, key),)), **more)  # type: ignore[arg-type]  # its fields


# ---- the vhost --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two() -> tuple[TlsContext, KeyHolder]:
    """A default vhost, and b.example with TLS 1.2 only."""
    first, second = issue("a.example"), issue("b.example", "P-384")
    context = TlsContext([vhost("default", first), vhost("B.Example", second, 1, priorities=NORMAL + ":-VERS-TLS1.3")])
    return context, KeyHolder(first.key, second.key)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        (None, "default"),
        ("b.example", "B.Example"),
        ("B.EXAMPLE", "B.Example"),
        ("c.example", "default"),
        ("default", "default"),
        ("b.example.evil", "default"),
    ],
)
def test_the_name_in_the_hello_chooses_the_vhost(
    two: tuple[TlsContext, KeyHolder], name: str | None, chosen: str
) -> None:
    context, holder = two
    holder.asked.clear()
    with connect(context, holder, name=name) as connection:
        assert connection.info.vhost == chosen
        assert connection.info.version == ("TLS1.2" if chosen == "B.Example" else "TLS1.3")
        assert holder.asked[0][:2] == (chosen, 0 if chosen == "default" else 1)


def test_a_second_hello_keeps_the_vhost(two: tuple[TlsContext, KeyHolder]) -> None:
    """The server's only group is not the one for which the client sent a share: HelloRetryRequest."""
    first = issue("a.example")
    context = TlsContext(
        [vhost("default", first), vhost("b.example", first, priorities=NORMAL + ":-GROUP-ALL:+GROUP-SECP521R1")]
    )
    with connect(context, KeyHolder(first.key), client_context("1.3"), name="b.example") as connection:
        assert connection.info.vhost == "b.example"
        assert "SECP521R1" in connection.info.ciphersuite


@pytest.mark.parametrize(
    ("chosen", "cipher", "mac"),
    [
        ("+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM", "AES-256-GCM", "AEAD"),
        ("+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305", "CHACHA20-POLY1305", "AEAD"),
        ("+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM", "AES-128-GCM", "AEAD"),
    ],
)
def test_the_cipher_has_the_words_of_priorities(chosen: str, cipher: str, mac: str) -> None:
    issued = issue("a.example")
    context = TlsContext([vhost("default", issued, priorities=f"{NORMAL}:-VERS-ALL:{chosen}")])
    with connect(context, KeyHolder(issued.key)) as connection:
        assert (connection.info.cipher, connection.info.mac) == (cipher, mac)


def test_the_staple_is_seen_by_the_client() -> None:
    ca = issue("CA", ca=True)
    leaf = issue("vpn.example", by=ca)
    context = TlsContext([TlsVhost("default", NORMAL, ((leaf.pem, ocsp_response(leaf, ca), 0),))])
    listener = socket.create_server(("127.0.0.1", 0))
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-status"]
    with listener, subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1) as client:
        accepted, _ = listener.accept()
        with accepted:
            session = TlsSession(context, accepted.fileno(), KeyHolder(leaf.key))
            session.handshake(LIMIT)
            session.bye()
            session.close()
        said, _ = client.communicate(b"Q\n", LIMIT)
    assert b"OCSP Response Status: successful" in said
    assert b"Cert Status: good" in said


# ---- resumption -------------------------------------------------------------------------------------------------


@dataclass
class Store:
    """A ResumptionStore in memory."""

    kept: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def store(self, vhost: str, session_id: bytes, data: bytes) -> None:
        assert len(session_id) <= 32
        assert len(data) <= 4096
        self.kept[vhost, session_id] = data

    def fetch(self, vhost: str, session_id: bytes) -> bytes | None:
        self.fetched.append(vhost)
        return self.kept.get((vhost, session_id))

    def delete(self, vhost: str, session_id: bytes) -> None:
        self.kept.pop((vhost, session_id), None)


def twice(
    context: TlsContext,
    again: TlsContext,
    holder: KeyHolder,
    store: Store,
    client: ssl.SSLContext | None = None,
    names: tuple[str, str] = ("a.example", "a.example"),
) -> tuple[TlsInfo, TlsInfo]:
    """Connect, then connect again with the session of the first time."""
    client = client or client_context("1.2")
    with connect(context, holder, client, name=names[0], store=store) as first:
        first.session.send(b"x")
        first.client.recv(1)
        infos, session = first.info, first.client.session
        with contextlib.suppress(ssl.SSLError, OSError):  # an ssl session that ended badly is not resumed
            first.client.settimeout(0)
            first.client.unwrap()
    with connect(again, holder, client, name=names[1], store=store, resume=session) as second:
        assert second.client.session_reused == second.info.resumed
        return infos, second.info


@pytest.fixture
def served() -> Issued:
    return issue("a.example")


def test_a_session_is_resumed_by_its_id(served: Issued) -> None:
    holder, context = KeyHolder(served.key), TlsContext([vhost("default", served)])
    first, second = twice(context, context, holder, Store())
    assert not first.resumed
    assert second.resumed
    assert len(holder.asked) == 1


def test_a_resumed_session_knows_which_certificate_was_shown(served: Issued) -> None:
    context = TlsContext([vhost("default", served)])
    infos = twice(context, context, KeyHolder(served.key), Store())
    assert {info.server_certificate_sha1 for info in infos} == {hashlib.sha1(served.der).hexdigest().upper()}


def test_a_session_of_another_certificate_is_not_resumed(served: Issued) -> None:
    other = issue("a.example")
    _, second = twice(
        TlsContext([vhost("default", served)]), TlsContext([vhost("default", other)]), KeyHolder(served.key), Store()
    )
    assert not second.resumed


def test_a_session_of_another_vhost_is_not_resumed(served: Issued) -> None:
    context = TlsContext([vhost("a.example", served), vhost("b.example", served)])
    store = Store()
    _, second = twice(context, context, KeyHolder(served.key), store, names=("a.example", "b.example"))
    assert (second.vhost, second.resumed) == ("b.example", False)
    assert store.fetched[-1] == "b.example"


def test_without_a_store_nothing_is_resumed(served: Issued) -> None:
    context, client, holder = TlsContext([vhost("default", served)]), client_context("1.2"), KeyHolder(served.key)
    with connect(context, holder, client) as first:
        session = first.client.session
    with connect(context, holder, client, resume=session) as second:
        assert not second.info.resumed


@pytest.mark.parametrize("data", [b"", b"short", bytes(20), bytes(200)])
def test_a_store_that_returns_nonsense_leads_to_a_full_handshake(served: Issued, data: bytes) -> None:
    class Liar(Store):
        def fetch(self, vhost: str, session_id: bytes) -> bytes | None:
            shown = hashlib.sha1(served.der).digest()
            return shown + data if data else None

    context = TlsContext([vhost("default", served)])
    _, second = twice(context, context, KeyHolder(served.key), Liar())
    assert not second.resumed


def test_an_exception_of_the_store_fails_the_handshake(served: Issued) -> None:
    class Lost(Store):
        def store(self, vhost: str, session_id: bytes, data: bytes) -> None:
            raise ConnectionError("main is gone")

    context = TlsContext([vhost("default", served)])
    with pytest.raises(ConnectionError), connect(context, KeyHolder(served.key), client_context("1.2"), store=Lost()):
        pass


def test_no_tickets_are_sent(served: Issued) -> None:
    context = TlsContext([vhost("default", served)])
    with connect(context, KeyHolder(served.key), client_context("1.3"), store=Store()) as connection:
        connection.session.send(b"x")
        connection.client.recv(1)
        session = connection.client.session
        assert session is None or not session.has_ticket


# ---- the client's certificate ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca() -> Issued:
    return issue("Client CA", ca=True)


@pytest.fixture(scope="module")
def alice(ca: Issued) -> Issued:
    return issue("alice", by=ca)


def with_certificate(folder: Path, issued: Issued, version: str) -> ssl.SSLContext:
    (folder / "chain.pem").write_bytes(issued.pem)
    (folder / "key.pem").write_bytes(issued.key_pem)
    client = client_context(version)
    client.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return client


def asking(request: CertificateRequest, ca: Issued, crl: bytes | None = None) -> tuple[TlsContext, KeyHolder]:
    served = issue("vpn.example")
    context = TlsContext([vhost("default", served, request=request, ca_pem=ca.pem, crl=crl)])
    return context, KeyHolder(served.key)


@VERSIONS
@pytest.mark.parametrize("request_", [REQUEST, REQUIRE])
def test_a_good_certificate_is_verified(
    request_: CertificateRequest, version: str, ca: Issued, alice: Issued, tmp_path: Path
) -> None:
    with connect(*asking(request_, ca), with_certificate(tmp_path, alice, version)) as connection:
        assert connection.info.peer_verified
        assert connection.session.peer_names("2.5.4.3") == ("alice",)


@VERSIONS
def test_without_a_certificate_a_request_is_satisfied(version: str, ca: Issued) -> None:
    with connect(*asking(REQUEST, ca), client_context(version)) as connection:
        assert not connection.info.peer_verified
        assert connection.session.peer_names("2.5.4.3") == ()
        assert connection.session.peer_emails() == ()


@VERSIONS
def test_without_a_certificate_a_requirement_fails(version: str, ca: Issued) -> None:
    with pytest.raises(TlsError), connect(*asking(REQUIRE, ca), client_context(version)):
        pass


@VERSIONS
def test_nobody_is_asked_who_need_not_be(version: str, ca: Issued, alice: Issued, tmp_path: Path) -> None:
    with connect(*asking(NONE, ca), with_certificate(tmp_path, alice, version)) as connection:
        assert not connection.info.peer_verified
        assert connection.session.peer_names("2.5.4.3") == ()


@VERSIONS
@pytest.mark.parametrize("request_", [REQUEST, REQUIRE])
@pytest.mark.parametrize("fault", ["stranger", "expired"])
def test_a_bad_certificate_fails_the_handshake(
    fault: str, request_: CertificateRequest, version: str, ca: Issued, tmp_path: Path
) -> None:
    bad = issue("alice") if fault == "stranger" else issue("alice", by=ca, days=-1)
    client = with_certificate(tmp_path, bad, version)
    with pytest.raises(TlsError, match="not valid"), connect(*asking(request_, ca), client):
        pass


@VERSIONS
@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_a_revoked_certificate_fails_the_handshake(
    encoding: serialization.Encoding, version: str, ca: Issued, alice: Issued, tmp_path: Path
) -> None:
    context = asking(REQUEST, ca, crl=crl_of(ca, alice, encoding=encoding))
    with pytest.raises(TlsError, match="revoked"), connect(*context, with_certificate(tmp_path, alice, version)):
        pass


def test_a_certificate_that_is_not_on_the_list_is_good(ca: Issued, alice: Issued, tmp_path: Path) -> None:
    context = asking(REQUEST, ca, crl=crl_of(ca, issue("mallory", by=ca)))
    with connect(*context, with_certificate(tmp_path, alice, "1.3")) as connection:
        assert connection.info.peer_verified


def test_a_resumed_session_has_its_certificate(ca: Issued, alice: Issued, tmp_path: Path) -> None:
    served = issue("vpn.example")
    context = TlsContext([vhost("default", served, request=REQUIRE, ca_pem=ca.pem)])
    client = with_certificate(tmp_path, alice, "1.2")
    first, second = twice(context, context, KeyHolder(served.key), Store(), client)
    assert second.resumed
    assert first.peer_verified
    assert second.peer_verified


def test_a_certificate_that_was_revoked_since_fails_the_resumption(ca: Issued, alice: Issued, tmp_path: Path) -> None:
    served = issue("vpn.example")
    before = TlsContext([vhost("default", served, request=REQUEST, ca_pem=ca.pem)])
    after = TlsContext([vhost("default", served, request=REQUEST, ca_pem=ca.pem, crl=crl_of(ca, alice))])
    client = with_certificate(tmp_path, alice, "1.2")
    with pytest.raises(TlsError, match="revoked"):
        twice(before, after, KeyHolder(served.key), Store(), client)


def test_a_session_without_a_certificate_does_not_satisfy_a_later_requirement(ca: Issued) -> None:
    served = issue("vpn.example")
    before = TlsContext([vhost("default", served, request=REQUEST, ca_pem=ca.pem)])
    after = TlsContext([vhost("default", served, request=REQUIRE, ca_pem=ca.pem)])
    with pytest.raises(TlsError):
        twice(before, after, KeyHolder(served.key), Store())
