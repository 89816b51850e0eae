"""The firewall's transactions: their order, and what becomes of one that takes too long."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ocserv_core.config.addresses import PortRule
from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import SystemFailure
from ocserv_core.main import firewall
from ocserv_core.main.firewall import Firewall, table_of
from ocserv_core.main.records import TunnelRecord
from ocserv_core.model import Lease, SessionId
from tests.loop import on_loop

RESTRICTED = SessionConfig(restrict_user_to_ports=(PortRule("tcp", 443),))


class Kernel:
    """Takes down what it is told; `free` lets it go on."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.free = threading.Event()
        self.free.set()
        self.refuses = False

    def run(self, commands: list[dict[str, Any]]) -> None:
        assert self.free.wait(20)
        verb, what = next(iter(commands[-1].items()))
        self.told.append(f"{verb} {next(iter(what))}")
        if self.refuses:
            raise SystemFailure("no")


def house() -> tuple[Kernel, Firewall]:
    kernel = Kernel()
    return kernel, Firewall("ocserv_test", lambda: kernel)  # type: ignore[arg-type, return-value]


def tunnel(config: SessionConfig = RESTRICTED) -> TunnelRecord:
    return TunnelRecord(SessionId("s"), "alice", "", Lease(), "vpns0", 7, 0.0, config)


def test_who_is_not_restricted_costs_the_kernel_nothing() -> None:
    kernel, wall = house()

    async def dialogue() -> None:
        await wall.add(tunnel(SessionConfig()))
        await wall.remove(tunnel(SessionConfig()))
        await wall.close()

    on_loop(dialogue())
    assert kernel.told == []


def test_the_table_goes_before_the_first_client_and_after_the_last() -> None:
    kernel, wall = house()

    async def dialogue() -> None:
        await wall.start()
        await wall.add(tunnel())
        await wall.remove(tunnel())
        await wall.close()

    on_loop(dialogue())
    assert kernel.told == ["delete table", "add element", "delete chain", "delete table"]


def test_where_the_kernel_takes_too_long_the_client_is_refused_and_its_rules_are_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(firewall, "ANSWERS_WITHIN", 0.05)
    kernel, wall = house()

    async def dialogue() -> None:
        kernel.free.clear()
        with pytest.raises(SystemFailure, match="nftables does not answer within"):
            await wall.add(tunnel())
        kernel.free.set()
        monkeypatch.setattr(firewall, "ANSWERS_WITHIN", 10.0)
        await wall.close()

    on_loop(dialogue())
    assert kernel.told == ["add element", "delete chain", "delete table"]


def test_what_the_kernel_refuses_is_told_at_once_and_what_cannot_be_removed_ends_nothing() -> None:
    kernel, wall = house()

    async def dialogue() -> None:
        kernel.refuses = True
        with pytest.raises(SystemFailure, match="no"):
            await wall.add(tunnel())
        await wall.remove(tunnel())
        await wall.start()
        await wall.close()

    on_loop(dialogue())


def test_two_servers_have_two_tables_and_one_has_the_same_again() -> None:
    assert table_of("/run/a.d") == table_of("/run/./a.d") != table_of("/run/b.d")
