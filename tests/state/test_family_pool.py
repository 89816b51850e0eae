"""One network's addresses: who gets which, and who keeps what."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocserv_core.model import AddressPair, SessionId
from ocserv_core.state.family_pool import FamilyPool, PoolExhausted, PoolRecord

NOW = 1_000.0
ALICE, BOB, CAROL = SessionId("alice"), SessionId("bob"), SessionId("carol")


def pool4(network: str = "192.0.2.0/24") -> FamilyPool:
    return FamilyPool(ipaddress.IPv4Network(network), 32)


def pool6(network: str = "2001:db8::/48", subnet: int = 64) -> FamilyPool:
    return FamilyPool(ipaddress.IPv6Network(network), subnet)


def no_random(count: int) -> bytes:
    raise AssertionError("no random candidate was needed")


def always(byte: int) -> Callable[[int], bytes]:
    return lambda count: bytes([byte]) * count


def lease(
    pool: FamilyPool,
    owner: SessionId,
    host: int = 7,
    wish: str = "",
    now: float = NOW,
    random: Callable[[int], bytes] = no_random,
) -> str:
    length = 4 if pool.network.version == 4 else 16
    return pool.lease(owner, host.to_bytes(length), wish, random, now).remote


class TestTheChoice:
    def test_the_seed_is_the_host_part(self) -> None:
        assert lease(pool4(), ALICE, 7) == "192.0.2.7"

    def test_only_the_host_bits_of_the_seed_count(self) -> None:
        assert lease(pool4(), ALICE, 0xAABBCC07) == "192.0.2.7"

    def test_a_taken_seed_leads_to_its_sha1(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 7)
        second = hashlib.sha1((7).to_bytes(4)).digest()[3]
        assert lease(pool, BOB, 7) == f"192.0.2.{second}"

    @pytest.mark.parametrize(("host", "what"), [(0, "network"), (255, "broadcast"), (1, "server")])
    def test_reserved_addresses_are_passed_over(self, host: int, what: str) -> None:
        assert lease(pool4(), ALICE, host, random=always(9)) not in ("192.0.2.0", "192.0.2.255", "192.0.2.1"), what

    def test_after_the_chain_chance_decides(self) -> None:
        pool = pool4()
        candidate = (7).to_bytes(4)
        for number in range(5):
            lease(pool, SessionId(f"other-{number}"), int.from_bytes(candidate), random=always(200))
            candidate = hashlib.sha1(candidate).digest()[:4]
        assert lease(pool, ALICE, 7, random=always(99)) == "192.0.2.99"

    def test_at_most_sixteen_candidates_are_tried(self) -> None:
        pool, asked = pool4(), []

        def random(count: int) -> bytes:
            asked.append(count)
            return bytes(count)  # the network's own address

        lease(pool, ALICE, 0, random=random)
        assert len(asked) <= 16

    def test_where_chance_fails_the_pool_is_searched(self) -> None:
        pool = pool4("192.0.2.0/29")
        found = {lease(pool, SessionId(str(number)), 0, random=always(0)) for number in range(5)}
        assert found == {f"192.0.2.{host}" for host in (2, 3, 4, 5, 6)}

    def test_an_exhausted_pool_says_so(self) -> None:
        pool = pool4("192.0.2.0/30")
        lease(pool, ALICE, 2)
        with pytest.raises(PoolExhausted, match=r"192\.0\.2\.0/30"):
            lease(pool, BOB, 2, random=always(2))

    @pytest.mark.parametrize("network", ["192.0.2.0/31", "192.0.2.7/32"])
    def test_a_network_without_room_for_a_client_is_exhausted(self, network: str) -> None:
        with pytest.raises(PoolExhausted):
            lease(pool4(network), ALICE, random=always(7))

    def test_the_pair_has_the_mask_of_the_network(self) -> None:
        pair = pool4("192.0.2.0/25").lease(ALICE, bytes([0, 0, 0, 7]), "", no_random, NOW)
        assert pair == AddressPair("192.0.2.1", "192.0.2.7", 25)


class TestSubnets:
    def test_a_client_gets_a_subnet_and_its_first_host(self) -> None:
        pair = pool6().lease(ALICE, (0x00AB << 64).to_bytes(16), "", no_random, NOW)
        assert pair == AddressPair("2001:db8::1", "2001:db8:0:ab::1", 64)

    def test_the_servers_subnet_is_passed_over(self) -> None:
        assert lease(pool6(), ALICE, 0) != "2001:db8::1"

    def test_single_addresses(self) -> None:
        assert lease(pool6("2001:db8::/64", 128), ALICE, 0x58EF) == "2001:db8::58ef"

    def test_the_last_address_is_a_clients_too(self) -> None:
        assert lease(pool6("2001:db8::/120", 128), ALICE, 0xFF) == "2001:db8::ff"

    @pytest.mark.parametrize("subnet", [47, 129])
    def test_a_subnet_that_does_not_fit_is_refused(self, subnet: int) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            pool6(subnet=subnet)


class TestKeeping:
    def test_the_owner_gets_the_same_again(self) -> None:
        pool = pool4()
        assert lease(pool, ALICE, 7) == lease(pool, ALICE, 99)

    def test_a_wish_is_granted_where_it_is_free(self) -> None:
        assert lease(pool4(), ALICE, 7, wish="192.0.2.50") == "192.0.2.50"

    @pytest.mark.parametrize(
        "wish", ["192.0.2.1", "192.0.2.255", "198.51.100.7", "2001:db8::7", "nonsense", "192.0.2.7/24", ""]
    )
    def test_a_wish_that_cannot_be_is_passed_over(self, wish: str) -> None:
        assert lease(pool4(), ALICE, 7, wish=wish) == "192.0.2.7"

    def test_a_wish_that_is_another_ones_is_passed_over(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 50)
        assert lease(pool, BOB, 7, wish="192.0.2.50") == "192.0.2.7"

    def test_a_released_address_waits_for_its_owner(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 7)
        pool.release(ALICE, NOW + 300)
        assert lease(pool, BOB, 7, wish="192.0.2.7") != "192.0.2.7"
        assert lease(pool, ALICE, 99) == "192.0.2.7"

    def test_it_waits_no_longer_than_was_said(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 7)
        pool.release(ALICE, NOW + 300)
        assert lease(pool, BOB, 7, now=NOW + 300) == "192.0.2.7"

    def test_without_a_hold_it_is_free_at_once(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 7)
        pool.release(ALICE, 0)
        assert lease(pool, BOB, 7) == "192.0.2.7"

    def test_what_waits_is_given_away_when_nothing_else_is_free_the_oldest_first(self) -> None:
        pool = pool4("192.0.2.0/29")
        for host in range(2, 7):
            lease(pool, SessionId(str(host)), host)
        pool.release(SessionId("4"), NOW + 900)
        pool.release(SessionId("3"), NOW + 300)
        assert lease(pool, ALICE, 0, random=always(0)) == "192.0.2.4"

    def test_an_owner_whose_address_was_given_away_gets_another(self) -> None:
        pool = pool4("192.0.2.0/29")
        for host in range(2, 7):
            lease(pool, SessionId(str(host)), host)
        for host in (3, 4):
            pool.release(SessionId(str(host)), NOW + 300)
        lease(pool, ALICE, 0, random=always(0))
        assert lease(pool, SessionId("3"), 0, wish="192.0.2.3", random=always(0)) == "192.0.2.4"

    def test_a_release_of_nothing_is_nothing(self) -> None:
        pool = pool4()
        pool.release(ALICE, NOW + 300)
        assert lease(pool, BOB, 7) == "192.0.2.7"

    def test_a_sweep_forgets_what_is_over(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 7)
        pool.release(ALICE, NOW + 300)
        pool.sweep(NOW + 300)
        assert pool.record().held == []


class TestClaim:
    def test_exactly_this_address(self) -> None:
        pool = pool4()
        assert pool.claim(ALICE, "192.0.2.50")
        assert lease(pool, ALICE, 7) == "192.0.2.50"

    def test_not_what_another_has(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 50)
        assert not pool.claim(BOB, "192.0.2.50")

    def test_even_what_waits_for_another(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 50)
        pool.release(ALICE, NOW + 300)
        assert pool.claim(BOB, "192.0.2.50")
        assert lease(pool, ALICE, 7) == "192.0.2.7"

    def test_not_a_second_one(self) -> None:
        pool = pool4()
        lease(pool, ALICE, 7)
        assert not pool.claim(ALICE, "192.0.2.50")


class TestWritingOut:
    def test_a_pool_comes_back_as_it_was(self) -> None:
        pool = pool6()
        lease(pool, ALICE, 0xAB << 64)
        lease(pool, BOB, 0xCD << 64)
        pool.release(BOB, NOW + 300)
        encoded = msgspec.msgpack.encode(pool.record())
        again = FamilyPool.from_record(msgspec.msgpack.decode(encoded, type=PoolRecord))
        assert lease(again, CAROL, 0xAB << 64) not in (lease(again, ALICE), lease(again, BOB))
        assert lease(again, BOB) == "2001:db8:0:cd::1"

    def test_what_contradicts_itself_is_refused(self) -> None:
        twice = PoolRecord("192.0.2.0/24", 32, [("192.0.2.7", ALICE), ("192.0.2.7", BOB)], [])
        with pytest.raises(ValueError, match="leased twice"):
            FamilyPool.from_record(twice)


owners = st.sampled_from([SessionId(name) for name in "abcdefghij"])
steps = st.lists(st.tuples(st.sampled_from(["lease", "release"]), owners, st.integers(0, 2**32 - 1)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(steps, st.sampled_from(["192.0.2.0/24", "192.0.2.0/29", "192.0.2.0/28", "10.0.0.0/8"]))
def test_no_address_is_ever_leased_twice_or_reserved(script: list[tuple[str, SessionId, int]], network: str) -> None:
    pool, held = pool4(network), dict[SessionId, str]()
    for now, (what, owner, number) in enumerate(script):
        if what == "release":
            pool.release(owner, now + number % 20)
            held.pop(owner, None)
            continue
        try:
            held[owner] = pool.lease(owner, number.to_bytes(4), "", always(number % 256), now).remote
        except PoolExhausted:
            assert len(held) == pool.network.num_addresses - 3
    reserved = {str(pool.network[0]), str(pool.network[1]), str(pool.network[-1])}
    assert len(set(held.values())) == len(held) == len(pool)
    assert not reserved & set(held.values())
