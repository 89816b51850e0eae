"""What one instance of a back end may take, and that no other pays for it. A dialogue has no clock but the loop's: the
deadlines here are either far away or of no length."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable

import pytest

from ocserv_core.config.values import BackendSpec
from ocserv_core.model import Identity
from ocserv_core.plugin import Abandoned, Ask, BlockingAsk, Denied, Limits, Login, Prompt, Unavailable, hookimpl
from ocserv_core.plugin.manager import Plugin, new_manager
from ocserv_core.secmod.instance import Instance
from ocserv_core.state.breaker import BreakerState
from tests.loop import on_loop, turn, until

from .backends import Backend, Rounds, broken, login, one_password, thinking

ALICE = Identity("alice")


def instance(backend: Backend | Blocking, limits: Limits | None = None) -> Instance:
    """A back end, loaded."""
    backend.ocserv_limits = limits
    manager = new_manager()
    manager.register(backend)
    return Instance(Plugin("ocserv.auth", "b", BackendSpec("b"), backend), manager)


def of(rounds: Rounds, **limits: float) -> Instance:
    """One function, and what it may take."""
    return instance(Backend(rounds), Limits(**limits))  # type: ignore[arg-type]  # some are int


def become(one: Instance, rounds: Rounds) -> None:
    """What stands behind it changes."""
    assert isinstance(one.plugin.implementation, Backend)
    one.plugin.implementation.rounds = rounds


async def half_open() -> Instance:
    """One that was silent, and is tried again."""
    one = of(silent, failures=1, pause=0.0)
    with pytest.raises(Unavailable):
        await one.authenticate(login(), right)
    assert one.breaker is BreakerState.HALF_OPEN
    return one


def pass_time(seconds: float) -> None:
    """On the clock of the running loop, of which a dialogue has LIMIT."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


def right(_prompt: Prompt) -> Awaitable[str]:
    """A user who knows the password."""

    async def answer() -> str:
        return "right"

    return answer()


class User:
    """One who answers when told to."""

    def __init__(self) -> None:
        self.asked: list[Prompt] = []
        self.word: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask(self, prompt: Prompt) -> str:
        self.asked.append(prompt)
        return await self.word


async def silent(_login: Login, _ask: Ask) -> Identity:
    """Its server does not answer."""
    raise Unavailable("the server is silent")


async def for_ever(_login: Login, _ask: Ask) -> Identity:
    """Waits for an answer that never comes."""
    await asyncio.Event().wait()
    raise AssertionError


# ---- places -------------------------------------------------------------------------------------------------------


def test_no_more_logins_work_at_once_than_it_has_places() -> None:
    async def dialogue() -> None:
        free = asyncio.Event()
        one = of(thinking(free), concurrency=2)
        logins = [asyncio.create_task(one.authenticate(login(), right)) for _ in range(3)]
        await until(lambda: one.places.locked() and one.waiting == 1)
        free.set()
        assert await asyncio.gather(*logins) == [ALICE] * 3
        assert (one.waiting, one.counters.granted) == (0, 3)

    on_loop(dialogue())


def test_who_waits_for_its_user_takes_no_place() -> None:
    async def dialogue() -> None:
        one = of(one_password, concurrency=1)
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await until(lambda: user.asked)
        assert await one.authenticate(login(), right) == ALICE
        user.word.set_result("right")
        assert await parked == ALICE

    on_loop(dialogue())


def test_where_too_many_wait_the_next_is_refused_at_once() -> None:
    async def dialogue() -> None:
        free = asyncio.Event()

        async def busy(_login: Login, _ask: Ask) -> Identity:
            await free.wait()
            return ALICE

        one = of(busy, concurrency=1, queue=1)
        logins = [asyncio.create_task(one.authenticate(login(), right)) for _ in range(2)]
        await until(lambda: one.waiting == 1)
        with pytest.raises(Unavailable, match="1 logins wait for it"):
            await one.authenticate(login(), right)
        free.set()
        await asyncio.gather(*logins)
        assert (one.counters.refused, one.breaker) == (1, BreakerState.CLOSED)

    on_loop(dialogue())


def test_who_finds_no_place_in_time_says_nothing_of_the_back_end() -> None:
    async def dialogue() -> None:
        one = of(one_password, concurrency=1, deadline=0.0, failures=1)
        await one.places.acquire()
        with pytest.raises(Unavailable, match="no place within 0 s"):
            await one.authenticate(login(), right)
        assert (one.counters.failed, one.counters.refused, one.breaker) == (0, 1, BreakerState.CLOSED)

    on_loop(dialogue())


