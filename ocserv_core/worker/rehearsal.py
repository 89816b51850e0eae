"""A login that nobody asked for, gone through by the nursery before it forks.

What Python makes on first use (patterns, decoders, the specialised bytecode of every function that a login needs)
is made here once and shared by all workers; made in each of them it would cost a megabyte or two a client. The
code is the workers' own: real channels with the answers already in them, and a client that is a list of requests.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import socket
from collections import deque

from ..config.session import effective
from ..config.worker import WorkerConfig, WorkerVhost
from ..ipc.channel import Channel
from ..ipc.messages import AuthCookieReply, AuthGranted, AuthPrompt, FromWorkerToMain, FromWorkerToSecmod
from ..model import AddressPair, Cookie, Lease, SessionId
from ..protocol.dtls import DtlsSettings
from ..protocol.liveness import Liveness
from ..protocol.login import Login
from ..protocol.login_words import ConnectionFacts, LoginSettings
from ..protocol.offer import OfferFacts, build_offer
from .link import Link
from .login import LoginDriver

ROUNDS = 10
"""The interpreter specialises a function's bytecode after eight calls."""

_HEAD = (
    "Host: 192.0.2.1\r\nUser-Agent: Open AnyConnect VPN Agent v9\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    "X-Transcend-Version: 1\r\nX-Aggregate-Auth: 1\r\nX-Support-HTTP-Auth: true\r\nX-Pad: 00\r\n"
)
_OPEN = '<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" aggregate-auth-version="2" '
_INIT = (
    _OPEN + 'type="init"><device-id>linux-64</device-id><group-access>https://192.0.2.1</group-access></config-auth>'
)
_REPLY = _OPEN + 'type="auth-reply"><auth><username>nobody</username><password>none</password></auth></config-auth>'
_CONNECT = (
    "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n" + _HEAD + f"Cookie: webvpn={'A' * 43}\r\nX-CSTP-Version: 1\r\n"
    "X-CSTP-Hostname: nowhere\r\nX-CSTP-Accept-Encoding: oc-lz4,lzs\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-MTU: 1390\r\n"
    "X-CSTP-Address-Type: IPv6,IPv4\r\nX-CSTP-Full-IPv6-Capability: true\r\n"
    "X-DTLS-CipherSuite: PSK-NEGOTIATE:AES128-SHA\r\nX-DTLS-Accept-Encoding: oc-lz4,lzs\r\n\r\n"
)

_LEASE = Lease(AddressPair("192.0.2.1", "192.0.2.2", 24), AddressPair("2001:db8::1", "2001:db8::2", 128))
_SID = SessionId("A" * 28)


def rehearse(config: WorkerConfig) -> None:
    """Once per nursery, before it gives up its privileges; opens nothing but socket pairs."""
    log_level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        for _ in range(ROUNDS):
            _log_in(config.vhosts[0])
    finally:
        logging.disable(log_level)


class _Script:
    """A client that has everything ready to say, and hears nothing."""

    pending = 1

    def __init__(self, requests: list[str]) -> None:
        self._requests = deque(requests)

    def recv(self, limit: int, timeout: float) -> bytes:
        del limit, timeout
        return self._requests.popleft().encode()

    def send(self, data: bytes, timeout: float) -> None:
        """Nobody reads it."""

    def bye(self) -> None:
        """Nobody is there."""


def _post(path: str, body: str) -> str:
    length = len(body.encode())
    return f"POST {path} HTTP/1.1\r\n{_HEAD}Content-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{body}"


def _log_in(vhost: WorkerVhost) -> None:
    main, worker_main = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    secmod, worker_secmod = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with main, secmod, worker_main, worker_secmod:
        _prepare_answers(vhost, main, secmod)
        settings = dataclasses.replace(LoginSettings.of(vhost), methods=(("plain",),), camouflage=False)
        client = _Script([_post("/", _INIT), _post("/auth", _REPLY), _CONNECT])
        login = Login(settings, ConnectionFacts("0" * 40))
        driver = LoginDriver(client, -1, Link(worker_main, worker_secmod), login, None, vhost.name, math.inf)
        granted = driver.run()
        os.close(granted.tun_fd)
        facts = OfferFacts("", "TLS1.3", "nobody", dtls=DtlsSettings(udp_port=443), dtls_id=granted.reply.dtls_id)
        offer = build_offer(granted.request, granted.reply.config, granted.reply.lease, facts)
        Liveness(offer.liveness, 0.0).on_deadline(0.0, 0.0, 0.0)


def _prepare_answers(vhost: WorkerVhost, main: socket.socket, secmod: socket.socket) -> None:
    """What main and secmod would say, in their sockets before they are asked."""
    login = Channel[FromWorkerToSecmod](secmod, FromWorkerToSecmod, trusted=False)
    login.send(AuthPrompt("A" * 32, "Please enter your password."))
    login.send(AuthGranted(_SID, Cookie("A" * 43), "nobody", ""))
    reply = AuthCookieReply(_SID, "nobody", "", _LEASE, "tun", 0.0, bytes(32), effective(vhost.options, None))
    Channel[FromWorkerToMain](main, FromWorkerToMain, trusted=False).send(reply, [main.fileno()])
