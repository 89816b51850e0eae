"""What back ends do of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ocserv_core.config.values import BackendSpec
from ocserv_core.plugin import hookimpl
from ocserv_core.plugin.manager import Plugin, new_manager
from ocserv_core.secmod.instance import Instance
from ocserv_core.secmod.serving import Serving
from tests.loop import on_loop, turn, until


class Listener:
    """A back end whose work is one function."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work

    @hookimpl
    async def ocserv_serve(self) -> None:
        await self._work()


class Blocking:
    """One that would stop the loop."""

    @hookimpl
    def ocserv_serve(self) -> None:
        raise AssertionError


class Idle:
    """One that does nothing of its own."""


def instance(backend: object) -> Instance:
    manager = new_manager()
    manager.register(backend)
    return Instance(Plugin("ocserv.acct", "b", BackendSpec("b"), backend), manager)


def serving(journal: list[str], name: str) -> Instance:
    """One that writes down its begin and its end, which takes a moment."""

    async def work() -> None:
        journal.append(f"{name} begins")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            journal.append(f"{name} ends")

    return instance(Listener(work))


def test_it_works_until_the_end() -> None:
    async def dialogue() -> None:
        journal: list[str] = []
        works = Serving()
        works.use([serving(journal, "a"), instance(Idle())])
        await until(lambda: journal)
        await works.end()
        assert journal == ["a begins", "a ends"]

    on_loop(dialogue())


def test_the_next_begins_when_all_before_it_have_ended() -> None:
    async def dialogue() -> None:
        journal: list[str] = []
        works = Serving()
        works.use([serving(journal, "a")])
        await until(lambda: journal)
        works.use([serving(journal, "b")])
        works.use([serving(journal, "c")])
        await until(lambda: "c begins" in journal)
        await works.end()
        assert journal == ["a begins", "a ends", "c begins", "c ends"]

    on_loop(dialogue())


def test_a_fault_is_told_and_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        begins: list[str] = []

        async def work() -> None:
            begins.append("again")
            if len(begins) < 3:
                raise ValueError("a bug")

        works = Serving(again_after=0.0)
        works.use([instance(Listener(work))])
        await until(lambda: len(begins) == 3)
        await turn()
        assert len(begins) == 3
        assert caplog.text.count("does of its own has failed") == 2

    on_loop(dialogue())


def test_a_plain_def_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        works = Serving()
        works.use([instance(Blocking())])
        await until(lambda: "is no `async def`" in caplog.text)
        await works.end()

    on_loop(dialogue())


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_one_that_would_end_the_loop_is_a_bug_of_its_own(end: type[BaseException]) -> None:
    async def leave() -> None:
        raise end

    async def dialogue() -> None:
        with pytest.raises(RuntimeError, match=f"it ended by {end.__name__}"):
            await instance(Listener(leave)).serve()

    on_loop(dialogue())
