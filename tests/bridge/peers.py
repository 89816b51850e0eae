"""Both ends of a TLS connection: our TlsSession, and Python's ssl (OpenSSL) as the client."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ocserv_core.bridge.tls import ResumptionStore, Signer, TlsContext, TlsInfo, TlsSession, TlsVhost

from .pki import Issued, KeyHolder, issue
from .record_model import AES256_GCM, RawClient, Suite

LIMIT = 10.0
"""Seconds for anything that should happen at once."""

NORMAL = "NORMAL:%SERVER_PRECEDENCE:%COMPAT:-VERS-TLS1.1:-VERS-TLS1.0"
TLS12 = NORMAL + ":-VERS-TLS1.3"


def client_context(version: str = "", ciphers: str = "", **options: str) -> ssl.SSLContext:
    """A client that trusts anyone. version: "1.2", "1.3"; options: keylog_filename, …"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = only
    if ciphers:
        context.set_ciphers(ciphers)
    for name, value in options.items():
        setattr(context, name, value)
    return context


def server(*served: Issued, priorities: str = NORMAL) -> TlsContext:
    """One vhost with these certificates; the keys are numbered in their order."""
    certificates = tuple((issued.pem, None, number) for number, issued in enumerate(served))
    return TlsContext([TlsVhost("default", priorities, certificates)])


@dataclass
class Connection:
    """A session after its handshake, the client's end of it, and the client's plain socket."""

    session: TlsSession
    client: ssl.SSLSocket
    raw: socket.socket

    @property
    def info(self) -> TlsInfo:
        return self.session.info


@contextmanager
def connect(
    context: TlsContext,
    signer: Signer,
    client: ssl.SSLContext | None = None,
    *,
    name: str | None = None,
    store: ResumptionStore | None = None,
    resume: ssl.SSLSession | None = None,
) -> Iterator[Connection]:
    """Shake hands; what the server raises comes out, and the client's error with it is dropped."""
    client = client or client_context()
    with ExitStack() as stack:
        ours, theirs = socket.socketpair()
        stack.callback(ours.close)
        theirs.settimeout(LIMIT)
        raw = stack.enter_context(theirs.dup())  # ssl takes the other's descriptor
        raw.settimeout(LIMIT)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        shaking = pool.submit(client.wrap_socket, theirs, server_hostname=name, session=resume)
        stack.callback(raw.shutdown, socket.SHUT_RDWR)
        session = TlsSession(context, ours.fileno(), signer, store)
        stack.callback(session.close)
        session.handshake(LIMIT)
        wrapped = shaking.result(LIMIT)
        stack.callback(wrapped.close)
        yield Connection(session, wrapped, raw)


@contextmanager
def connect_plainly(priorities: str = NORMAL, client: ssl.SSLContext | None = None) -> Iterator[Connection]:
    """With one ECDSA certificate."""
    issued = issue("vpn.example")
    with connect(server(issued, priorities=priorities), KeyHolder(issued.key), client) as connection:
        yield connection


@contextmanager
def connect_raw(suite: Suite = AES256_GCM) -> Iterator[tuple[TlsSession, RawClient]]:
    """TLS 1.3 with a client whose every record can be chosen."""
    priorities = f"{NORMAL}:-CIPHER-ALL:+{suite.name.replace('_', '-')}"
    with ExitStack() as stack:
        log = stack.enter_context(tempfile.NamedTemporaryFile("r"))
        client = client_context("1.3", keylog_filename=log.name)
        connection = stack.enter_context(connect_plainly(priorities, client))
        lines = (line.split() for line in log.read().splitlines() if not line.startswith("#"))
        secrets = {words[0]: bytes.fromhex(words[2]) for words in lines}
        ours, theirs = secrets["CLIENT_TRAFFIC_SECRET_0"], secrets["SERVER_TRAFFIC_SECRET_0"]
        yield connection.session, RawClient(connection.raw, suite, ours, theirs)
