"""Kerberos tickets with the real client and a real key server."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import platform
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocserv_core.protocol.kkdcp import build_kdc_message

from ..servers.kdc import HOST, REALM, Kdc, missing
from .client import Client
from .hostile import Answer, TlsClient
from .lab import GATEWAY4, SERVER4, Lab, Option
from .server import OCSERV, Server

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")

PASSWORD = "the-kerberos-password"
PLAIN_USER = "alice"
PORT = 88

TLS_OF_KERBEROS = Path("/usr/lib") / f"{platform.machine()}-linux-gnu" / "krb5/plugins/tls/k5tls.so"
"""With it kinit reaches a key server by HTTPS."""


@dataclasses.dataclass
class World:
    """A lab in whose realm alice is; by a password of the lab's own she may log in without a ticket, too."""

    lab: Lab

    def __post_init__(self) -> None:
        self.kdc = Kdc(Path(self.lab.path("kdc")), namespace=self.lab.namespace, port=PORT)
        self.kdc.add("alice", PASSWORD)
        self.others: list[Kdc] = []
        self.kdc.start()
        self.keytab = self.kdc.keytab()

    def configure(self, *words: str, only: bool = False, keytab: Option = "", **options: Option) -> str:
        """A configuration with tickets first and passwords second; words: more for the brackets."""
        brackets = ",".join([f"keytab={keytab or self.keytab}", *words])
        if not only:
            options["enable_auth"] = f'"plain[passwd={self.lab.path("passwd")}]"'
        return self.lab.configure(auth=f'"gssapi[{brackets}]"', **options)

    def launch(self, file: str) -> Server:
        """Ours, which reads the realm's krb5.conf."""
        argv = ["env", f"KRB5_CONFIG={self.kdc.config}", *OCSERV, "-f", "--log-stderr", "-c", file]
        return self.lab.run_server(argv, self.lab.path("occtl.sock"))

    def server(self, *words: str, only: bool = False, **options: Option) -> Server:
        """The same, until it listens."""
        return self.launch(self.configure(*words, only=only, **options)).await_listening()

    def client(self, cache: str, *words: str, stdin: str = "", config: str = "") -> Client:
        """openconnect by the server's name, with a cache of tickets."""
        fixed = ["--servercert", self.lab.pin, "--script", self.lab.path("script"), f"--resolve={HOST}:{SERVER4}"]
        environment = {"KRB5_CONFIG": config or self.kdc.config, "KRB5CCNAME": cache}
        return self.lab.run_client([*fixed, *words, f"https://{HOST}/"], stdin=stdin, environment=environment)

    def with_password(self, cache: str) -> Client:
        """One that also knows alice's password of the lab."""
        words = ("--user", PLAIN_USER, "--passwd-on-stdin", "--non-inter")
        return self.client(cache, *words, stdin=f"{self.lab.passwords[PLAIN_USER]}\n")

    def says(self, token: bytes) -> Answer:
        """What the server says to this token, from a host of its own."""
        client = TlsClient(self.lab.host())
        try:
            return client.get("/", *_says(token))
        finally:
            client.close()

    def other(self) -> Kdc:
        """Another realm, in which bob is; it runs, and has a server of the same name."""
        kdc = Kdc(Path(self.lab.path("other")), realm="OTHER.TEST", namespace=self.lab.namespace, port=PORT + 1)
        self.others.append(kdc)
        kdc.add("bob", PASSWORD)
        return kdc.start()

    @property
    def end_point(self) -> bytes:
        """RFC 5929's name of the server's TLS: its certificate is signed with SHA-256."""
        pem = Path(self.lab.cert_file).read_text(encoding="ascii")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()

    def close(self) -> None:
        for kdc in (self.kdc, *self.others):
            kdc.stop()


@pytest.fixture
def world(lab: Lab) -> Iterator[World]:
    world = World(lab)
    try:
        yield world
    finally:
        world.close()


NOBODY = "FILE:/nowhere/cache"