def test_a_login_that_is_cancelled_gives_its_place_back() -> None:
    async def dialogue() -> None:
        one = of(for_ever, concurrency=1)
        gone = asyncio.create_task(one.authenticate(login(), right))
        await until(one.places.locked)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        await until(lambda: not one.places.locked())

    on_loop(dialogue())


# ---- deadline and breaker -----------------------------------------------------------------------------------------


def test_work_that_takes_too_long_ends() -> None:
    async def dialogue() -> None:
        one = of(for_ever, deadline=0.01)
        with pytest.raises(Unavailable, match=r"no answer within 0\.01 s"):
            await one.authenticate(login(), right)
        assert (one.counters.failed, one.counters.last_error) == (1, "no answer within 0.01 s")

    on_loop(dialogue())


def test_a_back_end_s_own_patience_with_its_user_opens_nothing() -> None:
    async def impatient(_login: Login, ask: Ask) -> Identity:
        async with asyncio.timeout(0.0):
            await ask(Prompt("Password:"))
        raise AssertionError

    async def dialogue() -> None:
        one = of(impatient, failures=1)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), User().ask)
        assert one.breaker is BreakerState.CLOSED

    on_loop(dialogue())


def test_who_waits_in_the_queue_while_it_is_found_dead_does_not_ask_it() -> None:
    async def dialogue() -> None:
        free = asyncio.Event()
        asked = []

        async def rounds(login: Login, _ask: Ask) -> Identity:
            asked.append(login.username)
            await free.wait()
            raise Unavailable("the server is silent")

        one = of(rounds, concurrency=1, failures=1, pause=1000.0)
        logins = [asyncio.create_task(one.authenticate(login(name), right)) for name in ("alice", "bob")]
        await until(lambda: one.waiting == 1)
        free.set()
        said = await asyncio.gather(*logins, return_exceptions=True)
        assert [str(each)[:10] for each in said] == ["the server", "left alone"]
        assert (asked, one.places.locked(), one.working) == (["alice"], False, 0)

    on_loop(dialogue())


def test_where_no_thread_can_be_had_the_login_is_refused_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def dialogue() -> None:
        one = instance(Blocking(), Limits(concurrency=1))
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with pytest.raises(Unavailable, match="can't start new thread"):
                await one.authenticate(login(), right)
        assert (one.threads, one.places.locked()) == (0, False)

    on_loop(dialogue())


def test_the_time_that_a_user_takes_is_not_the_back_end_s() -> None:
    async def dialogue() -> None:
        one = of(one_password, deadline=1.0)
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await until(lambda: user.asked)
        asyncio.get_running_loop().call_later(1.2, user.word.set_result, "right")
        assert await parked == ALICE

    on_loop(dialogue())


def test_after_silence_again_and_again_it_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        one = of(silent, failures=2, pause=1000.0)
        for _ in range(2):
            with pytest.raises(Unavailable, match="the server is silent"):
                await one.authenticate(login(), right)
        assert one.breaker is BreakerState.OPEN
        with pytest.raises(Unavailable, match="left alone for 1000 s more, since: the server is silent"):
            await one.authenticate(login(), right)
        assert (one.counters.failed, one.counters.refused) == (2, 1)

    on_loop(dialogue())
    assert "the back end 'b' is left alone for 1000 s: the server is silent" in caplog.text


@pytest.mark.parametrize("error", [TimeoutError("timed out"), ConnectionRefusedError(111, "Connection refused")])
def test_what_a_library_raises_for_a_silent_server_is_silence(error: OSError) -> None:
    async def rounds(_login: Login, _ask: Ask) -> Identity:
        raise error

    async def dialogue() -> None:
        one = of(rounds, failures=1, pause=1000.0)
        with pytest.raises(Unavailable, match=f"^{re.escape(str(error))}$"):
            await one.authenticate(login(), right)
        assert one.breaker is BreakerState.OPEN

    on_loop(dialogue())


def test_after_the_pause_one_success_opens_it_to_all() -> None:
    async def dialogue() -> None:
        silence = [True]

        async def rounds(asked: Login, ask: Ask) -> Identity:
            return await (silent if silence[0] else one_password)(asked, ask)

        one = of(rounds, failures=1, pause=0.0)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), right)
        half_open = one.breaker
        silence[0] = False
        assert await one.authenticate(login(), right) == ALICE
        assert (half_open, one.breaker) == (BreakerState.HALF_OPEN, BreakerState.CLOSED)

    on_loop(dialogue())


