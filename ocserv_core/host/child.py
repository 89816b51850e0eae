"""A child, from the fork to its end: one call of one hook. While it asks, it waits for secmod; how long its user and
its work may take is secmod's to say, which ends it by SIGKILL.

Straight and short: each page of the host's memory that a child writes to, if only to count a reference, is one more
that hundreds of waiting children do not share.
"""

from __future__ import annotations

import logging
import os
import signal
import traceback
from collections.abc import Iterable
from typing import NoReturn

from ..errors import PeerLost
from ..ipc.log_channel import LogChannel
from ..ipc.messages import (
    MAX_MESSAGE,
    Answer,
    Call,
    CallDenied,
    CallFault,
    CallUnavailable,
    FromSecmodToChild,
    Question,
    Returned,
)
from ..plugin.backends import Abandoned, Denied, Prompt, Unavailable
from ..plugin.calls import decode_arguments, encode_result
from ..system.process import set_child_subreaper, set_parent_death_signal, set_title
from .hooks import Hooks
from .line import Line

_log = logging.getLogger(__name__)

MAX_TEXT = 8000
"""Characters of a question, a denial, a traceback: a message must hold them, whatever their alphabet."""

MAX_RESULT = MAX_MESSAGE - 64

_Outcome = Returned | CallDenied | CallUnavailable | CallFault


def become_child(fd: int, parent: int, foreign: Iterable[int], hooks: Hooks, log: LogChannel) -> NoReturn:
    """The whole life of a process that was just forked, in a session of its own, so that its group can be killed.
    parent: its parent's pid; foreign: descriptors that are the parent's alone."""
    status = 70
    try:
        settle(parent)
        os.setsid()
        for other in foreign:
            os.close(other)
        status = run_child(fd, hooks, log)
    except BaseException:  # noqa: BLE001 (the top of the process)
        _log.exception("a child failed")
    finally:
        os._exit(status)


def settle(parent: int) -> None:
    """What the kernel is asked at the begin; it may be asked again."""
    set_parent_death_signal(signal.SIGKILL, parent)
    # What its own children leave behind is its, not a neighbour's, while it lives.
    set_child_subreaper()
    set_title("ocserv-child")


def run_child(fd: int, hooks: Hooks, log: LogChannel) -> int:
    """Its exit status."""
    line = Line(fd, FromSecmodToChild)
    log.attach(line)
    try:
        call = line.receive().message
        if not isinstance(call, Call):
            return 65
        line.send(_outcome(call, hooks, line))
    except (PeerLost, Abandoned):
        pass  # secmod is gone, or done with us
    return 0


def _outcome(call: Call, hooks: Hooks, line: Line) -> _Outcome:
    """What came of it, whatever that is."""
    try:
        value = encode_result(call.hook, _run(call, hooks, line))
        if len(value) > MAX_RESULT:
            raise ValueError(f"its result has {len(value)} bytes, {MAX_RESULT} are the most")
        return Returned(value)
    except Denied as denial:
        return CallDenied(str(denial)[:MAX_TEXT], _checked(denial.token))
    except Unavailable as silence:
        return CallUnavailable(str(silence)[:MAX_TEXT])
    except (TimeoutError, ConnectionError) as error:
        # A library's own patience is at its end, or there is nobody at the other end.
        return CallUnavailable((str(error) or type(error).__name__)[:MAX_TEXT])
    except (Abandoned, PeerLost):
        raise
    except BaseException as error:  # noqa: BLE001 (a plugin's fault; secmod hears of it)
        # What a traceback is about stands at its end.
        return CallFault(type(error).__name__, "".join(traceback.format_exception(error))[-MAX_TEXT:])


def _run(call: Call, hooks: Hooks, line: Line) -> object:
    arguments = decode_arguments(call.hook, call.arguments)
    if call.asks:
        arguments["ask"] = lambda prompt: _ask(line, prompt)
    return hooks[call.hook].call(arguments)


def _ask(line: Line, prompt: Prompt) -> str:
    line.send(Question(prompt.text[:MAX_TEXT], prompt.secret, prompt.again, _checked(prompt.token)))
    try:
        answer = line.receive().message
    except PeerLost:
        raise Abandoned from None
    if not isinstance(answer, Answer):
        raise Abandoned
    return answer.text


def _checked(token: str) -> str:
    """Half a token would be none. ValueError."""
    if len(token) > MAX_TEXT or not token.isascii():
        raise ValueError(f"a token of {len(token)} characters; {MAX_TEXT} of base64 are the most")
    return token
