"""A call gone through before the first fork: what Python makes on first use is then made once, in memory that all
children share, and not in each of them."""

from __future__ import annotations

import os
import socket

from ..ipc.channel import Channel
from ..ipc.log_channel import LogChannel
from ..ipc.messages import Answer, Call, FromChildToSecmod
from ..model import ClientInfo, Identity
from ..plugin.backends import BlockingAsk, Login, Prompt
from ..plugin.calls import encode_arguments
from ..system.process import set_title
from .child import run_child, settle
from .hooks import Hook

ROUNDS = 10
"""The interpreter specialises a function's bytecode after eight calls."""

_HOOK = "ocserv_authenticate"


def rehearse() -> None:
    """With nobody's name, and a back end that asks one question."""
    for _ in range(ROUNDS):
        settle(os.getppid())
        _call()
    set_title("ocserv-host")


def _authenticate(login: Login, ask: BlockingAsk) -> Identity:
    ask(Prompt("Password:"))
    return Identity(login.username)


def _call() -> None:
    secmod, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far = Channel[FromChildToSecmod](secmod, FromChildToSecmod, trusted=False)
    arguments = {"login": Login("nobody", "", "", "", ClientInfo())}
    far.send(Call(_HOOK, encode_arguments(_HOOK, arguments), asks=True))
    far.send(Answer("any"))
    run_child(child.detach(), {_HOOK: Hook(_authenticate, ("login", "ask"))}, LogChannel(far))
    far.close()