def test_who_has_a_ticket_is_in_without_a_password(world: World) -> None:
    server = world.server()
    client = world.client(world.kdc.ticket("alice", PASSWORD)).await_connected()
    assert client.host.ping(GATEWAY4)
    assert server.log.find(r"'alice' from .* is authenticated by gssapi ")
    assert len(server.pids_of("ocserv-host")) == 1  # a child of which has read the token


def test_who_has_none_gets_the_form_of_the_next_method(world: World) -> None:
    server = world.server()
    client = world.with_password(NOBODY).await_connected()
    assert client.host.ping(GATEWAY4)
    assert server.log.find(r"'alice' from .* is authenticated by plain ")


def test_a_ticket_is_the_only_way_where_there_is_no_other(world: World) -> None:
    world.server(only=True)
    client = world.with_password(NOBODY)
    assert client.wait() != 0
    assert not client.output.find("CONNECTED|Got CONNECT")
    world.client(world.kdc.ticket("alice", PASSWORD)).await_connected()


def test_the_client_learns_that_the_server_is_who_it_says(world: World) -> None:
    world.server(only=True)
    token = world.kdc.token(world.kdc.ticket("alice", PASSWORD))
    granted = world.says(token)
    assert granted.status == 200
    mutual = base64.b64decode(granted.headers["www-authenticate"].removeprefix("Negotiate "))
    assert mutual.startswith(b"\xa1")  # a NegTokenResp


def test_a_token_is_taken_once(world: World) -> None:
    server = world.server(only=True)
    token = world.kdc.token(world.kdc.ticket("alice", PASSWORD))
    assert world.says(token).status == 200
    again = world.says(token)
    assert (again.status, "set-cookie" in again.headers) == (401, False)
    assert again.headers["www-authenticate"].startswith("Negotiate o")  # with the mechanism's own refusal
    server.log.wait_for("gssapi: a login from .* is refused: .*Request is a replay")


GARBAGE = {
    "garbage": (b"\x60\x10" + bytes(100), "Invalid token was supplied"),
    "NTLM": (b"NTLMSSP\0\x01\0\0\0\x07\x82\x08\xa2" + bytes(24), "unsupported mechanism"),
    "NTLM in SPNEGO": (
        bytes.fromhex("601e06062b0601050502a0143012a010300e060a2b06010401823702020a"),
        "gssapi: a login from .* is refused",
    ),
    "large": (bytes(47 * 1024), "Invalid token was supplied"),
}


@pytest.mark.parametrize(("token", "why"), GARBAGE.values(), ids=GARBAGE)
def test_a_token_that_is_none_of_kerberos_leads_to_the_form(world: World, token: bytes, why: str) -> None:
    server = world.server()
    answer = world.says(token)
    assert (answer.status, 'name="password"' in answer.body) == (200, True)
    server.log.wait_for(why)
    assert world.says(world.kdc.token(world.kdc.ticket("alice", PASSWORD))).headers["www-authenticate"]
    assert not server.log.find("Traceback|died|killed")


def test_what_is_no_base64_or_too_long_is_a_bad_request(world: World) -> None:
    world.server()
    client = TlsClient(world.lab.host())
    assert client.get("/", "Authorization: Negotiate a-b").status == 400
    assert world.says(bytes(47 * 1024 + 1)).status == 431


def test_a_second_token_is_asked_for_on_the_same_connection(world: World) -> None:
    """SPNEGO where the client's first guess is a mechanism that we do not take."""
    server = world.server()
    mechanisms = bytes.fromhex("060a2b06010401823702020a06092a864886f712010202")
    first = _der(0x60, bytes.fromhex("06062b0601050502") + _der(0xA0, _der(0x30, _der(0xA0, _der(0x30, mechanisms)))))
    client = TlsClient(world.lab.host())
    more = client.get("/", *_says(first))
    assert (more.status, more.headers["x-http-auth-support"]) == (401, "fallback")
    assert more.headers["www-authenticate"].startswith("Negotiate o")
    answer = client.get("/", *_says(b"\xa1\x02\x30\x00"))
    assert (answer.status, 'name="password"' in answer.body) == (200, True)
    server.log.wait_for("gssapi: a login from .* is refused")