def test_a_password_that_comes_while_it_is_left_alone_is_not_tried() -> None:
    async def dialogue() -> None:
        one = of(one_password, failures=1, pause=1000.0)
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await until(lambda: user.asked)
        become(one, silent)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), right)
        user.word.set_result("right")
        with pytest.raises(Unavailable, match="left alone"):
            await parked

    on_loop(dialogue())


@pytest.mark.parametrize("word", ["wrong", "right"])
def test_a_denial_is_an_answer_as_good_as_a_grant(word: str) -> None:
    async def dialogue() -> None:
        one = of(one_password, failures=2)
        user = User()
        user.word.set_result(word)
        become(one, silent)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), right)
        become(one, one_password)
        if word == "wrong":
            with pytest.raises(Denied):
                await one.authenticate(login(), user.ask)
        else:
            await one.authenticate(login(), user.ask)
        become(one, silent)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), right)
        assert one.breaker is BreakerState.CLOSED
        assert (one.counters.denied, one.counters.granted) == ((1, 0) if word == "wrong" else (0, 1))

    on_loop(dialogue())


def test_a_wait_in_the_queue_takes_nothing_of_the_time_to_work() -> None:
    async def dialogue() -> None:
        free, answered = asyncio.Event(), asyncio.Event()

        async def rounds(login: Login, _ask: Ask) -> Identity:
            await (free if login.username == "bob" else answered).wait()
            return Identity(login.username)

        one = of(rounds, concurrency=1, deadline=14.0)
        bob, alice = (asyncio.create_task(one.authenticate(login(name), right)) for name in ("bob", "alice"))
        await until(lambda: one.waiting == 1)
        pass_time(11.0)
        free.set()
        assert (await bob).username == "bob"
        await until(lambda: one.working == 1)
        pass_time(11.0)
        await turn()
        answered.set()
        assert await alice == ALICE

    on_loop(dialogue())


def test_who_gives_up_in_the_queue_is_not_counted_there_any_more() -> None:
    async def dialogue() -> None:
        one = of(for_ever, concurrency=1, queue=1)
        bob = asyncio.create_task(one.authenticate(login("bob"), right))
        await until(lambda: one.working == 1)
        alice = asyncio.create_task(one.authenticate(login(), right))
        await until(lambda: one.waiting == 1)
        for each in (alice, bob):
            each.cancel()
        await asyncio.gather(alice, bob, return_exceptions=True)
        become(one, one_password)
        assert await one.authenticate(login(), right) == ALICE
        assert (one.waiting, one.working) == (0, 0)

    on_loop(dialogue())


def test_after_a_recovery_what_is_new_counts_and_what_is_old_does_not() -> None:
    async def dialogue() -> None:
        one = of(for_ever, failures=1, pause=0.0)
        late = asyncio.Event()

        async def slow(asked: Login, ask: Ask) -> Identity:
            await late.wait()
            return await silent(asked, ask)

        become(one, slow)
        old = asyncio.create_task(one.authenticate(login("bob"), right))
        await until(lambda: one.working == 1)
        become(one, silent)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), right)
        become(one, one_password)
        assert await one.authenticate(login(), right) == ALICE
        late.set()
        with pytest.raises(Unavailable):
            await old
        found = [one.breaker]
        become(one, silent)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), right)
        assert [*found, one.breaker] == [BreakerState.CLOSED, BreakerState.HALF_OPEN]

    on_loop(dialogue())


def test_a_probe_that_waits_for_its_user_lets_the_next_try() -> None:
    async def dialogue() -> None:
        one = await half_open()
        become(one, one_password)
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await until(lambda: user.asked)
        assert await one.authenticate(login(), right) == ALICE
        user.word.set_result("right")
        assert await parked == ALICE

    on_loop(dialogue())


def test_a_probe_that_ends_without_a_word_on_the_back_end_lets_the_next_try() -> None:
    async def dialogue() -> None:
        one = await half_open()
        become(one, broken)
        with pytest.raises(RuntimeError, match="a bug"):
            await one.authenticate(login(), right)
        become(one, one_password)
        assert await one.authenticate(login(), right) == ALICE

    on_loop(dialogue())


