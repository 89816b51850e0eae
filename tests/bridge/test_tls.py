"""TLS with a real client: keys of every kind behind a Signer, HTTP's bytes, time limits, and the end."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ocserv_core.bridge.tls import TlsClosed, TlsContext, TlsError, TlsSession, TlsTimeout, TlsVhost

from .peers import LIMIT, NORMAL, TLS12, Connection, client_context, connect, connect_plainly, connect_raw, server
from .pki import KeyHolder, issue, make_key
from .record_model import APPLICATION

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])

SIGNATURES = {
    "RSA": {"1.2": {"RSA-PSS-SHA256", "RSA-PKCS1-SHA256"}, "1.3": {"RSA-PSS-SHA256"}},
    "P-256": {"1.2": {"ECDSA-SHA256"}, "1.3": {"ECDSA-SHA256"}},
    "P-384": {"1.2": {"ECDSA-SHA256", "ECDSA-SHA384"}, "1.3": {"ECDSA-SHA384"}},
    "P-521": {"1.2": {"ECDSA-SHA256", "ECDSA-SHA512"}, "1.3": {"ECDSA-SHA512"}},
    "ED25519": {"1.2": {"ED25519"}, "1.3": {"ED25519"}},
}


@VERSIONS
@pytest.mark.parametrize("kind", SIGNATURES)
def test_the_signer_signs_with_every_kind_of_key(kind: str, version: str) -> None:
    issued = issue("vpn.example", kind)
    holder = KeyHolder(issued.key)
    with connect(server(issued), holder, client_context(version)) as connection:
        assert connection.client.version() == f"TLSv{version}"
        assert connection.info.version == f"TLS{version}"
    [(vhost, key, algorithm)] = holder.asked
    assert (vhost, key) == ("default", 0)
    assert algorithm in SIGNATURES[kind][version]


@pytest.fixture(scope="module")
def pss(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, rsa.RSAPrivateKey]:
    """A certificate whose key may sign with RSA-PSS only: chain, key."""
    folder = tmp_path_factory.mktemp("pss")
    command = ["openssl", "req", "-x509", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-nodes"]
    command += ["-subj", "/CN=pss", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    key = serialization.load_pem_private_key((folder / "key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return (folder / "cert").read_bytes(), key


@VERSIONS
def test_a_certificate_of_type_rsa_pss(pss: tuple[bytes, rsa.RSAPrivateKey], version: str) -> None:
    holder = KeyHolder(pss[1])
    context = TlsContext([TlsVhost("default", NORMAL, ((pss[0], None, 0),))])
    assert context.key_types("default") == ("RSA-PSS",)
    with connect(context, holder, client_context(version)):
        assert holder.asked == [("default", 0, "RSA-PSS-SHA256")]


@pytest.mark.parametrize("digest", ["SHA1", "SHA256", "SHA384", "SHA512"])
def test_old_rsa_signatures_are_asked_for_by_their_digest(digest: str) -> None:
    """GnuTLS gives a DigestInfo for raw RSA; secmod signs digests only."""
    issued = issue("vpn.example", "RSA")
    holder = KeyHolder(issued.key)
    priorities = f"{TLS12}:+SIGN-RSA-SHA1:%VERIFY_ALLOW_SIGN_WITH_SHA1"
    with openssl_client("-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-sigalgs", f"RSA+{digest}") as (sock, _):
        session = TlsSession(server(issued, priorities=priorities), sock.fileno(), holder)
        session.handshake(LIMIT)
        session.close()
    assert holder.asked == [("default", 0, f"RSA-PKCS1-{digest}")]


def test_an_rsa_key_exchange_is_decrypted_by_the_signer() -> None:
    issued = issue("vpn.example", "RSA")
    holder = KeyHolder(issued.key)
    client = client_context("1.2", "AES256-GCM-SHA384:@SECLEVEL=0")
    with connect(server(issued, priorities=NORMAL + ":+RSA"), holder, client):
        assert holder.asked == [("default", 0, "decrypt")]


def test_of_two_certificates_the_client_gets_the_one_it_understands() -> None:
    both = (issue("vpn.example", "RSA"), issue("vpn.example", "P-256"))
    holder = KeyHolder(*(issued.key for issued in both))
    client = client_context("1.2", "ECDHE-RSA-AES256-GCM-SHA384")
    with connect(server(*both), holder, client) as connection:
        assert holder.asked[0][1] == 0
        assert connection.info.server_certificate_sha1 == hashlib.sha1(both[0].der).hexdigest().upper()


def test_the_info_names_what_was_agreed() -> None:
    with connect_plainly(client=client_context("1.3")) as connection:
        info = connection.info
        assert info.ciphersuite == "(TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)"
        assert (info.vhost, info.resumed, info.peer_verified) == ("default", False, False)
        shown = connection.client.getpeercert(binary_form=True)
        assert shown is not None
        assert info.server_certificate_sha1 == hashlib.sha1(shown).hexdigest().upper()


# ---- bytes ----------------------------------------------------------------------------------------------------


@VERSIONS
def test_bytes_go_both_ways(version: str) -> None:
    with connect_plainly(client=client_context(version)) as connection:
        connection.client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.session.recv(16384, LIMIT) == b"GET / HTTP/1.1\r\n\r\n"
        connection.session.send(b"HTTP/1.1 200 OK\r\n\r\n")
        assert connection.client.recv(16384) == b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_long_answer_goes_in_few_records() -> None:
    body = os.urandom(40000)
    with connect_plainly() as connection:
        connection.session.send(body)
        pieces = [connection.client.recv(65536) for _ in range(3)]
        assert b"".join(pieces) == body


def test_what_is_left_of_a_record_is_pending() -> None:
    with connect_plainly() as connection:
        connection.client.sendall(b"abcdef")
        assert connection.session.recv(2, LIMIT) == b"ab"
        assert connection.session.pending == 4
        assert connection.session.recv(16384, LIMIT) == b"cdef"
        assert connection.session.pending == 0


def test_a_record_that_was_read_ahead_is_pending() -> None:
    with connect_plainly() as connection:
        connection.client.sendall(b"one")
        connection.client.sendall(b"two")
        assert connection.session.recv(16384, LIMIT) == b"one"
        assert connection.session.pending > 0
        assert connection.session.recv(16384, 0) == b"two"


def test_a_silent_client_times_out_and_may_speak_later() -> None:
    with connect_plainly() as connection:
        with pytest.raises(TlsTimeout):
            connection.session.recv(16384, 0.05)
        connection.client.sendall(b"late")
        assert connection.session.recv(16384, LIMIT) == b"late"


def test_half_a_record_is_kept_for_later() -> None:
    with connect_raw() as (session, client):
        record = client.write.seal(APPLICATION, b"in two parts")
        client.sock.sendall(record[:9])
        with pytest.raises(TlsTimeout):
            session.recv(16384, 0.05)
        client.sock.sendall(record[9:])
        assert session.recv(16384, LIMIT) == b"in two parts"


def test_a_client_that_does_not_read_times_out() -> None:
    with connect_plainly() as connection, pytest.raises(TlsTimeout):
        connection.session.send(bytes(8 << 20), timeout=0.1)


def test_the_exporter_agrees_with_the_library() -> None:
    with connect_plainly() as connection:
        key = connection.session.exporter(b"EXPORTER-openconnect-psk", 32)
        assert len(key) == 32
        assert key == connection.session.exporter(b"EXPORTER-openconnect-psk", 32)
        assert key != connection.session.exporter(b"EXPORTER-something-else", 32)


# ---- the end --------------------------------------------------------------------------------------------------


def test_close_notify_is_a_clean_end() -> None:
    with connect_plainly() as connection:
        connection.client.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            connection.client.unwrap()
        assert connection.session.recv(16384, LIMIT) == b""


def test_an_end_without_close_notify_is_told_apart() -> None:
    with connect_plainly() as connection:
        connection.raw.shutdown(socket.SHUT_RDWR)
        with pytest.raises(TlsClosed):
            connection.session.recv(16384, LIMIT)


def test_bye_is_a_clean_end_for_the_client() -> None:
    with connect_plainly() as connection:
        connection.session.bye()
        assert connection.client.recv(1) == b""


def test_an_alert_reaches_the_client() -> None:
    with connect_plainly() as connection:
        connection.session.alert(2, 49)
        with pytest.raises(ssl.SSLError, match="access denied"):
            connection.client.recv(1)


def test_a_session_may_be_closed_twice() -> None:
    with connect_plainly() as connection:
        connection.session.close()
        connection.session.close()


# ---- bad input ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stranger() -> Iterator[tuple[TlsSession, socket.socket]]:
    """A session before its handshake, and the plain socket of whoever is there."""
    issued = issue("vpn.example")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = TlsSession(server(issued), ours.fileno(), KeyHolder(issued.key))
        yield session, theirs
        session.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: vpn.example\r\n\r\n",
        b"G",
        b"\x80\x2e\x01\x00\x02" + bytes(64),
        b"\x16\x03\x01\xff\xff" + bytes(64),
        b"\x16\x03\x01\x00\x04\x01\x00\xff\xff",
        b"\x17\x03\x03\x00\x20" + bytes(32),
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x00" * 600,
    ],
    ids=["http", "one byte", "sslv2", "too long", "bad hello", "data first", "alert first", "zeros"],
)
def test_garbage_instead_of_a_hello_ends_at_once(garbage: bytes) -> None:
    with stranger() as (session, client):
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(TlsError):
            session.handshake(LIMIT)


def test_http_without_tls_is_refused_before_it_ends() -> None:
    with stranger() as (session, client):
        client.sendall(b"GET / HTTP/1.1\r\nHost: vpn.example\r\n\r\n")
        with pytest.raises(TlsError) as caught:
            session.handshake(LIMIT)
        assert not isinstance(caught.value, TlsTimeout)


def test_a_client_that_says_nothing_times_out() -> None:
    with stranger() as (session, _), pytest.raises(TlsTimeout):
        session.handshake(0.05)


def test_half_a_hello_times_out() -> None:
    with stranger() as (session, client):
        client.sendall(b"\x16\x03\x01\x01\x00\x01")
        with pytest.raises(TlsTimeout):
            session.handshake(0.05)


def test_a_client_that_goes_at_once_is_closed() -> None:
    with stranger() as (session, client):
        client.close()
        with pytest.raises(TlsClosed):
            session.handshake(LIMIT)


def test_endless_warnings_do_not_hold_the_handshake() -> None:
    with stranger() as (session, client):
        stop = threading.Event()

        def warn() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    client.sendall(b"\x15\x03\x03\x00\x02\x01\x5a" * 100)

        thread = threading.Thread(target=warn)
        thread.start()
        try:
            with pytest.raises(TlsError):
                session.handshake(0.3)
        finally:
            stop.set()
            client.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT)


@VERSIONS
def test_a_broken_record_ends_the_session(version: str) -> None:
    with connect_plainly(client=client_context(version)) as connection:
        connection.raw.sendall(b"\x17\x03\x03\x00\x30" + bytes(48))
        with pytest.raises(TlsError):
            connection.session.recv(16384, LIMIT)


def test_an_old_version_is_refused() -> None:
    client = client_context(ciphers="ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(TlsError), connect_plainly(client=client):
        pass


def test_renegotiation_is_refused() -> None:
    issued = issue("vpn.example")
    with openssl_client("-tls1_2") as (sock, client):
        assert client.stdin is not None
        session = TlsSession(server(issued, priorities=TLS12), sock.fileno(), KeyHolder(issued.key))
        session.handshake(LIMIT)
        client.stdin.write(b"R\n")
        client.stdin.flush()
        with pytest.raises(TlsError, match="renegotiate"):
            session.recv(16384, LIMIT)
        session.close()


@contextlib.contextmanager
def openssl_client(*options: str) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """`openssl s_client` on loopback, and the server's end of its connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(LIMIT)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", *options]
    with listener, subprocess.Popen(command, stdin=-1, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        try:
            accepted, _ = listener.accept()
            with accepted:
                yield accepted, client
        finally:
            client.kill()


def test_a_signal_does_not_disturb_the_handshake() -> None:
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        with stranger() as (session, client):
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            with pytest.raises(TlsTimeout):
                session.handshake(0.2)
            timer.join(LIMIT)
            del client
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


# ---- signers that fail ----------------------------------------------------------------------------------------


class Broken(KeyHolder):
    def sign(self, vhost: str, key: int, algorithm: str, data: bytes) -> bytes:
        raise ConnectionError("secmod is gone")

    decrypt = sign  # type: ignore[assignment]  # never called with these arguments: it raises at once


class Refusing(KeyHolder):
    def sign(self, vhost: str, key: int, algorithm: str, data: bytes) -> bytes:
        return b""

    def decrypt(self, vhost: str, key: int, data: bytes) -> bytes:
        return b""


def refused(signer: KeyHolder, client: ssl.SSLContext, priorities: str = NORMAL, kind: str = "P-256") -> Connection:
    with connect(server(issue("vpn.example", kind), priorities=priorities), signer, client) as connection:
        return connection


@VERSIONS
def test_an_exception_of_the_signer_fails_the_handshake(version: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(ConnectionError):
        refused(Broken(make_key("P-256")), client_context(version))
    assert "secmod is gone" in caplog.text


@VERSIONS
def test_a_refused_signature_fails_the_handshake(version: str) -> None:
    with pytest.raises(TlsError):
        refused(Refusing(make_key("P-256")), client_context(version))


def test_a_refused_decryption_fails_the_handshake() -> None:
    client = client_context("1.2", "AES256-GCM-SHA384:@SECLEVEL=0")
    with pytest.raises(TlsError):
        refused(Refusing(make_key("RSA")), client, NORMAL + ":+RSA", "RSA")


def test_the_signature_of_another_key_fails_the_handshake() -> None:
    issued = issue("vpn.example", "P-384")
    with pytest.raises((TlsError, ssl.SSLError)), connect(server(issued), KeyHolder(make_key("P-256"))):
        pass


def test_a_session_works_in_a_forked_child() -> None:
    issued = issue("vpn.example")
    context, holder = server(issued), KeyHolder(issued.key)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            try:
                session = TlsSession(context, ours.fileno(), holder)
                session.handshake(LIMIT)
                session.send(b"from the child")
            finally:
                os._exit(0)
        ours.close()
        theirs.settimeout(LIMIT)
        with client_context().wrap_socket(theirs) as client:
            assert client.recv(100) == b"from the child"
        os.waitpid(child, 0)
