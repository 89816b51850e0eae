"""A vhost's networks, and pools that vhosts share."""

from __future__ import annotations

import os

import msgspec
import pytest

from ocserv_core.model import AddressPair, Lease, SessionId
from ocserv_core.state.ip_pool import IpPool, PoolExhausted, Pools, PoolsRecord, seed_of

NOW = 1_000.0
SEED = bytes([0, 0, 0, 7])
ALICE, BOB = SessionId("alice"), SessionId("bob")


NO_WISH = Lease()


def lease(pool: IpPool, owner: SessionId, wish: Lease = NO_WISH, *, want4: bool = True, want6: bool = True) -> Lease:
    return pool.lease(owner, SEED, wish, want4, want6, os.urandom, NOW)


class TestBothFamilies:
    def test_each_that_the_vhost_has_and_the_client_wants(self) -> None:
        pool = Pools().get("192.0.2.0/24", "2001:db8::/48", 64)
        found = lease(pool, ALICE)
        assert found.ipv4 is not None
        assert found.ipv6 is not None

    def test_one_that_is_not_wanted_is_not_leased(self) -> None:
        assert lease(Pools().get("192.0.2.0/24", "2001:db8::/48"), ALICE, want6=False).ipv6 is None

    def test_one_that_the_vhost_lacks_is_none(self) -> None:
        assert lease(Pools().get("192.0.2.0/24", None), ALICE).ipv6 is None

    def test_nothing_that_is_wanted_is_an_error(self) -> None:
        with pytest.raises(PoolExhausted, match="no network of the family"):
            lease(Pools().get("192.0.2.0/24", ""), ALICE, want4=False)

    def test_a_wish_for_both_is_granted(self) -> None:
        wish = Lease(AddressPair("", "192.0.2.50", 0), AddressPair("", "2001:db8:0:cd::1", 0))
        found = lease(Pools().get("192.0.2.0/24", "2001:db8::/48", 64), ALICE, wish)
        assert (found.ipv4, found.ipv6) == (
            AddressPair("192.0.2.1", "192.0.2.50", 24),
            AddressPair("2001:db8::1", "2001:db8:0:cd::1", 64),
        )

    def test_where_one_is_exhausted_the_other_is_given_back(self) -> None:
        pools = Pools()
        lease(pools.get(None, "2001:db8::/126", 127), BOB)
        with pytest.raises(PoolExhausted):
            lease(pools.get("192.0.2.0/24", "2001:db8::/126", 127), ALICE)
        assert pools.record().pools[1].leased == []

    def test_the_same_user_gets_the_same_addresses(self) -> None:
        first, second = (Pools().get("192.0.0.0/16", "2001:db8::/48", 64) for _ in range(2))
        seed = seed_of("alice")
        assert first.lease(ALICE, seed, NO_WISH, True, True, os.urandom, NOW) == second.lease(
            BOB, seed, NO_WISH, True, True, os.urandom, NOW
        )

    def test_both_are_released_together(self) -> None:
        pools = Pools()
        pool = pools.get("192.0.2.0/24", "2001:db8::/48", 64)
        lease(pool, ALICE)
        pool.release(ALICE, 0)
        assert [entry.leased for entry in pools.record().pools] == [[], []]

    def test_host_bits_of_a_network_do_not_matter(self) -> None:
        assert lease(Pools().get("192.0.2.9/24", None), ALICE).ipv4 == AddressPair("192.0.2.1", "192.0.2.7", 24)


class TestShared:
    def test_vhosts_with_the_same_network_share_its_pool(self) -> None:
        pools = Pools()
        first = lease(pools.get("192.0.2.0/24", None), ALICE)
        second = lease(pools.get("192.0.2.0/24", "2001:db8::/48", 64), BOB)
        assert first.ipv4 != second.ipv4

    def test_networks_that_overlap_see_each_others_leases(self) -> None:
        pools = Pools()
        small, large = pools.get("192.0.2.0/28", None), pools.get("192.0.2.0/24", None)
        assert lease(small, ALICE).ipv4 == AddressPair("192.0.2.1", "192.0.2.7", 28)
        wish = Lease(ipv4=AddressPair("", "192.0.2.7", 0))
        second = lease(large, BOB, wish).ipv4
        assert second is not None
        assert second.remote != "192.0.2.7"

    def test_a_subnet_with_a_leased_address_in_it_is_taken(self) -> None:
        pools = Pools()
        single = lease(pools.get(None, "2001:db8::/48", 128), ALICE).ipv6
        assert single is not None
        subnet = lease(pools.get(None, "2001:db8::/48", 64), BOB, Lease(ipv6=single)).ipv6
        assert subnet is not None
        assert subnet.remote.rpartition(":")[0] not in single.remote

    def test_a_release_reaches_the_pool_wherever_it_is(self) -> None:
        pools = Pools()
        lease(pools.get("192.0.2.0/24", None), ALICE)
        pools.release(ALICE, 0)
        assert pools.record().pools[0].leased == []


