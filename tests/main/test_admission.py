"""Whether a connection is served at all."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

import msgspec
import pytest

from ocserv_core.config.server import ServerOptions
from ocserv_core.main.admission import Admission
from ocserv_core.model import Offence
from ocserv_core.state.bans import Bans

ALICE, NEIGHBOUR = "192.0.2.7", "198.51.100.7"


class House:
    """An admission with options that change, a clock that stands, and who is told of bans."""

    def __init__(self, **options: Any) -> None:
        self.options = ServerOptions(**options)
        self.now = 1_000_000.0
        self.told: list[str] = []
        bans = Bans([ipaddress.ip_network("198.51.100.0/24")])
        self.admission = Admission(lambda: self.options, bans, self.told.append, lambda: self.now)

    def reload(self, **options: int) -> None:
        self.options = msgspec.structs.replace(self.options, **options)

    def connect(self, times: int, ip: str = ALICE) -> list[bool]:
        """Whether each of so many connections is refused."""
        return [self.admission.refuses_address(ip) for _ in range(times)]


# ---- max-clients --------------------------------------------------------------------------------------------------


def test_without_a_limit_everybody_is_served() -> None:
    assert not House().admission.refuses(100000)


@pytest.mark.parametrize(("workers", "refused"), [(0, False), (9, False), (10, True), (11, True)])
def test_the_limit_counts_workers(workers: int, refused: bool) -> None:
    assert House(max_clients=10).admission.refuses(workers) is refused


@pytest.mark.parametrize(("workers", "refused"), [(9, True), (8, False)])
def test_once_full_it_stays_so_until_there_is_room_again(workers: int, refused: bool) -> None:
    admission = House(max_clients=10).admission
    admission.refuses(10)
    assert admission.refuses(workers) is refused


def test_after_there_was_room_the_limit_holds_again() -> None:
    admission = House(max_clients=10).admission
    admission.refuses(10)
    admission.refuses(8)
    assert not admission.refuses(9)


def test_a_reload_may_lift_the_limit() -> None:
    house = House(max_clients=1)
    house.admission.refuses(1)
    house.reload(max_clients=0)
    assert not house.admission.refuses(1)


# ---- bans ---------------------------------------------------------------------------------------------------------


def test_connections_count_and_the_one_after_the_last_that_is_allowed_is_refused() -> None:
    house = House(max_ban_score=3)
    assert house.connect(4) == [False, False, False, True]
    assert house.told == [ALICE]


def test_a_ban_is_told_in_the_words_that_scripts_wait_for(caplog: pytest.LogCaptureFixture) -> None:
    house = House(max_ban_score=1)
    with caplog.at_level(logging.INFO):
        house.connect(2)
    added, rejected = caplog.messages
    assert added.startswith(f"added IP '{ALICE}' (with score 1) to ban list, will be reset at: ")
    assert rejected == f"rejected connection from banned IP: {ALICE}"


def test_who_is_refused_does_not_begin_another_ban() -> None:
    house = House(max_ban_score=1, ban_time=300)
    house.connect(1)
    house.now += 299
    house.connect(1)
    house.now += 2
    assert house.connect(1) == [False]
    assert house.told == [ALICE, ALICE]


@pytest.mark.parametrize(
    ("offence", "option"),
    [(Offence.PASSWORD, "ban_points_wrong_password"), (Offence.KKDCP, "ban_points_kkdcp")],
)
def test_each_offence_has_its_points(offence: Offence, option: str) -> None:
    house = House(max_ban_score=30, **{option: 15})
    house.admission.add_points(ALICE, offence)
    assert not house.admission.is_banned(ALICE)
    house.admission.add_points(ALICE, offence)
    assert house.admission.is_banned(ALICE)


def test_a_neighbour_s_connections_do_not_count_his_wrong_passwords_do_and_he_is_never_banned() -> None:
    house = House(max_ban_score=10)
    assert house.connect(20, NEIGHBOUR) == [False] * 20
    house.admission.add_points(NEIGHBOUR, Offence.PASSWORD)
    assert house.connect(1, NEIGHBOUR) == [False]
    assert [(entry.ip, entry.score) for entry in house.admission.known()] == [(NEIGHBOUR, 10)]
    assert (list(house.admission.banned()), house.told) == ([], [])


def test_an_offence_without_points_is_none() -> None:
    house = House(ban_points_kkdcp=0)
    house.admission.add_points(ALICE, Offence.KKDCP)
    assert not house.admission.known()


def test_a_reload_changes_the_rules_and_forgets_nobody() -> None:
    house = House(max_ban_score=10)
    house.connect(3)
    house.reload(max_ban_score=3)
    assert house.connect(1) == [True]
    house.reload(max_ban_score=0)
    assert house.connect(1) == [False]


def test_unban_lets_an_address_in_again() -> None:
    house = House(max_ban_score=1)
    house.connect(1)
    assert house.admission.unban(ALICE)
    assert house.connect(1) == [False]


def test_a_sweep_forgets_what_is_over() -> None:
    house = House(ban_time=300, ban_reset_time=1200)
    house.connect(1)
    house.now += 1201
    house.admission.sweep()
    assert not house.admission.known()