def _der(tag: int, value: bytes) -> bytes:
    return bytes((tag, len(value))) + value


def _says(token: bytes) -> tuple[str, str]:
    return "X-Support-HTTP-Auth: true", f"Authorization: Negotiate {base64.b64encode(token).decode()}"


# ---- tickets that are not good enough -----------------------------------------------------------------------------


def test_a_ticket_that_was_got_too_long_ago_leads_to_the_form(world: World) -> None:
    cache = world.kdc.ticket("alice", PASSWORD)
    got = time.time()
    server = world.server("tgt-freshness-time=1")
    time.sleep(max(0.0, got + 2.1 - time.time()))  # it is time that must pass
    world.with_password(cache).await_connected()
    server.log.wait_for(
        r"is refused: the ticket of alice@EXAMPLE\.TEST was got \d+ s ago, and tgt-freshness-time is 1 s"
    )
    assert server.log.find("'alice' from .* is authenticated by plain ")


def test_a_ticket_that_is_fresh_enough_lets_in(world: World) -> None:
    world.server("tgt-freshness-time=300", only=True)
    world.client(world.kdc.ticket("alice", PASSWORD)).await_connected()


def test_a_ticket_that_has_expired_leads_to_the_form(world: World) -> None:
    cache = world.kdc.ticket("alice", PASSWORD, "-l", "1s", service="")
    got = time.time()
    server = world.server()
    time.sleep(max(0.0, got + 2.1 - time.time()))
    client = world.with_password(cache).await_connected()
    assert client.output.find("[Ee]xpired")
    assert server.log.find("'alice' from .* is authenticated by plain ")


def test_a_token_that_was_made_too_long_ago_is_refused(world: World) -> None:
    """Which is how the server sees a ticket that has expired: five minutes are usual, here it is one second."""
    strict = Path(world.kdc.config)
    strict.write_text(strict.read_text().replace("[libdefaults]", "[libdefaults]\n  clockskew = 1"))
    server = world.server(only=True)
    token = world.kdc.token(world.kdc.ticket("alice", PASSWORD))
    made = time.time()
    time.sleep(max(0.0, made + 2.1 - time.time()))
    assert world.says(token).status == 401
    server.log.wait_for("is refused: .*(Clock skew too great|Ticket expired)")


def test_a_ticket_for_another_realm_s_server_leads_to_the_form(world: World) -> None:
    other = world.other()
    server = world.server()
    answer = world.says(other.token(other.ticket("bob", PASSWORD)))
    assert (answer.status, 'name="password"' in answer.body) == (200, True)
    server.log.wait_for(
        "gssapi: a login from .* is refused: .*(not found in keytab|No key table entry|[Ww]rong principal)"
    )


# ---- who it is here -----------------------------------------------------------------------------------------------


def test_who_is_of_another_realm_is_no_local_user(world: World) -> None:
    other = world.other()
    other.keytab_into(world.keytab)
    server = world.server()
    answer = world.says(other.token(other.ticket("bob", PASSWORD)))
    assert (answer.status, 'name="password"' in answer.body) == (200, True)
    server.log.wait_for(r"is refused: bob@OTHER\.TEST is no local user by the rules of krb5\.conf")


def test_without_the_map_the_user_is_the_principal(world: World) -> None:
    other = world.other()
    other.keytab_into(world.keytab)
    server = world.server("require-local-user-map=false", only=True)
    assert world.says(other.token(other.ticket("bob", PASSWORD))).status == 200
    server.log.wait_for(r"'bob@OTHER\.TEST' from .* is authenticated by gssapi ")
    world.client(world.kdc.ticket("alice", PASSWORD)).await_connected()
    server.log.wait_for(r"'alice@EXAMPLE\.TEST' from .* is authenticated by gssapi ")


