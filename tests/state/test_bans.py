"""Points, bans and their ends, with time as an argument."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.state.bans import MAX_SCORE, BanRules, Bans, ban_key

RULES = BanRules(max_score=30, time=300.0, reset=1200.0)
ALICE, BOB = "192.0.2.7", "192.0.2.8"


def banned(bans: Bans, ip: str, now: float, rules: BanRules = RULES) -> bool:
    return bans.is_banned(ip, rules, now)


def test_points_below_the_limit_ban_nobody() -> None:
    bans = Bans()
    bans.add(ALICE, 29, RULES, 0.0)
    assert not banned(bans, ALICE, 0.0)


def test_who_reaches_the_limit_is_banned_and_nobody_else() -> None:
    bans = Bans()
    for now in (0.0, 1.0, 2.0):
        bans.add(ALICE, 10, RULES, now)
    assert banned(bans, ALICE, 2.0)
    assert not banned(bans, BOB, 2.0)


@pytest.mark.parametrize(("now", "still"), [(300.0, True), (300.5, False)])
def test_a_ban_is_over_after_its_time(now: float, still: bool) -> None:
    bans = Bans()
    bans.add(ALICE, 30, RULES, 0.0)
    assert banned(bans, ALICE, now) is still


def test_more_points_lengthen_no_ban() -> None:
    bans = Bans()
    bans.add(ALICE, 30, RULES, 0.0)
    bans.add(ALICE, 1, RULES, 299.0)
    assert not banned(bans, ALICE, 301.0)


def test_after_a_ban_counting_begins_anew() -> None:
    bans = Bans()
    bans.add(ALICE, 30, RULES, 0.0)
    entry = bans.add(ALICE, 1, RULES, 301.0)
    assert entry is not None
    assert entry.score == 1


@pytest.mark.parametrize(("now", "score"), [(1200.0, 30), (1200.5, 10)])
def test_points_are_forgotten_after_the_reset_time(now: float, score: int) -> None:
    bans = Bans()
    bans.add(ALICE, 20, RULES, 0.0)
    entry = bans.add(ALICE, 10, RULES, now)
    assert entry is not None
    assert entry.score == score


def test_without_a_limit_nothing_is_counted() -> None:
    bans = Bans()
    off = BanRules(0, 300.0, 1200.0)
    assert bans.add(ALICE, 100, off, 0.0) is None
    assert not banned(bans, ALICE, 0.0, off)
    assert len(bans) == 0


def test_an_ipv6_network_of_64_bits_is_one_address() -> None:
    bans = Bans()
    bans.add("2001:db8:3:4::1", 15, RULES, 0.0)
    bans.add("2001:db8:3:4:ffff::2", 15, RULES, 0.0)
    assert banned(bans, "2001:db8:3:4::3", 0.0)
    assert not banned(bans, "2001:db8:3:5::1", 0.0)
    assert [entry.ip for entry in bans.known()] == ["2001:db8:3:4::"]


def test_an_ipv4_address_in_ipv6_clothes_is_the_same() -> None:
    bans = Bans()
    bans.add("::ffff:192.0.2.7", 30, RULES, 0.0)
    assert banned(bans, ALICE, 0.0)


def test_who_is_exempt_has_points_and_no_ban() -> None:
    bans = Bans([ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/64")])
    for ip in (ALICE, "2001:db8::9"):
        bans.add(ip, 30, RULES, 0.0)
        assert not banned(bans, ip, 0.0)
    assert [entry.score for entry in bans.known()] == [30, 30]
    assert bans.banned(RULES, 0.0) == []


def test_unban_leaves_an_entry_without_points() -> None:
    bans = Bans()
    bans.add(ALICE, 30, RULES, 0.0)
    assert bans.unban(ALICE)
    assert not banned(bans, ALICE, 0.0)
    assert [(entry.ip, entry.score) for entry in bans.known()] == [(ALICE, 0)]


def test_unban_of_any_address_of_an_ipv6_network() -> None:
    bans = Bans()
    bans.add("2001:db8:3:4::1", 30, RULES, 0.0)
    assert bans.unban("2001:db8:3:4::")
    assert not banned(bans, "2001:db8:3:4::1", 0.0)


def test_unban_of_who_is_not_known() -> None:
    assert not Bans().unban(ALICE)


def test_unban_of_no_address() -> None:
    with pytest.raises(ValueError, match="example"):
        Bans().unban("example")


def test_a_lower_limit_after_a_reload_bans_who_has_as_many() -> None:
    bans = Bans()
    bans.add(ALICE, 20, RULES, 0.0)
    assert banned(bans, ALICE, 1.0, BanRules(20, 300.0, 1200.0))


def test_a_sweep_drops_what_is_over_and_nothing_else() -> None:
    bans = Bans()
    bans.add(ALICE, 30, RULES, 0.0)
    bans.add(BOB, 1, RULES, 1000.0)
    bans.sweep(RULES, 1201.0)
    assert [entry.ip for entry in bans.known()] == [BOB]


def test_of_too_many_the_one_falls_out_that_was_seen_longest_ago() -> None:
    bans = Bans(capacity=2)
    bans.add(ALICE, 1, RULES, 0.0)
    bans.add(BOB, 1, RULES, 1.0)
    bans.add(ALICE, 1, RULES, 2.0)
    bans.add("192.0.2.9", 1, RULES, 3.0)
    assert [entry.ip for entry in bans.known()] == [ALICE, "192.0.2.9"]


def test_a_flood_of_others_ends_no_ban() -> None:
    bans = Bans(capacity=100)
    bans.add(ALICE, 30, RULES, 0.0)
    for number in range(1000):
        bans.add(str(ipaddress.IPv4Address("198.51.100.0") + number), 1, RULES, 1.0)
    assert banned(bans, ALICE, 1.0)
    assert len(bans) == 100


def test_where_all_are_banned_there_is_still_a_bound() -> None:
    bans = Bans(capacity=100)
    for number in range(1000):
        bans.add(str(ipaddress.IPv4Address("198.51.100.0") + number), 30, RULES, 1.0)
    assert len(bans) == 100


def test_a_score_has_an_end() -> None:
    bans = Bans()
    bans.add(ALICE, MAX_SCORE, RULES, 0.0)
    entry = bans.add(ALICE, 5, RULES, 1.0)
    assert entry is not None
    assert entry.score == MAX_SCORE


STEPS = st.lists(
    st.tuples(st.sampled_from([ALICE, BOB, "2001:db8::1", "2001:db8:0:1::1"]), st.integers(1, 40), st.floats(0, 900)),
    max_size=30,
)


@given(STEPS)
def test_nobody_is_banned_without_as_many_points_and_no_ban_outlasts_its_time(
    steps: list[tuple[str, int, float]],
) -> None:
    bans, now = Bans(capacity=3), 0.0
    for ip, points, pause in steps:
        now += pause
        was = banned(bans, ip, now)
        entry = bans.add(ip, points, RULES, now)
        assert entry is not None
        assert banned(bans, ip, now) is (was or entry.score >= RULES.max_score)
        assert entry.until <= now + RULES.time
        assert not banned(bans, ip, entry.until + 1.0)
        assert len(bans) <= 3


@given(st.ip_addresses())
def test_a_key_is_its_own_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert ban_key(ban_key(str(address))) == ban_key(str(address))