@pytest.mark.parametrize(
    "identity",
    [
        Identity(7),  # type: ignore[arg-type]  # a back end need not be typed
        Identity("alice", groups=("staff", None)),  # type: ignore[arg-type]
        Identity("alice", attributes={"Class": 1.5}),  # type: ignore[dict-item]
        Identity("alice", attributes={"Class": 2**64}),
        Identity("half a \ud800"),
    ],
    ids=str,
)
def test_an_identity_that_cannot_be_kept_is_its_login_s_fault(identity: Identity) -> None:
    async def careless(_login: Login, _ask: Ask) -> Identity:
        return identity

    async def dialogue() -> None:
        one = of(careless)
        with pytest.raises((ValueError, TypeError, OverflowError)):
            await one.authenticate(login(), right)
        assert (one.counters.failed, one.counters.granted) == (1, 0)

    on_loop(dialogue())


def test_a_bug_is_its_login_s_alone() -> None:
    """Otherwise one user's name, over which a plugin stumbles, would lock out all others."""

    async def dialogue() -> None:
        one = of(broken, failures=1)
        with pytest.raises(RuntimeError, match="a bug"):
            await one.authenticate(login(), right)
        assert (one.breaker, one.counters.last_error) == (BreakerState.CLOSED, "RuntimeError")

    on_loop(dialogue())


def test_a_dead_back_end_holds_up_no_other() -> None:
    async def dialogue() -> None:
        dead, alive = of(for_ever, concurrency=2), of(one_password, concurrency=1)
        stuck = [asyncio.create_task(dead.authenticate(login(), right)) for _ in range(50)]
        await until(lambda: dead.waiting == 48)
        for _ in range(50):
            assert await alive.authenticate(login(), right) == ALICE
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    on_loop(dialogue())


# ---- an async def -------------------------------------------------------------------------------------------------


def test_an_async_def_that_would_end_the_loop_ends_its_login_alone() -> None:
    async def leaving(_login: Login, ask: Ask) -> Identity:
        if await ask(Prompt("Password:")) == "stop":
            raise KeyboardInterrupt
        raise SystemExit

    async def dialogue() -> None:
        one = of(leaving)
        with pytest.raises(RuntimeError, match=r"it ended by KeyboardInterrupt\(\)"):
            await one.authenticate(login(), saying("stop"))
        with pytest.raises(RuntimeError, match=r"it ended by SystemExit\(\)"):
            await one.authenticate(login(), saying("exit"))
        become(one, one_password)
        assert await one.authenticate(login(), right) == ALICE

    on_loop(dialogue())


def test_what_an_async_def_cancels_itself_is_a_bug_and_no_end_in_silence() -> None:
    async def cancelling(_login: Login, _ask: Ask) -> Identity:
        raise asyncio.CancelledError

    async def dialogue() -> None:
        with pytest.raises(RuntimeError, match=r"it ended by CancelledError\(\)"):
            await of(cancelling).authenticate(login(), right)

    on_loop(dialogue())


def test_a_deadline_is_no_answer_whatever_the_back_end_makes_of_it() -> None:
    async def denying(_login: Login, _ask: Ask) -> Identity:
        try:
            return await for_ever(_login, _ask)
        except asyncio.CancelledError:
            raise Denied("Login failed.") from None

    async def dialogue() -> None:
        one = of(denying, deadline=0.0, failures=1)
        with pytest.raises(Unavailable, match="no answer within"):
            await one.authenticate(login(), right)
        assert (one.breaker, one.counters.denied) == (BreakerState.OPEN, 0)

    on_loop(dialogue())


def test_an_async_def_that_hangs_in_its_clean_up_holds_up_its_place_and_no_user() -> None:
    free = asyncio.Event()

    async def clinging(_login: Login, _ask: Ask) -> Identity:
        try:
            return await for_ever(_login, _ask)
        finally:
            await free.wait()

    async def dialogue() -> None:
        one = of(clinging, deadline=0.01, concurrency=1, failures=9)
        with pytest.raises(Unavailable, match="no answer within"):
            await one.authenticate(login(), right)
        with pytest.raises(Unavailable, match="no place within"):
            await one.authenticate(login(), right)
        free.set()
        await until(lambda: one.working == 0)
        become(one, one_password)
        assert await one.authenticate(login(), right) == ALICE

    on_loop(dialogue())


def test_an_async_def_that_asks_for_a_login_that_has_ended_is_told_so() -> None:
    heard: list[BaseException] = []

    async def stubborn(_login: Login, ask: Ask) -> Identity:
        try:
            await ask(Prompt("Password:"))
        except asyncio.CancelledError:
            try:
                await ask(Prompt("Really?"))
            except BaseException as error:
                heard.append(error)
                raise
        return ALICE

    async def dialogue() -> None:
        one = of(stubborn)
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await until(lambda: user.asked)
        parked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await parked
        await until(lambda: heard)
        assert ([type(error) for error in heard], len(user.asked)) == ([Abandoned], 1)

    on_loop(dialogue())