def explicit(pool: IpPool, owner: SessionId, ipv4: str | None, ipv6: str | None = None) -> Lease:
    return pool.lease(owner, SEED, NO_WISH, True, True, os.urandom, NOW, ipv4, ipv6)


class TestExplicit:
    @pytest.mark.parametrize("address", ["192.0.2.77", "203.0.113.5"])
    def test_the_user_gets_it_in_the_network_or_out_of_it(self, address: str) -> None:
        found = explicit(Pools().get("192.0.2.0/24", None), ALICE, address)
        assert found.ipv4 == AddressPair("192.0.2.1", address, 24)

    def test_ipv6_too(self) -> None:
        found = explicit(Pools().get("192.0.2.0/24", "2001:db8::/48", 64), ALICE, None, "2001:db8:9::5")
        assert found.ipv6 == AddressPair("2001:db8::1", "2001:db8:9::5", 64)

    def test_the_same_session_gets_it_again(self) -> None:
        pool = Pools().get("192.0.2.0/24", None)
        assert explicit(pool, ALICE, "192.0.2.77") == explicit(pool, ALICE, "192.0.2.77")

    def test_another_session_does_not(self) -> None:
        pool = Pools().get("192.0.2.0/24", None)
        explicit(pool, ALICE, "192.0.2.77")
        with pytest.raises(PoolExhausted, match=r"192\.0\.2\.77 is another session's"):
            explicit(pool, BOB, "192.0.2.77")

    def test_nor_where_the_pool_has_given_it_away(self) -> None:
        pool = Pools().get("192.0.2.0/24", None)
        taken = lease(pool, ALICE).ipv4
        assert taken is not None
        with pytest.raises(PoolExhausted):
            explicit(pool, BOB, taken.remote)

    def test_the_pool_does_not_give_away_what_is_somebody_s(self) -> None:
        pool = Pools().get("192.0.2.0/30", None)
        explicit(pool, ALICE, "192.0.2.2")
        with pytest.raises(PoolExhausted):
            lease(pool, BOB)

    @pytest.mark.parametrize("address", ["192.0.2.0", "192.0.2.1", "192.0.2.255"])
    def test_what_is_the_network_s_is_nobody_s(self, address: str) -> None:
        with pytest.raises(PoolExhausted, match="cannot be a client's"):
            explicit(Pools().get("192.0.2.0/24", None), ALICE, address)

    def test_a_session_whose_address_was_fixed_meanwhile_gets_that(self) -> None:
        pools = Pools()
        pool = pools.get("192.0.2.0/24", None)
        lease(pool, ALICE)
        assert explicit(pool, ALICE, "192.0.2.77").ipv4 is not None
        assert sum(len(one.leased) for one in pools.record().pools) == 1

    def test_none_at_all_of_a_family(self) -> None:
        found = explicit(Pools().get("192.0.2.0/24", "2001:db8::/48", 64), ALICE, "0.0.0.0")
        assert found.ipv4 is None
        assert found.ipv6 is not None

    def test_where_the_other_family_cannot_be_it_is_given_back(self) -> None:
        pools = Pools()
        pool = pools.get("192.0.2.0/24", "2001:db8::/48", 64)
        explicit(pool, BOB, None, "2001:db8:9::5")
        with pytest.raises(PoolExhausted):
            explicit(pool, ALICE, "192.0.2.77", "2001:db8:9::5")
        assert explicit(pool, BOB, "192.0.2.77", "2001:db8:9::5").ipv4 is not None

    def test_it_is_free_when_its_session_is_over(self) -> None:
        pools = Pools()
        pool = pools.get("192.0.2.0/24", None)
        explicit(pool, ALICE, "192.0.2.77")
        pools.release(ALICE, 0)
        assert explicit(pool, BOB, "192.0.2.77").ipv4 is not None


def test_the_registry_comes_back_as_it_was() -> None:
    pools = Pools()
    before = lease(pools.get("192.0.2.0/24", "2001:db8::/48", 64), ALICE)
    encoded = msgspec.msgpack.encode(pools.record())
    again = Pools.from_record(msgspec.msgpack.decode(encoded, type=PoolsRecord))
    assert lease(again.get("192.0.2.0/24", "2001:db8::/48", 64), ALICE) == before
