"""Logins in progress, as dialogues between a worker and a back end."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from ocserv_core.ipc.messages import AuthDenied, AuthGranted, AuthLost, AuthPrompt, Message
from ocserv_core.model import Cookie, Identity, SessionId
from ocserv_core.plugin import Ask, Denied, Login, Prompt, Unavailable
from ocserv_core.secmod import conversation, parking
from ocserv_core.secmod.child import ChildFault
from ocserv_core.secmod.composition import Method
from ocserv_core.secmod.conversation import MAX_ROUNDS, Conversation, Conversations
from ocserv_core.secmod.parking import MAX_PARKED, Parking
from tests.loop import on_loop, turn, until

from .backends import Backend, Rounds, broken, compose, for_ever, login, one_password, thinking, two_questions

HERE, ELSEWHERE = "192.0.2.7", "192.0.2.8"
GRANTED = AuthGranted(SessionId("sid"), Cookie("cookie"), "alice", "")


class Desk:
    """The table of logins, and a worker that hears the replies."""

    def __init__(self, parked: int = MAX_PARKED) -> None:
        handles = (f"handle-{number}" for number in itertools.count(1))
        self.logins = Conversations(handles.__next__, self._grant, self.failed, self.wrong, Parking(parked))
        self.grant_fault: Exception | None = None
        self.granted: list[Identity] = []
        self.failures: list[Login] = []
        self.wrong_answers: list[Login] = []
        self.heard: list[Message] = []

    async def _grant(self, _login: Login, _method: Method, identity: Identity) -> AuthGranted:
        if self.grant_fault is not None:
            raise self.grant_fault
        self.granted.append(identity)
        return GRANTED

    def wrong(self, login: Login) -> None:
        self.wrong_answers.append(login)

    def failed(self, login: Login) -> None:
        self.failures.append(login)

    def start(self, *rounds: Rounds, deadline: float = 20.0) -> Conversation | None:
        composition = compose({f"b{number}": Backend(each) for number, each in enumerate(rounds)})
        return self.logins.start(login(), composition.methods[0], deadline, self.heard.append)

    async def hear(self) -> Message:
        """The next reply."""
        await until(lambda: self.heard)
        return self.heard.pop(0)

    async def answer(self, text: str, *, ip: str = HERE, handle: str = "handle-1") -> Message:
        self.logins.answer(handle, ip, text, self.heard.append)
        return await self.hear()


def test_a_login_with_one_right_answer() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password)
        assert await desk.hear() == AuthPrompt("handle-1", "Password:")
        assert await desk.answer("right") == GRANTED
        await turn()
        assert (len(desk.logins), desk.failures) == (0, [])

    on_loop(dialogue())


def test_a_login_with_a_wrong_answer_is_denied_and_counted() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password)
        await desk.hear()
        assert await desk.answer("wrong") == AuthDenied("Login failed.")
        await turn()
        assert (len(desk.failures), len(desk.logins)) == (1, 0)

    on_loop(dialogue())


def test_half_a_character_of_a_back_end_s_is_sent_as_a_question_mark() -> None:
    async def odd(_login: Login, ask: Ask) -> Identity:
        await ask(Prompt("Pass\udcffword:"))
        raise Denied("no\udcff")

    async def dialogue() -> None:
        desk = Desk()
        desk.start(odd)
        assert await desk.hear() == AuthPrompt("handle-1", "Pass?word:")
        assert await desk.answer("any") == AuthDenied("no?")

    on_loop(dialogue())


def test_another_question_counts_and_the_same_one_again_does_not() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(two_questions)
        first, second = await desk.hear(), await desk.answer("wrong")
        third = await desk.answer("right")
        counters = [reply.counter for reply in (first, second, third) if isinstance(reply, AuthPrompt)]
        assert counters == [0, 0, 1]
        assert third == AuthPrompt("handle-1", "Token:", counter=1, secret=False)

    on_loop(dialogue())


def test_a_denial_may_have_something_to_say_to_the_client_s_mechanism() -> None:
    async def refuses(_login: Login, _ask: Ask) -> Identity:
        raise Denied("Login failed.", "bm8=")

    async def dialogue() -> None:
        desk = Desk()
        desk.start(refuses)
        assert await desk.hear() == AuthDenied("Login failed.", "bm8=")

    on_loop(dialogue())


def test_every_back_end_of_a_method_is_asked_in_its_order() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password, one_password)
        await desk.hear()
        assert isinstance(await desk.answer("right"), AuthPrompt)
        assert await desk.answer("right") == GRANTED

    on_loop(dialogue())


def test_the_first_denial_ends_it() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password, one_password)
        await desk.hear()
        assert isinstance(await desk.answer("wrong"), AuthDenied)

    on_loop(dialogue())


def test_so_many_questions_and_no_more() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(for_ever)
        replies = [await desk.hear()]
        while isinstance(replies[-1], AuthPrompt):
            replies.append(await desk.answer("x"))
        assert (len(replies), replies[-1]) == (MAX_ROUNDS + 1, AuthDenied("Too many questions."))

    on_loop(dialogue())


def test_a_back_end_that_is_not_ready_in_time_is_a_denial() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(thinking(asyncio.Event()), deadline=0.05)
        await desk.hear()
        assert await desk.answer("x") == AuthDenied("The login took too long.")
        await turn()
        assert len(desk.logins) == 0

    on_loop(dialogue())


def test_a_user_who_is_not_ready_in_time_hears_it_when_asking_next() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password, deadline=0.01)
        await desk.hear()
        await until(lambda: len(desk.logins) == 0)
        assert desk.heard == []
        assert await desk.answer("right") == AuthLost()

    on_loop(dialogue())


def test_a_grant_that_fails_is_a_denial_not_silence(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.grant_fault = OverflowError("a fault of ours")
        desk.start(one_password)
        await desk.hear()
        assert await desk.answer("right") == AuthDenied("Login failed.")

    on_loop(dialogue())
    assert "a fault of ours" in caplog.text


# ---- who fills the table


def test_of_one_address_so_many_wait_and_the_oldest_falls_out() -> None:
    async def dialogue() -> None:
        desk = Desk(parked=2)
        for number in range(3):
            desk.start(one_password)
            assert await desk.hear() == AuthPrompt(f"handle-{number + 1}", "Password:")
        await until(lambda: len(desk.logins) == 2)
        assert await desk.answer("right", handle="handle-1") == AuthLost()
        assert await desk.answer("right", handle="handle-2") == GRANTED
        desk.logins.cancel_all()

    on_loop(dialogue())


def test_a_login_that_is_answered_waits_no_more() -> None:
    async def dialogue() -> None:
        desk, stop = Desk(parked=1), asyncio.Event()
        desk.start(thinking(stop))
        await desk.hear()
        desk.logins.answer("handle-1", HERE, "x", desk.heard.append)
        desk.start(one_password)
        await desk.hear()
        stop.set()
        assert await desk.hear() == GRANTED
        desk.logins.cancel_all()

    on_loop(dialogue())


def test_a_parked_login_outlives_its_connection_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "ORPHAN_LIFE", 0.01)

    async def dialogue() -> None:
        desk = Desk()
        begun = desk.start(one_password)
        await desk.hear()
        assert begun is not None
        desk.logins.abandon(begun, begun.asker)
        await until(lambda: len(desk.logins) == 0)
        assert desk.heard == []

    on_loop(dialogue())


def test_whoever_goes_on_with_it_has_all_of_its_time_again() -> None:
    async def dialogue() -> None:
        desk, stop = Desk(), asyncio.Event()
        begun = desk.start(thinking(stop), deadline=100.0)
        await desk.hear()
        assert begun is not None
        desk.logins.abandon(begun, begun.asker)
        assert (begun.limit.when() or 0.0) < begun.deadline
        desk.logins.answer("handle-1", HERE, "x", desk.heard.append)
        assert begun.limit.when() == begun.deadline
        stop.set()
        assert await desk.hear() == GRANTED

    on_loop(dialogue())


def test_a_back_end_with_a_bug_hurts_its_own_login_only(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password)
        assert await desk.hear() == AuthPrompt("handle-1", "Password:")
        desk.start(broken)
        assert await desk.hear() == AuthDenied("Login failed.")
        assert await desk.answer("right", handle="handle-1") == GRANTED

    on_loop(dialogue())
    assert "the back end 'b0' failed in a login of 'alice'" in caplog.text


def test_the_text_of_a_bug_is_not_shown_to_the_client() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(broken)
        assert "bug" not in str(await desk.hear())

    on_loop(dialogue())


def test_a_login_goes_on_from_another_connection_of_the_same_address() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password)
        await desk.hear()
        other: list[Message] = []
        desk.logins.answer("handle-1", HERE, "right", other.append)
        await until(lambda: other)
        assert (other, desk.heard) == ([GRANTED], [])

    on_loop(dialogue())


@pytest.mark.parametrize(("handle", "ip"), [("handle-1", ELSEWHERE), ("handle-9", HERE), ("", HERE)])
def test_who_comes_from_elsewhere_or_knows_no_handle_is_told_nothing(handle: str, ip: str) -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password)
        await desk.hear()
        assert await desk.answer("right", handle=handle, ip=ip) == AuthLost()
        assert await desk.answer("right") == GRANTED

    on_loop(dialogue())


def test_one_question_takes_one_answer() -> None:
    async def dialogue() -> None:
        desk, stop = Desk(), asyncio.Event()
        desk.start(thinking(stop))
        await desk.hear()
        desk.logins.answer("handle-1", HERE, "first", desk.heard.append)
        assert await desk.answer("second") == AuthLost()
        stop.set()
        assert await desk.hear() == GRANTED

    on_loop(dialogue())


def test_a_login_that_is_over_is_lost() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password)
        await desk.hear()
        await desk.answer("right")
        assert await desk.answer("right") == AuthLost()

    on_loop(dialogue())


def test_a_parked_login_survives_its_worker() -> None:
    async def dialogue() -> None:
        desk = Desk()
        begun = desk.start(one_password)
        await desk.hear()
        assert begun is not None
        desk.logins.abandon(begun, desk.heard.append)
        await turn()
        assert await desk.answer("right") == GRANTED

    on_loop(dialogue())


def test_a_back_end_that_computes_for_a_worker_that_is_gone_is_cancelled() -> None:
    async def dialogue() -> None:
        desk = Desk()
        reply = desk.heard.append
        composition = compose({"b": Backend(thinking(asyncio.Event()))})
        begun = desk.logins.start(login(), composition.methods[0], 20.0, reply)
        await desk.hear()
        desk.logins.answer("handle-1", HERE, "x", reply)
        await turn()
        assert begun is not None
        desk.logins.abandon(begun, reply)
        await until(lambda: len(desk.logins) == 0)
        assert desk.heard == []

    on_loop(dialogue())


def test_the_worker_that_began_a_login_cannot_end_it_for_the_one_that_goes_on() -> None:
    async def dialogue() -> None:
        desk, stop = Desk(), asyncio.Event()
        begun = desk.start(thinking(stop))
        await desk.hear()
        assert begun is not None
        first = begun.asker
        second: list[Message] = []
        desk.logins.answer("handle-1", HERE, "x", second.append)
        await turn()
        desk.logins.abandon(begun, first)
        stop.set()
        await until(lambda: second)
        assert second == [GRANTED]

    on_loop(dialogue())


def test_there_are_so_many_logins_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MAX_CONVERSATIONS", 2)

    async def dialogue() -> None:
        desk = Desk()
        begun = [desk.start(one_password) for _ in range(3)]
        assert begun[2] is None
        assert await desk.hear() == AuthDenied("The server is busy, please try again later.")
        desk.logins.cancel_all()
        await until(lambda: len(desk.logins) == 0)

    on_loop(dialogue())


NO_SET: Any = {"a": {1}}


@pytest.mark.parametrize(
    "returned", [None, "alice", Identity("alice", attributes=NO_SET), Identity("alice", attributes={"a": 2**70})]
)
def test_what_is_no_identity_is_a_denial_not_silence(returned: object) -> None:
    async def careless(_login: Login, _ask: object) -> Identity:
        return returned  # type: ignore[return-value]  # what is tested

    async def dialogue() -> None:
        desk = Desk()
        desk.start(careless)
        assert await desk.hear() == AuthDenied("Login failed.")

    on_loop(dialogue())


def test_a_back_end_that_is_not_available_is_nobody_s_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def silent(_login: Login, _ask: Ask) -> Identity:
        raise Unavailable("the server\nis silent")

    async def dialogue() -> None:
        desk = Desk()
        desk.start(silent)
        assert await desk.hear() == AuthDenied("The server is busy, please try again later.")
        assert desk.failures == []

    on_loop(dialogue())
    assert "failed: the back end 'b0' is not available: the server is silent" in caplog.text


def test_the_end_of_a_child_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def crashing(_login: Login, _ask: Ask) -> Identity:
        raise ChildFault("its process ended by SIGSEGV")

    async def dialogue() -> None:
        desk = Desk()
        desk.start(crashing)
        assert await desk.hear() == AuthDenied("Login failed.")

    on_loop(dialogue())
    assert f"'b0' failed in a login of 'alice' from {HERE}: its process ended by SIGSEGV" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_worker_that_began_a_login_cannot_give_it_up_for_the_one_that_goes_on() -> None:
    async def dialogue() -> None:
        desk = Desk()
        began: list[Message] = []
        composition = compose({"b0": Backend(two_questions)})
        mine = desk.logins.start(login(), composition.methods[0], 20.0, began.append)
        assert mine is not None
        await until(lambda: began)
        assert await desk.answer("right") == AuthPrompt("handle-1", "Token:", 1, secret=False)
        desk.logins.give_up(mine, began.append)
        assert await desk.answer("any") == GRANTED

    on_loop(dialogue())


def test_a_login_that_is_given_up_before_it_ran_leaves_nothing_behind() -> None:
    async def dialogue() -> None:
        desk = Desk()
        reply = desk.heard.append
        composition = compose({"b": Backend(one_password)})
        begun = desk.logins.start(login(), composition.methods[0], 20.0, reply)
        assert begun is not None
        desk.logins.abandon(begun, reply)
        await turn()
        assert len(desk.logins) == 0

    on_loop(dialogue())


def test_an_answer_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)

    async def dialogue() -> None:
        desk = Desk()
        desk.start(one_password)
        await desk.hear()
        await desk.answer("a-secret-answer")

    on_loop(dialogue())
    assert "a-secret-answer" not in caplog.text


def test_a_password_that_is_asked_for_again_and_a_denial_are_a_wrong_answer_each() -> None:
    async def three_tries(_login: Login, ask: Ask) -> Identity:
        for attempt in range(3):
            await ask(Prompt("Password:", again=attempt > 0))
        raise Denied("Login failed.")

    async def dialogue() -> None:
        desk = Desk()
        desk.start(three_tries)
        await desk.hear()
        for told in (1, 2, 3):
            await desk.answer("wrong")
            assert [login.remote_ip for login in desk.wrong_answers] == [HERE] * told

    on_loop(dialogue())


def test_another_question_and_a_fault_of_ours_are_no_wrong_answer() -> None:
    async def dialogue() -> None:
        desk = Desk()
        desk.start(two_questions)
        await desk.hear()
        await desk.answer("right")
        desk.start(broken)
        assert await desk.hear() == AuthDenied("Login failed.")
        assert desk.wrong_answers == []

    on_loop(dialogue())
