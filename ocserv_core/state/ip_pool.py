"""Which session has which addresses: a vhost's networks, and the registry of all pools.

main asks `Pools.get` for a vhost's networks and leases from what it gets. Vhosts that name the same network share
its pool, and networks that overlap see each other's leases.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable

import msgspec

from ..model import AddressPair, Lease, SessionId
from .family_pool import FamilyPool, Network, PoolExhausted, PoolRecord, Random, sha1

__all__ = ["IpPool", "PoolExhausted", "Pools", "PoolsRecord", "seed_of"]


def seed_of(username: str) -> bytes:
    """The seed of predictable-ips: the same address for the same user, wherever it is free."""
    return hashlib.sha256(username.encode()).digest()[:4]


EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
"""Addresses that a user always has (explicit-ipv4, explicit-ipv6) may be of any network: they are leased from a pool of
all addresses, which overlaps every other and so sees its leases, as those see its own."""

NONE_AT_ALL = ("0.0.0.0", "::")  # noqa: S104 (nothing is bound to it)
"""As an explicit address: this family is not given."""


class IpPool:
    """The networks of a vhost, one pool for each family that it has. explicit: the pool of explicit addresses of a
    family."""

    def __init__(
        self, ipv4: FamilyPool | None, ipv6: FamilyPool | None, explicit: Callable[[int], FamilyPool] | None = None
    ) -> None:
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self._explicit = explicit

    def lease(
        self,
        owner: SessionId,
        seed: bytes,
        wish: Lease,
        want4: bool,
        want6: bool,
        random: Random,
        now: float,
        explicit4: str | None = None,
        explicit6: str | None = None,
    ) -> Lease:
        """Addresses for a session, the same for the same owner.

        seed: 4 bytes, `seed_of(username)` for predictable-ips, else random. wish: what the session had last, or what
        the client asked for; random(n): n random bytes. explicit4, explicit6: this address and no other, or one of
        NONE_AT_ALL. Raises PoolExhausted, and has then leased nothing.
        """
        want4, want6 = want4 and explicit4 not in NONE_AT_ALL, want6 and explicit6 not in NONE_AT_ALL
        pools = [self.ipv4, self.ipv6, self._for(explicit4, 4), self._for(explicit6, 6)]
        before = [pool for pool in pools if pool is not None and pool.holds_lease(owner)]
        try:
            ipv4 = self._of_family(self.ipv4, explicit4, owner, seed, wish.ipv4, random, now) if want4 else None
            first6 = sha1(seed)[:16]
            ipv6 = self._of_family(self.ipv6, explicit6, owner, first6, wish.ipv6, random, now) if want6 else None
        except PoolExhausted:
            for pool in pools:
                if pool is not None and pool not in before:
                    pool.release(owner, 0)
            raise
        if ipv4 is None and ipv6 is None:
            raise PoolExhausted("there is no network of the family that the client asked for")
        return Lease(ipv4, ipv6)

    def _for(self, explicit: str | None, version: int) -> FamilyPool | None:
        return self._explicit(version) if explicit is not None and self._explicit is not None else None

    def _of_family(
        self,
        pool: FamilyPool | None,
        explicit: str | None,
        owner: SessionId,
        first: bytes,
        wish: AddressPair | None,
        random: Random,
        now: float,
    ) -> AddressPair | None:
        if pool is None:
            return None
        everything = self._for(explicit, pool.network.version)
        if explicit is not None and everything is not None:
            return _claim(everything, pool, explicit, owner)
        return pool.lease(owner, first, wish.remote if wish else "", random, now)

    def release(self, owner: SessionId, hold_until: float) -> None:
        """The session's last connection ended; its addresses wait for it until `hold_until`."""
        for pool in (self.ipv4, self.ipv6):
            if pool is not None:
                pool.release(owner, hold_until)


def _claim(everything: FamilyPool, pool: FamilyPool, address: str, owner: SessionId) -> AddressPair:
    """An explicit address; the other end of the tunnel is the server's in the vhost's network."""
    if pool.is_reserved(address):
        raise PoolExhausted(f"{address} cannot be a client's: it is the network's or the server's own")
    pool.release(owner, 0)
    if not everything.holds(owner, address):
        everything.release(owner, 0)
        if not everything.claim(owner, address):
            raise PoolExhausted(f"{address} is another session's")
    prefix = pool.network.prefixlen if pool.network.version == 4 else pool.prefix
    return AddressPair(pool.server, address, prefix)


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
            self._everything,
        )

    def _everything(self, version: int) -> FamilyPool:
        network = ipaddress.ip_network(EVERYTHING[version])
        return self._family(network, network.max_prefixlen)

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
