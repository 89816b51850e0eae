"""The conversation function, called as a module calls it: by its C pointer, with structures of C."""

from __future__ import annotations

import ctypes

import pam
import pytest
from ocserv_auth_pam.bindings import LIBC, PamMessage, PamResponse, conv_func
from ocserv_auth_pam.dialogue import MAX_ANSWER, MAX_MESSAGES, Dialogue, Refusal

from ocserv_core.plugin import Abandoned, Prompt

OFF, ON, ERROR, INFO = pam.PAM_PROMPT_ECHO_OFF, pam.PAM_PROMPT_ECHO_ON, pam.PAM_ERROR_MSG, pam.PAM_TEXT_INFO


class User:
    """Has the same answer to everything."""

    def __init__(self, answer: str = "any") -> None:
        self.answer = answer
        self.asked: list[Prompt] = []

    def ask(self, prompt: Prompt) -> str:
        self.asked.append(prompt)
        return self.answer


def say(dialogue: Dialogue, *messages: tuple[int, bytes]) -> tuple[int, list[bytes | None]]:
    """What a module gets: a code, and the answers."""
    structures = [PamMessage(style, text) for style, text in messages]
    pointers = (ctypes.POINTER(PamMessage) * max(1, len(messages)))(*(ctypes.pointer(one) for one in structures))
    answers = ctypes.POINTER(PamResponse)()
    code = conv_func(dialogue.converse)(len(messages), pointers, ctypes.byref(answers), None)
    if code != pam.PAM_SUCCESS:
        assert not answers
        return code, []
    heard = [answers[number].resp for number in range(len(messages))]
    slots = ctypes.cast(answers, ctypes.POINTER(ctypes.c_void_p))
    for number in range(len(messages)):
        LIBC.free(slots[2 * number])
    LIBC.free(ctypes.cast(answers, ctypes.c_void_p))
    return code, heard


def test_a_prompt_is_a_question() -> None:
    user = User("säcret")
    assert say(Dialogue(user.ask), (OFF, b"Password: ")) == (0, ["säcret".encode()])
    assert user.asked == [Prompt("Password:")]


def test_one_with_an_echo_is_no_secret() -> None:
    user = User()
    say(Dialogue(user.ask), (ON, b"Token: "))
    assert user.asked == [Prompt("Token:", secret=False)]


def test_texts_and_errors_stand_above_the_next_prompt() -> None:
    user = User()
    dialogue = Dialogue(user.ask)
    assert say(dialogue, (INFO, b"You must change it.\n"), (ERROR, b"Too short.")) == (0, [None, None])
    say(dialogue, (INFO, b""), (OFF, b"New password: "))
    say(dialogue, (OFF, b"Retype: "))
    assert [prompt.text for prompt in user.asked] == ["You must change it.\nToo short.\nNew password:", "Retype:"]


def test_several_prompts_of_one_call() -> None:
    user = User()
    assert say(Dialogue(user.ask), (OFF, b"a"), (INFO, b"b"), (ON, b"c")) == (0, [b"any", None, b"any"])
    assert [prompt.text for prompt in user.asked] == ["a", "b\nc"]


def test_the_same_prompt_once_more_is_the_same_field() -> None:
    user = User()
    dialogue = Dialogue(user.ask)
    for text in (b"Password: ", b"Password: ", b"Token: "):
        say(dialogue, (OFF, text))
    assert [prompt.again for prompt in user.asked] == [False, True, False]


def test_bytes_that_are_no_text_are_shown_as_that() -> None:
    user = User()
    say(Dialogue(user.ask), (OFF, b"Schl\xfcssel: "))
    assert user.asked[0].text == "Schl\N{REPLACEMENT CHARACTER}ssel:"


def test_what_was_said_last_is_left_for_the_denial() -> None:
    dialogue = Dialogue(None)
    say(dialogue, (ERROR, b"Your account has expired."))
    assert (dialogue.take_texts(), dialogue.take_texts()) == ("Your account has expired.", "")


@pytest.mark.parametrize("answer", ["with\0zero", "x" * (MAX_ANSWER + 1), "ü" * 256])
def test_an_answer_that_c_cannot_hold(answer: str) -> None:
    dialogue = Dialogue(User(answer).ask)
    assert say(dialogue, (OFF, b"Password: ")) == (pam.PAM_CONV_ERR, [])
    assert isinstance(dialogue.failure, Refusal)
    assert answer not in str(dialogue.failure)


def test_the_longest_answer_arrives() -> None:
    assert say(Dialogue(User("x" * MAX_ANSWER).ask), (OFF, b"Password: ")) == (0, [b"x" * MAX_ANSWER])


@pytest.mark.parametrize("raised", [Abandoned(), RuntimeError("a bug"), KeyboardInterrupt()])
def test_whatever_is_raised_is_kept_and_is_no_success(raised: BaseException) -> None:
    def ask(_prompt: Prompt) -> str:
        raise raised

    dialogue = Dialogue(ask)
    assert say(dialogue, (OFF, b"Password: ")) == (pam.PAM_CONV_ERR, [])
    assert dialogue.failure is raised


def test_where_nobody_can_be_asked() -> None:
    dialogue = Dialogue(None)
    assert say(dialogue, (OFF, b"Password: ")) == (pam.PAM_CONV_ERR, [])
    assert str(dialogue.failure) == "a module asks 'Password:', and there is nobody to ask"


@pytest.mark.parametrize("count", [0, MAX_MESSAGES + 1])
def test_a_number_of_messages_that_cannot_be(count: int) -> None:
    dialogue = Dialogue(User().ask)
    assert say(dialogue, *[(INFO, b"x")] * count)[0] == pam.PAM_CONV_ERR
    assert str(dialogue.failure) == f"a module sends {count} messages at once"
