"""Servers that are down, slow, somebody else's, or no servers: what happens to a login, and what the log says."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ldap_site import CONTEXT, Dialogue, dialogue_with, peer, running_slapd, write_config
from ocserv_auth_ldap import LdapAuth

from ocserv_core.plugin import Unavailable
from tests.servers.slapd import Slapd, free_port, make_server_certificate, person

PASSWORD = "alices-password"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One that nobody stops."""
    with running_slapd(tmp_path_factory.mktemp("ldap") / "slapd") as server:
        yield server


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Slapd]:
    """One that a test may stop; alice is all that it has."""
    server = Slapd(tmp_path / "mortal", person("alice", PASSWORD))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")


def refused(dialogue: Dialogue) -> str:
    """Why nobody knows whether alice's password is right."""
    with pytest.raises(Unavailable) as caught:
        dialogue.log_in("alice", PASSWORD)
    return str(caught.value)


# ---- TLS ----------------------------------------------------------------------------------------------------------


def test_ldap_is_starttls(slapd: Slapd, tmp_path: Path) -> None:
    since = slapd.mark()
    dialogue_with(slapd, folder=tmp_path).log_in("alice", PASSWORD)
    slapd.settle()
    assert slapd.log.count("STARTTLS", since) == slapd.log.count("TLS established", since) == 2
    assert slapd.log.find(r'BIND dn="uid=alice.* ssf=[1-9]', since) or slapd.log.find("tls_ssf=256", since)


def test_ldaps_is_tls_from_the_beginning(slapd: Slapd, tmp_path: Path) -> None:
    since = slapd.mark()
    dialogue_with(slapd, folder=tmp_path, uri=slapd.tls_uri).log_in("alice", PASSWORD)
    slapd.settle()
    assert not slapd.log.find("STARTTLS", since)
    assert slapd.log.count("TLS established", since) == 2


