"""Who listens to events hears all of them, in order, or is let go."""

from __future__ import annotations

from ocserv_core.ipc.control import SessionEvent, UserEntry, UserState
from ocserv_core.main.events import MAX_BEHIND, MAX_LISTENERS, Events
from tests.loop import on_loop


def event(number: int) -> SessionEvent:
    return SessionEvent(UserEntry(number, UserState.CONNECTED, "default", "192.0.2.7", "192.0.2.1", 0.0))


def test_every_listener_hears_what_happens_from_when_it_listens() -> None:
    async def dialogue() -> None:
        events = Events()
        with events.listen() as first:
            assert first
            events.publish(event(1))
            with events.listen() as second:
                assert second
                events.publish(event(2))
                assert await second.next() == event(2)
            assert [await first.next(), await first.next()] == [event(1), event(2)]

    on_loop(dialogue())


def test_one_that_falls_behind_is_told_so_and_hears_no_more() -> None:
    async def dialogue() -> None:
        events = Events()
        with events.listen() as slow:
            assert slow
            for number in range(MAX_BEHIND + 5):
                events.publish(event(number))
            heard = [await slow.next() for _ in range(MAX_BEHIND + 1)]
            assert heard == [*map(event, range(MAX_BEHIND)), None]

    on_loop(dialogue())


def test_there_are_no_more_listeners_than_are_good() -> None:
    async def dialogue() -> None:
        events = Events()
        listening = [events.listen() for _ in range(MAX_LISTENERS)]
        for each in listening:
            assert each.__enter__() is not None
        with events.listen() as one_more:
            assert one_more is None
        listening[0].__exit__(None, None, None)
        with events.listen() as after_one_left:
            assert after_one_left is not None

    on_loop(dialogue())
