"""Which session has which addresses: a vhost's networks, and the registry of all pools.

main asks `Pools.get` for a vhost's networks and leases from what it gets. Vhosts that name the same network share
its pool, and networks that overlap see each other's leases.
"""

from __future__ import annotations

import hashlib
import ipaddress

import msgspec

from ..model import AddressPair, Lease, SessionId
from .family_pool import FamilyPool, Network, PoolExhausted, PoolRecord, Random, sha1

__all__ = ["IpPool", "PoolExhausted", "Pools", "PoolsRecord", "seed_of"]


def seed_of(username: str) -> bytes:
    """The seed of predictable-ips: the same address for the same user, wherever it is free."""
    return hashlib.sha256(username.encode()).digest()[:4]


class IpPool:
    """The networks of a vhost, one pool for each family that it has."""

    def __init__(self, ipv4: FamilyPool | None, ipv6: FamilyPool | None) -> None:
        self.ipv4 = ipv4
        self.ipv6 = ipv6

    def lease(
        self,
        owner: SessionId,
        seed: bytes,
        wish: Lease,
        want4: bool,
        want6: bool,
        random: Random,
        now: float,
    ) -> Lease:
        """Addresses for a session, the same for the same owner.

        seed: 4 bytes, `seed_of(username)` for predictable-ips, else random. wish: what the session had last, or what
        the client asked for; random(n): n random bytes. Raises PoolExhausted, and has then leased nothing.
        """
        had4 = self.ipv4 is not None and self.ipv4.holds_lease(owner)
        try:
            ipv4 = self._lease_ipv4(owner, seed, wish, random, now) if want4 else None
            ipv6 = self._lease_ipv6(owner, seed, wish, random, now) if want6 else None
        except PoolExhausted:
            if self.ipv4 is not None and not had4:
                self.ipv4.release(owner, 0)
            raise
        if ipv4 is None and ipv6 is None:
            raise PoolExhausted("there is no network of the family that the client asked for")
        return Lease(ipv4, ipv6)

    def _lease_ipv4(self, owner: SessionId, seed: bytes, wish: Lease, random: Random, now: float) -> AddressPair | None:
        if self.ipv4 is None:
            return None
        return self.ipv4.lease(owner, seed, wish.ipv4.remote if wish.ipv4 else "", random, now)

    def _lease_ipv6(self, owner: SessionId, seed: bytes, wish: Lease, random: Random, now: float) -> AddressPair | None:
        if self.ipv6 is None:
            return None
        first = sha1(seed)[:16]
        return self.ipv6.lease(owner, first, wish.ipv6.remote if wish.ipv6 else "", random, now)

    def release(self, owner: SessionId, hold_until: float) -> None:
        """The session's last connection ended; its addresses wait for it until `hold_until`."""
        for pool in (self.ipv4, self.ipv6):
            if pool is not None:
                pool.release(owner, hold_until)


class PoolsRecord(msgspec.Struct, frozen=True):
    """Every pool, written out."""

    pools: list[PoolRecord]


class Pools:
    """The registry. A pool lives as long as the server, so that a reload keeps every lease."""

    def __init__(self) -> None:
        self._families: dict[tuple[Network, int], FamilyPool] = {}

    def get(
        self,
        ipv4: ipaddress.IPv4Network | str | None,
        ipv6: ipaddress.IPv6Network | str | None,
        ipv6_subnet_prefix: int = 128,
    ) -> IpPool:
        """The pool of these networks; None or "" where a vhost has none of the family.

        Raises ValueError for no network, and where a client's subnet would be larger than the network.
        """
        return IpPool(
            self._family(ipaddress.IPv4Network(ipv4, strict=False), 32) if ipv4 else None,
            self._family(ipaddress.IPv6Network(ipv6, strict=False), ipv6_subnet_prefix) if ipv6 else None,
        )

    def _family(self, network: Network, prefix: int) -> FamilyPool:
        pool = self._families.get((network, prefix))
        return pool if pool is not None else self._add(FamilyPool(network, prefix))

    def _add(self, pool: FamilyPool) -> FamilyPool:
        for other in self._families.values():
            if pool.overlaps(other):
                pool.rivals.append(other)
                other.rivals.append(pool)
        self._families[pool.network, pool.prefix] = pool
        return pool

    def release(self, owner: SessionId, hold_until: float) -> None:
        """The session's last connection ended, in whatever pools its addresses are."""
        for pool in self._families.values():
            pool.release(owner, hold_until)

    def record(self) -> PoolsRecord:
        """Every pool as plain data."""
        return PoolsRecord([pool.record() for pool in self._families.values()])

    @classmethod
    def from_record(cls, record: PoolsRecord) -> Pools:
        """The registry that `record` was made of. Raises ValueError for data that contradicts itself."""
        pools = cls()
        for entry in record.pools:
            pools._add(FamilyPool.from_record(entry))
        return pools