def test_without_tls_is_possible_and_told(slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    since = slapd.mark()
    dialogue = dialogue_with(slapd, folder=tmp_path, starttls="no")
    assert dialogue.log_in("alice", PASSWORD).username == "alice"
    slapd.settle()
    assert not slapd.log.find("TLS established", since)
    assert f"ldap: passwords go to {slapd.uri} as everybody on the way can read them (starttls=no)" in caplog.messages


@pytest.mark.parametrize("uri", ["uri", "tls_uri"])
def test_a_certificate_of_another_ca_is_refused(slapd: Slapd, tmp_path: Path, uri: str) -> None:
    since = slapd.mark()
    (tmp_path / "other").mkdir()
    other = make_server_certificate(tmp_path / "other")
    said = refused(dialogue_with(slapd, folder=tmp_path, uri=getattr(slapd, uri), ca_file=str(other.file)))
    assert said == f"{getattr(slapd, uri)}: its certificate is refused: self-signed certificate"
    slapd.settle()
    assert not slapd.log.find('BIND dn="(cn|uid)', since)


@pytest.mark.parametrize("uri", ["uri", "tls_uri"])
def test_a_certificate_of_another_name_is_refused(tmp_path: Path, uri: str) -> None:
    server = Slapd(tmp_path / "slapd", names="DNS:other.example")
    try:
        said = refused(dialogue_with(server, folder=tmp_path, uri=getattr(server, uri)))
        assert "its certificate is refused: IP address mismatch, certificate is not valid for '127.0.0.1'" in said
        server.settle()
        assert not server.log.find('BIND dn="(cn|uid)')
    finally:
        server.stop()


def test_certificates_are_checked_by_the_system_s_cas_where_none_is_named(slapd: Slapd, tmp_path: Path) -> None:
    assert "its certificate is refused" in refused(dialogue_with(slapd, folder=tmp_path, ca_file=""))


def test_the_check_can_be_turned_off_and_that_is_told(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, ca_file="", tls_verify="no")
    assert dialogue.log_in("alice", PASSWORD).username == "alice"
    assert "ldap: tls-verify=no: whoever answers in a server's place gets the passwords" in caplog.messages


def test_a_server_without_starttls_gets_no_password(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        request = connection.recv(4096)
        heard.append(request)
        connection.sendall(answer_to(request, "78070a010204000400"))
        heard.append(connection.recv(4096))

    with peer(behave) as uri:
        said = refused(stand_in(uri, tmp_path))
    assert "startTLS failed - protocolError" in said
    assert not any(b"password" in data or b"tests" in data for data in heard)


def test_what_a_peer_says_before_tls_begins_is_not_taken_for_said_in_it(tmp_path: Path) -> None:
    def behave(connection: socket.socket) -> None:
        request = connection.recv(4096)
        connection.sendall(answer_to(request, "78070a010004000400") + answer_to(request, "61070a010004000400", 1))
        connection.recv(4096)

    with peer(behave) as uri:
        assert "invalid messageId received" in refused(stand_in(uri, tmp_path))


# ---- peers that are no servers ------------------------------------------------------------------------------------


def answer_to(request: bytes, operation: str, later: int = 0) -> bytes:
    """The operation, in hexadecimal, as the answer to a request, or to one that is to come."""
    number = int.from_bytes(request[4 : 4 + request[3]]) + later
    content = b"\x02\x04" + number.to_bytes(4) + bytes.fromhex(operation)
    return bytes([0x30, len(content)]) + content


def stand_in(uri: str, folder: Path, **changed: str) -> Dialogue:
    options = {"uri": uri, "base": "dc=example", "timeout": "1", **{n.replace("_", "-"): v for n, v in changed.items()}}
    return Dialogue(LdapAuth(write_config(folder / "stand-in.conf", options), CONTEXT))


NO_LDAP = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    "zeros": bytes(64),
    "an odd message": bytes.fromhex("3006020101ff0100"),
    "half a message": bytes.fromhex("30840000ffff0201"),
}

ODD_ANSWERS = {
    "an unknown result": "61070a017f04000400",
    "another operation": "650101",
    "nothing": "",
    "an unknown operation": "7f0101",
}


@pytest.mark.parametrize("answer", NO_LDAP.values(), ids=NO_LDAP)
@pytest.mark.parametrize("starttls", ["yes", "no"])
def test_a_peer_that_speaks_something_else_is_told(tmp_path: Path, answer: bytes, starttls: str) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        connection.recv(4096)

    with peer(behave) as uri:
        began = time.monotonic()
        said = refused(stand_in(uri, tmp_path, starttls=starttls))
        assert said.startswith(f"{uri}: ")
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("operation", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
def test_a_peer_that_answers_oddly_is_told(tmp_path: Path, operation: str) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(answer_to(connection.recv(4096), operation))
        connection.recv(4096)

    with peer(behave) as uri:
        said = refused(stand_in(uri, tmp_path, starttls="no"))
    assert said.startswith(f"{uri}: what it says is no LDAP (")


def test_a_peer_that_closes_at_once_is_told(tmp_path: Path) -> None:
    with peer(lambda _connection: None) as uri:
        assert refused(stand_in(uri, tmp_path)).startswith(f"{uri}: ")


def test_a_peer_that_says_nothing_costs_the_timeout(tmp_path: Path) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.recv(4096)

    with peer(behave) as uri:
        dialogue = stand_in(uri, tmp_path)
        began = time.monotonic()
        assert refused(dialogue) == f"{uri}: no answer within 1 s"
        assert time.monotonic() - began < 5


def test_a_peer_that_says_a_byte_now_and_then_costs_no_more(tmp_path: Path) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.settimeout(0.1)
        for _ in range(100):
            connection.sendall(b"0")
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    with peer(behave) as uri:
        dialogue = stand_in(uri, tmp_path)
        began = time.monotonic()
        assert refused(dialogue) == f"{uri}: no answer within 1 s"
        assert time.monotonic() - began < 5


def test_an_answer_without_end_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocserv_auth_ldap.wire.MAX_ANSWER", 100_000)

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(bytes.fromhex("3084ffffffff"))
        while True:
            connection.sendall(bytes(65536))

    with peer(behave) as uri:
        assert "an answer of more than 100000 bytes" in refused(stand_in(uri, tmp_path, timeout="10"))


# ---- servers that are down ----------------------------------------------------------------------------------------


def with_both(first: Slapd, second: Slapd, folder: Path, **changed: str) -> Dialogue:
    """A back end of two servers, both up."""
    ca_file = folder / "both.pem"
    ca_file.write_text(first.certificate.file.read_text() + second.certificate.file.read_text())
    uri = f"{first.uri} {second.uri}"
    return dialogue_with(second, folder=folder, uri=uri, ca_file=str(ca_file), **changed)


def asked(server: Slapd, dialogue: Dialogue) -> bool:
    """Whether that server is the one that checks alice's password."""
    since = server.mark()
    assert dialogue.log_in("alice", PASSWORD).username == "alice"
    server.settle()
    return server.log.find('BIND dn="uid=alice', since) is not None


def test_a_server_that_is_down_is_told_at_start_and_nobody_is_denied(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    down = f"ldap://127.0.0.1:{free_port()}"
    dialogue = dialogue_with(slapd, folder=tmp_path, uri=down)
    (warning,) = caplog.messages
    assert warning.startswith(f"ldap: {down} cannot be used: ")
    assert warning.endswith("Connection refused; until it can, its users cannot log in by it")
    assert refused(dialogue).endswith("Connection refused")


def test_a_name_without_an_address_is_told(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, uri="ldap://nowhere.invalid")
    assert refused(dialogue) == "ldap://nowhere.invalid:389: its name has no address"


def test_the_servers_are_asked_in_their_order(slapd: Slapd, mortal: Slapd, tmp_path: Path) -> None:
    assert asked(mortal, with_both(mortal, slapd, tmp_path))


def test_a_server_that_dies_is_left_for_the_next_and_asked_last_for_a_while(
    slapd: Slapd, mortal: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dialogue = with_both(mortal, slapd, tmp_path)
    mortal.stop()
    caplog.clear()
    assert asked(slapd, dialogue)
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(f"ldap: {mortal.uri}: ")
    assert warning.endswith("it is asked last for 60 s")
    mortal.start()
    assert not asked(mortal, dialogue)


def test_a_server_is_asked_first_again_after_its_dead_time(slapd: Slapd, mortal: Slapd, tmp_path: Path) -> None:
    dialogue = with_both(mortal, slapd, tmp_path)
    mortal.stop()
    assert asked(slapd, dialogue)
    mortal.start()
    dialogue.backend._directory._clock = lambda: time.monotonic() + 61
    assert asked(mortal, dialogue)


def test_a_server_that_hangs_is_left_for_the_next(slapd: Slapd, mortal: Slapd, tmp_path: Path) -> None:
    dialogue = with_both(mortal, slapd, tmp_path, timeout="1")
    os.kill(mortal.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert asked(slapd, dialogue)
    assert time.monotonic() - began < 10
    assert asked(slapd, dialogue)


def test_where_all_are_dead_all_are_asked(mortal: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(mortal, folder=tmp_path)
    mortal.stop()
    refused(dialogue)
    mortal.start()
    assert asked(mortal, dialogue)


def test_a_server_that_has_started_again_meanwhile_is_not_held_dead(
    mortal: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dialogue = dialogue_with(mortal, folder=tmp_path)
    mortal.stop()
    mortal.start()
    assert asked(mortal, dialogue)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_referral_is_not_followed(slapd: Slapd, tmp_path: Path) -> None:
    heard: list[bytes] = []
    with peer(lambda connection: heard.append(connection.recv(4096))) as elsewhere:
        server = Slapd(tmp_path / "slapd", globally=f"referral {elsewhere}")
        try:
            said = refused(dialogue_with(server, folder=tmp_path, base="dc=elsewhere,dc=test"))
        finally:
            server.stop()
    assert "it refers to another server, which is not followed (10 referral" in said
    assert heard == []


def test_logins_at_once_have_connections_of_their_own(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, pool_size="2")
    logins = [("alice", PASSWORD), ("bob", "bobs-password"), ("carol", "carols-password")] * 8
    with ThreadPoolExecutor(len(logins)) as threads:
        identities = list(threads.map(lambda login: dialogue.log_in(*login), logins))
    assert [identity.username for identity in identities] == [name for name, _password in logins]
