"""All address pools of the server, by network: what main asks for a vhost's pool, and what an upgrade hands over.

Vhosts that name the same network share its pool; networks that overlap are told of each other.
"""

from __future__ import annotations

import ipaddress

import msgspec

from ..model import SessionId
from .ip_pool import FamilyPool, IpPool, Network, PoolRecord


class PoolsRecord(msgspec.Struct, frozen=True):
    """Every pool, written out."""

    pools: list[PoolRecord]


class Pools:
    """The registry. A pool lives as long as the server, so that a reload keeps every lease."""

    def __init__(self) -> None:
        self._families: dict[tuple[Network, int], FamilyPool] = {}

    def get(
        self,
        ipv4: ipaddress.IPv4Network | None,
        ipv6: ipaddress.IPv6Network | None,
        ipv6_subnet_prefix: int = 128,
    ) -> IpPool:
        """The pool of these networks. Raises ValueError where a client's subnet is larger than the network."""
        return IpPool(
            self._family(ipv4, 32) if ipv4 is not None else None,
            self._family(ipv6, ipv6_subnet_prefix) if ipv6 is not None else None,
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

    def release(self, owner: SessionId, hold_until: float, now: float) -> None:
        """The session's last connection ended, in whatever pools its addresses are."""
        for pool in self._families.values():
            pool.release(owner, hold_until, now)

    def sweep(self, now: float) -> None:
        """Forget the holds that are over."""
        for pool in self._families.values():
            pool.sweep(now)

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