def test_the_rules_of_krb5_conf_name_the_user(world: World) -> None:
    world.kdc.config = world.kdc.krb5_conf("mapped.conf", more="    auth_to_local_names = {\n alice = root\n }")
    server = world.server(only=True)
    world.client(world.kdc.ticket("alice", PASSWORD)).await_connected()
    server.log.wait_for(r"'root' from .* is authenticated by gssapi \(session .*, group 'root'\)")


# ---- the TLS connection -------------------------------------------------------------------------------------------


def test_a_ticket_that_is_bound_to_another_tls_connection_is_refused(world: World) -> None:
    server = world.server(only=True)
    cache = world.kdc.ticket("alice", PASSWORD)
    assert world.says(world.kdc.token(cache, end_point=world.end_point)).status == 200
    assert world.says(world.kdc.token(cache, end_point=bytes(32))).status == 401
    server.log.wait_for("is refused: Incorrect channel bindings were supplied")


def test_bindings_may_be_required(world: World) -> None:
    server = world.server("require-channel-bindings=true", only=True)
    cache = world.kdc.ticket("alice", PASSWORD)
    assert world.says(world.kdc.token(cache, end_point=world.end_point)).status == 200
    assert world.says(world.kdc.token(cache)).status == 401
    server.log.wait_for(r"is refused: the client of alice@EXAMPLE\.TEST does not bind its ticket to the TLS connection")


# ---- the configuration --------------------------------------------------------------------------------------------


def test_a_keytab_that_is_not_there_is_told_at_its_line(world: World) -> None:
    server = world.launch(world.configure(keytab="/nowhere/http.keytab"))
    said = r"ocserv\.conf:1: gssapi: keytab=/nowhere/http\.keytab cannot be used: .*nonexistent or empty"
    server.log.wait_for(said)
    assert not server.log.find("listening on")


# ---- Kerberos messages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_kinit_reaches_the_key_server_through_us(world: World, transport: str) -> None:
    if not TLS_OF_KERBEROS.exists():
        pytest.skip("needs krb5-k5tls")
    server = world.server(kkdcp=f"/KdcProxy {REALM} {transport}@127.0.0.1:{PORT}")
    host = world.lab.host()
    with_proxy = f"https://{HOST}/KdcProxy\n    http_anchors = FILE:{world.lab.cert_file}"
    config = world.kdc.krb5_conf("proxy.conf", kdc=with_proxy)
    hosts = world.lab.write("hosts", f"{SERVER4} {HOST}\n")
    cache = world.lab.path("away.cc")
    script = f"mount --bind {hosts} /etc/hosts && KRB5_CONFIG={config} kinit -c FILE:{cache} alice"
    done = host.run("sh", "-c", script, stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert not server.log.find("kkdcp: ")
    script = script.replace("kinit", "kvno").removesuffix("alice") + "HTTP/vpn.example"
    assert host.run("sh", "-c", script).returncode == 0
    world.client(f"FILE:{cache}", config=config).await_connected()


def test_a_key_server_that_is_dead_is_a_bad_gateway(world: World) -> None:
    server = world.server(kkdcp=f"/KdcProxy {REALM} tcp@127.0.0.1:9")
    body = build_kdc_message(b"\0\0\0\x05hello", REALM)
    client = TlsClient(world.lab.host())
    head = f"POST /KdcProxy HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
    client.socket.sendall(head.encode() + body)
    answer = client.read_answer()
    assert (answer.status, answer.headers["x-reason"]) == (502, "the key server does not answer")
    said = r"kkdcp: the key server of EXAMPLE\.TEST \(tcp@127\.0\.0\.1:9\): .*[Rr]efused"
    server.log.wait_for(said)


def test_a_key_server_without_an_address_is_told_at_its_line(world: World) -> None:
    server = world.launch(world.configure(kkdcp="/KdcProxy R tcp@no-such-host.invalid:88"))
    server.log.wait_for(r"ocserv\.conf:\d+: kkdcp: the host 'no-such-host\.invalid' has no address")
