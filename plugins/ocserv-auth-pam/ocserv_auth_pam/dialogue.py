"""PAM's conversation function: its prompts as questions to the user, one after another.

libpam calls it in the middle of a function of its own, with one or more messages. Texts and errors are kept and shown
above the next prompt. Nothing is raised through libpam: what happens in here is kept, and raised when libpam returns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from pam import (
    PAM_BUF_ERR,
    PAM_CONV_ERR,
    PAM_PROMPT_ECHO_OFF,
    PAM_PROMPT_ECHO_ON,
    PAM_SUCCESS,
)

from ocserv_core.plugin import BlockingAsk, Prompt

from .bindings import LIBC, PamResponse

MAX_MESSAGES = 32
"""Of one call (PAM_MAX_NUM_MSG of Linux-PAM)."""

MAX_ANSWER = 511
"""Bytes; a module may have a buffer of PAM_MAX_RESP_SIZE (512), a zero at its end included."""

MAX_SHOWN = 2000
"""Characters of texts above one prompt."""


class Refusal(Exception):
    """The dialogue cannot go on; the text is for the log."""


class Dialogue:
    """One transaction's. `ask` is None where there is nobody to ask."""

    def __init__(self, ask: BlockingAsk | None) -> None:
        self._ask = ask
        self._texts: list[str] = []
        self._last_prompt: str | None = None
        self.failure: BaseException | None = None

    def take_texts(self) -> str:
        """What PAM has said since the last prompt; once."""
        text = "\n".join(self._texts)[:MAX_SHOWN]
        self._texts.clear()
        return text

    def converse(self, count: int, messages: Any, responses: Any, _data: Any) -> int:
        """pam_conv(3). libpam frees the answers."""
        try:
            if not 0 < count <= MAX_MESSAGES:
                raise Refusal(f"a module sends {count} messages at once")
            texts = [(messages[i].contents.msg_style, messages[i].contents.msg or b"") for i in range(count)]
            answers = [self._hear(style, text.decode(errors="replace")) for style, text in texts]
        except BaseException as error:  # noqa: BLE001 (ctypes would make PAM_SUCCESS of it)
            self.failure = error
            return int(PAM_CONV_ERR)
        return _hand_over(answers, responses)

    def _hear(self, style: int, text: str) -> bytes | None:
        if style in (PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON):
            return self._prompt(text, secret=style == PAM_PROMPT_ECHO_OFF)
        # Texts and errors; other styles (PAM_RADIO_TYPE, PAM_BINARY_PROMPT) are for programs that agreed on them.
        if text.strip():
            self._texts.append(text.rstrip())
        return None

    def _prompt(self, text: str, *, secret: bool) -> bytes:
        if self._ask is None:
            raise Refusal(f"a module asks '{text.strip()}', and there is nobody to ask")
        shown = "\n".join(part for part in (self.take_texts(), text.strip()) if part)
        again = text == self._last_prompt
        self._last_prompt = text
        answer = self._ask(Prompt(shown, secret=secret, again=again)).encode()
        if b"\0" in answer or len(answer) > MAX_ANSWER:
            raise Refusal(f"an answer to '{text.strip()}' of more than {MAX_ANSWER} bytes, or with a zero byte")
        return answer


def _hand_over(answers: Sequence[bytes | None], responses: Any) -> int:
    array = LIBC.calloc(len(answers), ctypes.sizeof(PamResponse))
    if not array:
        return int(PAM_BUF_ERR)
    # Pointers are written as numbers: ctypes would keep c_char_p's memory, and libpam frees it.
    slots = ctypes.cast(array, ctypes.POINTER(_Slot))
    for number, answer in enumerate(answers):
        slots[number].text = None if answer is None else LIBC.strdup(answer)
    ctypes.cast(responses, ctypes.POINTER(ctypes.c_void_p))[0] = array
    return int(PAM_SUCCESS)


class _Slot(ctypes.Structure):
    """struct pam_response."""

    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))
