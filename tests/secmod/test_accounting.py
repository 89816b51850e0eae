"""What accounting back ends are told of sessions: in which order, how often, and what a failure changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ocserv_core.config.values import BackendSpec
from ocserv_core.model import ClientInfo, DisconnectReason, SessionId, Traffic
from ocserv_core.plugin import Denied, Session, Unavailable, hookimpl
from ocserv_core.plugin.manager import Plugin, new_manager
from ocserv_core.secmod.accounting import GIVE_UP_AFTER, Accounting, Ending
from ocserv_core.secmod.instance import Instance
from tests.loop import on_loop, turn, until

ENDED_AT = 1000.0
SMALL, LARGE = Traffic(1, 1, 1, 1), Traffic(2, 2, 2, 2)


def session(name: str = "alice", vhost: str = "default") -> Session:
    return Session(SessionId(name), vhost, name, "", (), {}, "plain", ClientInfo(), "192.0.2.7")


def ending(name: str = "alice", vhost: str = "default") -> Ending:
    return Ending(session(name, vhost), LARGE, DisconnectReason.USER, ENDED_AT)


class Book:
    """A back end that writes down what it is told, and does what a test says before."""

    ocserv_limits = None

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.faults: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def _tell(self, what: str, name: str) -> None:
        await self.gate.wait()
        if self.faults:
            self.told.append((f"{what} in vain", name))
            raise self.faults.pop(0)
        self.told.append((what, name))

    @hookimpl
    async def ocserv_session_open(self, session: Session) -> None:
        await self._tell("open", session.username)

    @hookimpl
    async def ocserv_session_stats(self, session: Session, traffic: Traffic) -> None:
        await self._tell(f"stats {traffic.rx_bytes}", session.username)

    @hookimpl
    async def ocserv_session_close(self, session: Session, traffic: Traffic, reason: DisconnectReason) -> None:
        await self._tell(f"close {traffic.rx_bytes} {reason.text}", session.username)


CLOSED = ("close 2 user disconnected", "alice")


class Office:
    """Accounting with one back end, for the vhost `default`."""

    def __init__(self, now: Callable[[], float] = lambda: ENDED_AT) -> None:
        self.book = Book()
        manager = new_manager()
        manager.register(self.book)
        self.instance = Instance(Plugin("ocserv.acct", "book", BackendSpec("book"), self.book), manager)
        self.done: list[str] = []
        self.accounting = Accounting(self._instance_of, now, self.done.append, first_retry=0.0)

    def _instance_of(self, vhost: str) -> Instance | None:
        return self.instance if vhost == "default" else None


def test_a_session_is_told_from_its_start_to_its_end() -> None:
    async def dialogue() -> None:
        office = Office()
        await office.accounting.start(session())
        office.accounting.report(session(), SMALL, 1.0)
        await until(lambda: len(office.book.told) == 2)
        office.accounting.end(ending())
        await until(lambda: office.done == ["alice"])
        assert office.book.told == [("open", "alice"), ("stats 1", "alice"), CLOSED]

    on_loop(dialogue())


def test_of_reports_that_wait_the_last_is_told() -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.gate.clear()
        office.accounting.report(session(), SMALL, 1.0)
        await turn()
        office.accounting.report(session(), SMALL, 2.0)
        office.accounting.report(session(), LARGE, 3.0)
        office.book.gate.set()
        await until(lambda: len(office.book.told) == 2)
        await turn()
        assert office.book.told == [("stats 1", "alice"), ("stats 2", "alice")]

    on_loop(dialogue())


def test_the_end_comes_after_what_is_being_told_and_instead_of_what_waits() -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.gate.clear()
        office.accounting.report(session(), SMALL, 1.0)
        await turn()
        office.accounting.report(session(), LARGE, 2.0)
        office.accounting.end(ending())
        office.book.gate.set()
        await until(lambda: office.done)
        assert office.book.told == [("stats 1", "alice"), CLOSED]

    on_loop(dialogue())


def test_a_session_that_is_told_slowly_holds_up_no_other() -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.gate.clear()
        office.accounting.end(ending("slow"))
        await turn()
        office.book.gate = asyncio.Event()
        office.book.gate.set()
        office.accounting.end(ending("bob"))
        await until(lambda: office.done == ["bob"])

    on_loop(dialogue())


@pytest.mark.parametrize("fault", [Unavailable("silent"), KeyError("a bug")], ids=repr)
def test_an_end_is_told_until_it_is_taken(fault: Exception) -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.faults = [fault, fault]
        office.accounting.end(ending())
        await until(lambda: office.done)
        in_vain = ("close 2 user disconnected in vain", "alice")
        assert office.book.told == [in_vain, in_vain, CLOSED]

    on_loop(dialogue())


def test_after_a_day_it_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        office = Office(now=lambda: ENDED_AT + GIVE_UP_AFTER + 1)
        office.book.faults = [Unavailable("silent")] * 2
        office.accounting.end(ending())
        await until(lambda: office.done)
        assert len(office.book.told) == 1

    on_loop(dialogue())
    assert "its end is not accounted: given up" in caplog.text


def test_that_it_is_not_taken_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.faults = [Unavailable("silent")] * 3
        office.accounting.end(ending())
        await until(lambda: office.done)

    with caplog.at_level("INFO"):
        on_loop(dialogue())
    assert caplog.text.count("is not available for accounting: silent") == 1
    assert caplog.text.count("its end is accounted now") == 1


def test_a_report_that_is_not_taken_is_not_told_again() -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.faults = [Unavailable("silent")]
        office.accounting.report(session(), SMALL, 1.0)
        await until(lambda: office.book.told)
        await turn()
        assert office.book.told == [("stats 1 in vain", "alice")]

    on_loop(dialogue())


@pytest.mark.parametrize("fault", [Denied("no"), Unavailable("silent"), KeyError("a bug")], ids=repr)
def test_what_refuses_a_start_is_told_to_who_asks(fault: Exception) -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.faults = [fault]
        with pytest.raises(type(fault)):
            await office.accounting.start(session())

    on_loop(dialogue())


def test_where_nobody_accounts_an_end_is_told_at_once() -> None:
    async def dialogue() -> None:
        office = Office()
        office.accounting.end(ending(vhost="gone.example"))
        await until(lambda: office.done == ["alice"])
        assert office.book.told == []

    on_loop(dialogue())


def test_at_the_end_of_the_process_what_hangs_is_left_to_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        office = Office()
        office.book.gate.clear()
        office.accounting.end(ending())
        await turn()
        await office.accounting.close(0.0)
        await turn()
        assert office.done == []

    on_loop(dialogue())
    assert "1 ends of sessions could not be accounted yet" in caplog.text
