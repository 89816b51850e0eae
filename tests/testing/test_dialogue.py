"""A login round by round: what an author's test can ask, and what it is told."""

from __future__ import annotations

import asyncio

import pytest

from ocserv_core.errors import ConfigError
from ocserv_core.plugin import Identity
from ocserv_core.secmod.hosts import HostProcess
from ocserv_core.testing.dialogue import Stage, a_session

from .backends import CODE, WORD, Good, GoodChild, GoodThread, Silent, StumblesOverNames


@pytest.mark.parametrize("factory", [Good, GoodThread])
def test_a_login_goes_round_by_round(factory: type) -> None:
    with Stage("ocserv.auth", factory) as stage:
        login = stage.log_in("zoe")
        assert (login.asks, login.over) == ("Word:", False)
        assert login.answer(WORD).asks == "Code:"
        login.answer(CODE)
        assert login.over
        assert login.identity.username == "zoe"


def test_prompts_are_kept() -> None:
    with Stage("ocserv.auth", Good) as stage:
        login = stage.log_in().answer_all([WORD, CODE])
        assert [(prompt.text, prompt.secret) for prompt in login.prompts] == [("Word:", True), ("Code:", False)]


def test_a_denial_is_told() -> None:
    with Stage("ocserv.auth", Good) as stage:
        assert stage.log_in().answer_all(["wrong"]).denied == "Login failed."


def test_silence_is_told() -> None:
    with Stage("ocserv.auth", Silent) as stage:
        assert stage.log_in().unavailable == "nobody answers"


def test_a_fault_is_told() -> None:
    with Stage("ocserv.auth", StumblesOverNames) as stage:
        assert isinstance(stage.log_in().answer("x").fault, KeyError)


def test_who_asks_for_something_else_is_told_what_happened() -> None:
    with Stage("ocserv.auth", Good) as stage:
        login = stage.log_in().answer_all(["wrong"])
        with pytest.raises(AssertionError, match=r"it let nobody in: Denied\('Login failed\.'\)"):
            _ = login.identity
        with pytest.raises(AssertionError, match="it asks nothing"):
            _ = login.asks


@pytest.mark.parametrize("factory", [Good, GoodThread])
def test_a_login_that_is_cancelled_leaves_nothing(factory: type) -> None:
    with Stage("ocserv.auth", factory) as stage:
        login = stage.log_in()
        login.cancel()
        assert isinstance(login.outcome, asyncio.CancelledError)
        assert stage.instance.working == 0
        assert stage.log_in().answer_all([WORD, CODE]).identity == Identity(
            "alice", *(("staff", ("staff",)) if factory is Good else ())
        )


def test_options_are_those_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="unknown option 'x'"):
        Stage("ocserv.auth", Good, {"x": "1"})


def test_sessions_that_a_test_puts_there_are_found() -> None:
    with Stage("ocserv.auth", Good) as stage:
        stage.sessions.up = [a_session("zoe"), a_session("bob", vhost="other")]
        assert [session.username for session in stage.sessions.find("other")] == ["bob"]


def test_the_process_of_a_back_end_ends_with_its_stage() -> None:
    with Stage("ocserv.auth", GoodChild, name="test-child-of-a-stage") as stage:
        # It has no entry point, so its host cannot load it; that there was a process is what counts.
        assert "cannot load it" in stage.log_in().unavailable
    assert not HostProcess.running


def test_a_stage_may_be_closed_twice() -> None:
    with Stage("ocserv.auth", Good) as stage:
        stage.close()
