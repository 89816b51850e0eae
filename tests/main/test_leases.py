"""Addresses that nobody else has, as far as a ping can say."""

from __future__ import annotations

import pytest

from ocserv_core.config.server import ServerOptions
from ocserv_core.config.session import SessionConfig
from ocserv_core.main.leases import PING_TRIES, Leases
from ocserv_core.model import Lease, SessionId
from ocserv_core.state.ip_pool import PoolExhausted, Pools
from tests.loop import on_loop

SID = SessionId("s")
CONFIG = SessionConfig(ipv4_network="192.0.2.0/24", predictable_ips=True)


class Street:
    """Who lives where: everybody in `taken`."""

    def __init__(self, *taken: str, asks: bool = True) -> None:
        self.taken = set(taken)
        self.asked: list[str] = []
        self.leases = Leases(lambda: ServerOptions(ping_leases=asks), Pools(), self._ping)

    async def _ping(self, address: str, _within: float) -> bool:
        self.asked.append(address)
        return not self.taken or address in self.taken

    async def take(self, last: Lease | None = None, config: SessionConfig = CONFIG, sid: SessionId = SID) -> str:
        lease = await self.leases.take(sid, "alice", last or Lease(), config, want4=True, want6=False)
        assert lease.ipv4 is not None
        return lease.ipv4.remote


def test_an_address_at_which_somebody_answers_is_passed_over() -> None:
    async def dialogue() -> None:
        first = await Street("nobody").take()
        street = Street(first)
        second = await street.take()
        assert second != first
        assert street.asked == [first, second]

    on_loop(dialogue())


def test_it_is_given_to_no_other_session_for_a_while() -> None:
    async def dialogue() -> None:
        first = await Street("nobody").take()
        street = Street(first)
        await street.take()
        assert await street.take(sid=SessionId("t")) != first

    on_loop(dialogue())


def test_where_all_are_taken_the_client_is_told_to_come_again() -> None:
    async def dialogue() -> None:
        street = Street()
        with pytest.raises(PoolExhausted, match="somebody answers"):
            await street.take()
        assert len(set(street.asked)) == PING_TRIES

    on_loop(dialogue())


def test_what_the_session_had_is_not_asked_about() -> None:
    async def dialogue() -> None:
        street = Street("nobody")
        lease = await street.leases.take(SID, "alice", Lease(), CONFIG, want4=True, want6=False)
        street.asked.clear()
        assert lease.ipv4 is not None
        assert await street.take(last=lease) == lease.ipv4.remote
        assert street.asked == []

    on_loop(dialogue())


def test_an_explicit_address_is_its_user_s_whoever_answers() -> None:
    async def dialogue() -> None:
        street = Street()
        explicit = SessionConfig(ipv4_network="192.0.2.0/24", explicit_ipv4="192.0.2.77")
        assert await street.take(config=explicit) == "192.0.2.77"
        assert street.asked == []

    on_loop(dialogue())


def test_without_the_option_nobody_is_asked() -> None:
    async def dialogue() -> None:
        street = Street(asks=False)
        await street.take()
        assert street.asked == []

    on_loop(dialogue())
