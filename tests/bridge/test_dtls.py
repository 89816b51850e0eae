"""A DTLS session by itself: its handshake with a real client, and what it tells."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ocserv_core.bridge.dtls import DtlsFailed, DtlsSession, Legacy, Psk

from .dtls_model import records
from .dtls_peers import APP_ID, KEY, MTU, PSK, SUITES, Path, RawClient, established, sessions, shake
from .legacy_client import LegacyClient
from .record_model import ALERT, HANDSHAKE

SECRET, SESSION_ID = bytes(range(48)), bytes(range(50, 82))

LEGACY = {
    "AES256-GCM-SHA384": ("RSA", "AES-256-GCM", "AEAD"),
    "AES128-GCM-SHA256": ("RSA", "AES-128-GCM", "AEAD"),
    "ECDHE-RSA-AES256-GCM-SHA384": ("ECDHE-RSA", "AES-256-GCM", "AEAD"),
    "ECDHE-RSA-CHACHA20-POLY1305": ("ECDHE-RSA", "CHACHA20-POLY1305", "AEAD"),
    "AES256-SHA": ("RSA", "AES-256-CBC", "SHA1"),
}


# ---- PSK --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES)
def test_both_ends_agree_by_the_key_of_their_tls_connection(suite: str) -> None:
    with established(SUITES[suite]) as ends:
        assert ends.server.ciphersuite == ends.client.ciphersuite
        assert "PSK" in ends.server.ciphersuite
        assert "DTLS1.2" in ends.server.ciphersuite


def test_the_hello_names_the_session_where_main_looks_for_it() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        _, client = sessions(stack, path)
        client.handshake()
        (hello,) = path.from_client()
        assert hello[59] == 32
        assert hello[60:92] == APP_ID


def test_another_key_is_not_agreed_upon() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        server, client = sessions(stack, path)
        server = DtlsSession(path.server, Psk(SUITES["aes256"], bytes(32)), MTU)
        with pytest.raises((AssertionError, DtlsFailed)):
            shake(server, client, path)
        assert not server.established


def test_no_suite_in_common_fails() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        _, client = sessions(stack, path, SUITES["aes256"])
        server = DtlsSession(path.server, Psk(SUITES["chacha"], KEY), MTU)
        with pytest.raises(DtlsFailed):
            shake(server, client, path)


def half_of(hello: bytes) -> bytes:
    """The first fragment of a ClientHello."""
    handshake, body = hello[13:25], hello[25:]
    part = body[: len(body) // 2]
    fragment = handshake[:9] + len(part).to_bytes(3, "big") + part
    return hello[:11] + len(fragment).to_bytes(2, "big") + fragment


def test_half_a_hello_is_waited_for_and_not_in_a_loop() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        server, client = sessions(stack, path)
        client.handshake()
        (hello,) = path.from_client()
        assert not server.handshake(half_of(hello))
        assert server.timeout >= 0.05
        server.close()


def test_a_lost_flight_is_repeated_after_the_timeout() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        server, client = sessions(stack, path)
        client.handshake()
        path.from_client()
        assert 0 < client.timeout <= 0.4
        path.client.settimeout(client.timeout)
        with pytest.raises(TimeoutError):
            path.client.recv(1)  # the time passes
        client.handshake()
        shake(server, client, path, hello=path.from_client()[0])


AMPLIFICATION_MAX = 3


def repeated_flights(server: DtlsSession, path: Path, times: int) -> list[bytes]:
    """What a server sends to a client that says nothing more, until its timer has gone off so often."""
    sent: list[bytes] = []
    for _ in range(times):
        path.server.settimeout(server.timeout)
        with pytest.raises(TimeoutError):
            path.server.recv(1)  # the time passes
        assert not server.handshake()
        sent += path.from_server()
    return sent


def bytes_of(datagrams: list[bytes]) -> int:
    return sum(map(len, datagrams))


def test_a_hello_in_somebody_s_name_is_answered_by_at_most_three_times_its_bytes() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        server, client = sessions(stack, path)
        client.handshake()
        (hello,) = path.from_client()
        server.handshake(hello)
        flight = path.from_server()
        said = bytes_of(flight) + bytes_of(repeated_flights(server, path, 3))
        most = AMPLIFICATION_MAX * len(hello)
        assert 2 * bytes_of(flight) <= said <= most
        assert said + max(map(len, flight)) > most, "nothing but the bound has stopped it"
        server.close()


def test_garbage_before_and_between_does_no_harm() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        server, client = sessions(stack, path)
        for garbage in (b"", b"\x16", b"\x17\xfe\xfd" + bytes(10), bytes(500), b"GET / HTTP/1.1\r\n\r\n"):
            assert not server.handshake(garbage)
        shake(server, client, path)


@pytest.mark.parametrize("suite", SUITES)
def test_the_overhead_is_told(suite: str) -> None:
    expected = {"aes256": 37, "aes128": 37, "chacha": 29, "ccm": 37}
    with established(SUITES[suite]) as ends:
        if suite in expected:
            assert ends.server.overhead == expected[suite]
            assert len(RawClient(ends.client).seal(bytes(100))) == 100 + expected[suite]
        else:
            assert ends.server.overhead > 37


def test_the_first_number_of_our_own_is_one_that_gnutls_has_not_used() -> None:
    with established() as ends:
        assert ends.server.native.write.seq == 0x0001_000000000001


def test_farewell_is_an_alert_under_the_keys() -> None:
    with established() as ends:
        ends.server.bye()
        (datagram,) = ends.path.from_server()
        assert RawClient(ends.client).open(datagram) == [(ALERT, b"\1\0")]


# ---- legacy -----------------------------------------------------------------------------------------------------


@contextmanager
def legacy(name: str, version: str = "DTLS1.2") -> Iterator[tuple[DtlsSession, LegacyClient, Path]]:
    kx, cipher, mac = LEGACY[name]
    priorities = f"NONE:+VERS-{version}:+COMP-NULL:+{cipher}:+{mac}:+{kx}:%COMPAT:+SIGN-ALL:+GROUP-ALL"
    priorities += ":%DISABLE_SAFE_RENEGOTIATION" if version == "DTLS0.9" else ""
    words = (version, kx, cipher, mac)
    with ExitStack() as stack:
        path = Path(stack)
        server = DtlsSession(path.server, Legacy(priorities, *words, SECRET, SESSION_ID), MTU)
        client = LegacyClient(path.client, priorities, words, SECRET, SESSION_ID)
        stack.callback(client.close)
        yield server, client, path


def shake_legacy(server: DtlsSession, client: LegacyClient, path: Path) -> None:
    done = False
    for _ in range(10):
        done = client.handshake()
        for datagram in path.from_client():
            server.handshake(datagram)
        path.to_client(*path.from_server())
        if done and server.established:
            return
    raise AssertionError("no handshake")


@pytest.mark.parametrize("name", LEGACY)
def test_a_session_that_never_was_is_resumed_by_its_master_secret(name: str) -> None:
    with legacy(name) as (server, client, path):
        shake_legacy(server, client, path)
        assert client.resumed
        assert LEGACY[name][1].split("-")[0] in server.ciphersuite


def test_dtls_0_9_is_spoken_by_the_library() -> None:
    with legacy("AES256-SHA", "DTLS0.9") as (server, client, path):
        shake_legacy(server, client, path)
        assert server.native.library


def test_another_secret_is_not_agreed_upon() -> None:
    with legacy("AES128-GCM-SHA256") as (_, client, path):
        words = ("DTLS1.2", *LEGACY["AES128-GCM-SHA256"])
        priorities = "NONE:+VERS-DTLS1.2:+COMP-NULL:+AES-128-GCM:+AEAD:+RSA:%COMPAT:+SIGN-ALL"
        other = DtlsSession(path.server, Legacy(priorities, *words, bytes(48), SESSION_ID), MTU)
        with pytest.raises((AssertionError, DtlsFailed)):
            shake_legacy(other, client, path)


@pytest.mark.parametrize(("secret", "session_id"), [(SECRET[1:], SESSION_ID), (SECRET, SESSION_ID + b"\0")])
def test_secrets_of_a_wrong_length_are_a_bug(secret: bytes, session_id: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, pytest.raises(ValueError, match="length"):
        DtlsSession(ours, Legacy(PSK, "DTLS1.2", "RSA", "AES-128-GCM", "AEAD", secret, session_id), MTU)


def test_words_that_gnutls_does_not_know_fail() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        with pytest.raises(DtlsFailed):
            DtlsSession(ours, Psk("NO SUCH THING", KEY), MTU)
        with pytest.raises(DtlsFailed):
            DtlsSession(ours, Psk(PSK, b""), MTU)


def test_a_flight_is_records_of_handshake() -> None:
    with ExitStack() as stack:
        path = Path(stack)
        server, client = sessions(stack, path)
        flights = shake(server, client, path)
        assert {record.kind for one in flights for record in records(one)} == {HANDSHAKE, 20}
