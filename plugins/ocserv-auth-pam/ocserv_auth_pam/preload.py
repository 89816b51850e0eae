"""What all children of a host share, made before the first of them: the modules of the service, and what Python and
ctypes make on first use."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from typing import Any

import pam

from .bindings import LIBC, LIBPAM, PamConv, PamHandle, PamMessage, PamResponse, conv_func
from .dialogue import Dialogue
from .transaction import PamError, transaction

_log = logging.getLogger(__name__)

ROUNDS = 10
"""The interpreter specialises a function's bytecode after eight calls."""

_kept: list[Any] = []
"""A transaction that never ends keeps its modules loaded, which pam_end would take away."""


def preload(service: str) -> None:
    """Load the modules; no function of theirs is called."""
    for _ in range(ROUNDS):
        _rehearse()
    conversation, handle = PamConv(conv_func(Dialogue(None).converse), None), PamHandle()
    code = LIBPAM.pam_start(service.encode(), b"nobody", ctypes.byref(conversation), ctypes.byref(handle))
    if code != pam.PAM_SUCCESS:
        _log.warning("PAM has no rules for '%s': %s", service, LIBPAM.pam_strerror(handle, code).decode())
        return
    _kept.extend((conversation, handle))
    for _ in range(ROUNDS):
        with contextlib.suppress(PamError), transaction(service, b"nobody", Dialogue(None)) as opened:
            opened.set_remote_host("192.0.2.1")
            opened.user()


def _rehearse() -> None:
    """A question, as a module asks it."""
    call = conv_func(Dialogue(lambda _prompt: "any").converse)
    message = PamMessage(pam.PAM_PROMPT_ECHO_OFF, b"Password: ")
    messages = (ctypes.POINTER(PamMessage) * 1)(ctypes.pointer(message))
    answers = ctypes.POINTER(PamResponse)()
    call(1, messages, ctypes.byref(answers), None)
    slot = ctypes.cast(answers, ctypes.POINTER(ctypes.c_void_p))
    LIBC.free(slot[0])
    LIBC.free(ctypes.cast(answers, ctypes.c_void_p))
