"""A child, from the fork to its end: one call of one hook. While it asks, it waits for secmod; how long its user and
its work may take is secmod's to say, which ends it by SIGKILL."""

from __future__ import annotations

import socket
import traceback
from typing import Any

from ..errors import PeerLost
from ..ipc.channel import Channel
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

MAX_TEXT = 8000
"""Characters of a question, a denial, a traceback: a message must hold them, whatever their alphabet."""

MAX_RESULT = MAX_MESSAGE - 64

_Outcome = Returned | CallDenied | CallUnavailable | CallFault


def run_child(fd: int, hooks: Any, log: LogChannel) -> int:
    """Its exit status. hooks: pluggy's callers, by name."""
    channel = Channel[FromSecmodToChild](socket.socket(fileno=fd), FromSecmodToChild, trusted=True)
    log.attach(channel)
    try:
        call = channel.receive(None).message
        if not isinstance(call, Call):
            return 65
        channel.send(_outcome(call, hooks, channel))
    except (PeerLost, Abandoned):
        pass  # secmod is gone, or done with us
    return 0


def _outcome(call: Call, hooks: Any, channel: Channel[FromSecmodToChild]) -> _Outcome:
    """What came of it, whatever that is."""
    try:
        value = encode_result(call.hook, _run(call, hooks, channel))
        if len(value) > MAX_RESULT:
            raise ValueError(f"its result has {len(value)} bytes, {MAX_RESULT} are the most")
        return Returned(value)
    except Denied as denial:
        return CallDenied(_cut(str(denial)))
    except Unavailable as silence:
        return CallUnavailable(_cut(str(silence)))
    except (TimeoutError, ConnectionError) as error:
        # A library's own patience is at its end, or there is nobody at the other end.
        return CallUnavailable(_cut(str(error) or type(error).__name__))
    except (Abandoned, PeerLost):
        raise
    except BaseException as error:  # noqa: BLE001 (a plugin's fault; secmod hears of it)
        return CallFault(type(error).__name__, _cut_front("".join(traceback.format_exception(error))))


def _run(call: Call, hooks: Any, channel: Channel[FromSecmodToChild]) -> object:
    arguments = decode_arguments(call.hook, call.arguments)
    if call.asks:
        arguments["ask"] = lambda prompt: _ask(channel, prompt)
    return getattr(hooks, call.hook)(**arguments)


def _ask(channel: Channel[FromSecmodToChild], prompt: Prompt) -> str:
    channel.send(Question(_cut(prompt.text), prompt.secret, prompt.again))
    try:
        answer = channel.receive(None).message
    except PeerLost:
        raise Abandoned from None
    if not isinstance(answer, Answer):
        raise Abandoned
    return answer.text


def _cut(text: str) -> str:
    return text[:MAX_TEXT]


def _cut_front(text: str) -> str:
    """What a traceback is about stands at its end."""
    return text[-MAX_TEXT:]