# ---- a plain def --------------------------------------------------------------------------------------------------


class Blocking:
    """Asks for a password in a thread; the word says what it does then."""

    ocserv_limits: Limits | None = None

    def __init__(self) -> None:
        self.free = threading.Event()
        self.working = threading.Event()
        self.heard: list[BaseException] = []
        self.thread = ""

    @hookimpl
    def ocserv_authenticate(self, login: Login, ask: BlockingAsk) -> Identity:
        self.thread = threading.current_thread().name
        try:
            word = ask(Prompt("Password:"))
        except BaseException as error:
            self.heard.append(error)
            raise
        if word == "hang":
            self.working.set()
            self.free.wait()
        if word == "stop":
            raise StopIteration
        if word == "exit":
            raise SystemExit
        if word != "right":
            raise Denied("Login failed.")
        return Identity(login.username)


def saying(word: str) -> Ask:
    """A user with one word for everything."""

    async def ask(_prompt: Prompt) -> str:
        return word

    return ask


def test_a_plain_def_runs_in_a_thread_that_is_named_after_it() -> None:
    async def dialogue() -> None:
        back_end = Blocking()
        one = instance(back_end)
        assert await one.authenticate(login(), right) == ALICE
        await until(lambda: one.threads == 0)
        assert (back_end.thread, one.places.locked()) == ("b", False)

    on_loop(dialogue())


def test_what_a_plain_def_raises_is_heard() -> None:
    async def dialogue() -> None:
        one = instance(Blocking())
        with pytest.raises(Denied):
            await one.authenticate(login(), saying("wrong"))
        with pytest.raises(RuntimeError, match=r"it ended by StopIteration\(\)"):
            await one.authenticate(login(), saying("stop"))
        with pytest.raises(RuntimeError, match=r"it ended by SystemExit\(\)"):
            await one.authenticate(login(), saying("exit"))

    on_loop(dialogue())


def test_a_thread_that_asks_for_a_login_that_has_ended_is_told_to_end() -> None:
    async def dialogue() -> None:
        back_end = Blocking()
        one = instance(back_end)
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await until(lambda: user.asked)
        parked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await parked
        await until(lambda: one.threads == 0)
        assert [type(error) for error in back_end.heard] == [Abandoned]

    on_loop(dialogue())


def test_a_thread_that_hangs_keeps_its_place_until_it_returns() -> None:
    async def dialogue() -> None:
        back_end = Blocking()
        one = instance(back_end, Limits(deadline=1.0, concurrency=1, failures=9))
        with pytest.raises(Unavailable, match="no answer within"):
            await one.authenticate(login(), saying("hang"))
        assert back_end.working.is_set()
        with pytest.raises(Unavailable, match="no place within"):
            await one.authenticate(login(), right)
        back_end.free.set()
        await until(lambda: one.threads == 0)
        assert await one.authenticate(login(), right) == ALICE

    on_loop(dialogue())


def test_a_wrong_password_at_the_probe_is_an_answer() -> None:
    async def twice(_login: Login, ask: Ask) -> Identity:
        await ask(Prompt("Password:"))
        await ask(Prompt("Again:", again=True))
        return ALICE

    async def dialogue() -> None:
        one = of(silent, failures=1, pause=0.0)
        with pytest.raises(Unavailable):
            await one.authenticate(login(), right)
        assert one.breaker.value == "half open"
        become(one, twice)
        asked: list[Prompt] = []

        async def answer(prompt: Prompt) -> str:
            asked.append(prompt)
            if prompt.again:
                await asyncio.Event().wait()
            return "wrong"

        parked = asyncio.create_task(one.authenticate(login(), answer))
        await until(lambda: len(asked) == 2)
        assert one.breaker.value == "closed"
        parked.cancel()

    on_loop(dialogue())


def test_there_are_no_more_threads_than_it_may_have() -> None:
    async def dialogue() -> None:
        one = instance(Blocking(), Limits(threads=1))
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await until(lambda: user.asked)
        with pytest.raises(Unavailable, match="1 calls are in progress"):
            await one.authenticate(login(), right)
        user.word.set_result("right")
        assert await parked == ALICE
        await turn()

    on_loop(dialogue())
