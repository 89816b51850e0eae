"""One family's addresses: which session has which unit of a network.

A unit is an IPv4 address, or an IPv6 subnet of `ipv6-subnet-prefix` bits; unit 0 begins at the network address. The
server's own address is the network's with its last bit set. Used by ip_pool.py alone.

An owner keeps what it has: a lease asked for again is the same lease, and a released unit is held for its owner for
a while, unless nothing else is free.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
from collections.abc import Callable, Iterator

import msgspec

from ..errors import OcservError
from ..model import AddressPair, SessionId

TRIES = 16
"""Candidates before the pool is searched: the seed, four links of its SHA-1 chain, then random ones."""

CHAINED_TRIES = 5

MAX_FOREIGN = 1 << 16
"""How far a search goes on because of leases in overlapping networks, which should not be configured at all."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Random = Callable[[int], bytes]


def sha1(data: bytes) -> bytes:
    """20 bytes; it spreads candidates over the network and protects nothing."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


class PoolExhausted(OcservError):
    """No address is left, or none of the kind that the client asked for. The client may try again later (503)."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A released address that waits for its owner until `until`."""

    address: str
    owner: SessionId
    until: float


class PoolRecord(msgspec.Struct, frozen=True):
    """One family's pool, written out. `prefix` is the length of a unit; leases are (address, owner)."""

    network: str
    prefix: int
    leased: list[tuple[str, SessionId]]
    held: list[Held]


class FamilyPool:
    """The units of one network. `prefix` is the length of a unit: 32 for IPv4, a client's subnet for IPv6."""

    def __init__(self, network: Network, prefix: int) -> None:
        bits = network.max_prefixlen
        if not network.prefixlen <= prefix <= bits:
            raise ValueError(f"a unit of /{prefix} does not fit into {network}")
        self.network = network
        self.prefix = prefix
        self.server = str(network.network_address + 1 if network.prefixlen < bits else network.network_address)
        self.rivals: list[FamilyPool] = []
        self._base = int(network.network_address)
        self._shift = bits - prefix
        self._count = 1 << (prefix - network.prefixlen)
        self._mask = self._count - 1
        self._reserved = self._reserved_units()
        self._leased: dict[int, SessionId] = {}
        self._held: dict[int, tuple[SessionId, float]] = {}
        self._lease_of: dict[SessionId, int] = {}
        self._hold_of: dict[SessionId, int] = {}

    def _reserved_units(self) -> frozenset[int]:
        """Network and server address; the broadcast address where there is such a thing."""
        server = (int(ipaddress.ip_address(self.server)) - self._base) >> self._shift
        broadcast = {self._count - 1} if self.network.version == 4 else set()
        return frozenset({0, server} | broadcast)

    # ---- leases

    def lease(self, owner: SessionId, first: bytes, wish: str, random: Random, now: float) -> AddressPair:
        """The owner's address: what it has, what is held for it, what it wishes, else a free one.

        first: the first candidate (4 or 16 bytes, big-endian). Raises PoolExhausted.
        """
        self._drop_oldest_holds(now)
        unit = self._lease_of.get(owner)
        if unit is None:
            unit = self._choose(owner, first, wish, random, now)
            self._take(unit, owner)
        return self.pair(unit)

    def _choose(self, owner: SessionId, first: bytes, wish: str, random: Random, now: float) -> int:
        wanted = [unit for unit in (self._hold_of.get(owner), self.unit_of(wish)) if unit is not None]
        for unit in itertools.chain(wanted, self._candidates(first, random)):
            if self._is_free(unit, owner, now):
                return unit
        found = self._search(self._unit_from(first), owner, now)
        if found is None:
            found = next((unit for unit in self._held if not self._is_contested(unit)), None)
        if found is None:
            raise PoolExhausted(f"no address is left in {self.network}")
        return found

    def _candidates(self, first: bytes, random: Random) -> Iterator[int]:
        candidate = first
        for attempt in range(TRIES):
            if attempt > 0:
                chained = attempt < CHAINED_TRIES
                candidate = sha1(candidate)[: len(first)] if chained else random(len(first))
            yield self._unit_from(candidate)

    def _unit_from(self, candidate: bytes) -> int:
        return (int.from_bytes(candidate) >> self._shift) & self._mask

    def _search(self, start: int, owner: SessionId, now: float) -> int | None:
        """The first free unit from `start` on. Among one more than are taken there is a free one, if any is."""
        self.sweep(now)
        taken = len(self._leased) + len(self._held) + len(self._reserved)
        if taken >= self._count:
            return None
        foreign = min(sum(rival.units_in(self) for rival in self.rivals), MAX_FOREIGN)
        for step in range(min(self._count, taken + foreign + 1)):
            unit = (start + step) & self._mask
            if self._is_free(unit, owner, now):
                return unit
        return None

    def _is_free(self, unit: int, owner: SessionId, now: float) -> bool:
        if unit in self._reserved or unit in self._leased:
            return False
        hold = self._held.get(unit)
        if hold is not None and hold[0] != owner and hold[1] > now:
            return False
        return not self._is_contested(unit)

    def _is_contested(self, unit: int) -> bool:
        first = self._base + (unit << self._shift)
        last = first + (1 << self._shift) - 1
        return any(rival.has_leased(first, last) for rival in self.rivals)

    def _take(self, unit: int, owner: SessionId) -> None:
        self._forget_hold(unit)
        self._forget_hold(self._hold_of.get(owner, -1))
        self._leased[unit] = owner
        self._lease_of[owner] = unit

    def _forget_hold(self, unit: int) -> None:
        hold = self._held.pop(unit, None)
        if hold is not None:
            del self._hold_of[hold[0]]

    def shun(self, owner: SessionId, until: float) -> None:
        """Somebody else is at the owner's address: nobody gets it until then, as long as others are free."""
        unit = self._lease_of.get(owner)
        if unit is not None:
            stranger = SessionId(f"somebody at {self.pair(unit).remote}")
            self.release(owner, 0)
            self._take(unit, stranger)
            self.release(stranger, until)

    def release(self, owner: SessionId, hold_until: float) -> None:
        """The owner's last connection ended; its address is held for it until `hold_until` (0: not at all)."""
        unit = self._lease_of.pop(owner, None)
        if unit is None:
            return
        del self._leased[unit]
        if hold_until > 0:
            self._held[unit] = (owner, hold_until)
            self._hold_of[owner] = unit

    def _drop_oldest_holds(self, now: float) -> None:
        """Holds end about in the order in which they began, so that the rest is for `sweep`."""
        while self._held and next(iter(self._held.values()))[1] <= now:
            self._forget_hold(next(iter(self._held)))

    def claim(self, owner: SessionId, address: str) -> bool:
        """Take exactly this address for the owner, even one that is held; False where another has it."""
        unit = self.unit_of(address)
        if unit is None or self._leased.get(unit, owner) != owner or self._is_contested(unit):
            return False
        if self._lease_of.get(owner, unit) != unit:
            return False
        self._take(unit, owner)
        return True

    def sweep(self, now: float) -> None:
        """Forget the holds that are over."""
        for unit in [unit for unit, (_, until) in self._held.items() if until <= now]:
            self._forget_hold(unit)

    # ---- what a unit is

    def unit_of(self, address: str) -> int | None:
        """The unit that contains `address`; None where it is no address of this network."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return None
        if parsed.version != self.network.version or parsed not in self.network:
            return None
        return (int(parsed) - self._base) >> self._shift

    def pair(self, unit: int) -> AddressPair:
        """The two ends of a tunnel that has this unit. A client's address is the first host of its subnet."""
        number = self._base + (unit << self._shift) + (1 if self._shift else 0)
        if self.network.version == 4:
            return AddressPair(self.server, str(ipaddress.IPv4Address(number)), self.network.prefixlen)
        return AddressPair(self.server, str(ipaddress.IPv6Address(number)), self.prefix)

    def has_leased(self, first: int, last: int) -> bool:
        """Whether an address from `first` to `last` is leased here."""
        low = max((first - self._base) >> self._shift, 0)
        high = min((last - self._base) >> self._shift, self._count - 1)
        if high - low < len(self._leased):
            return any(unit in self._leased for unit in range(low, high + 1))
        return any(low <= unit <= high for unit in self._leased)

    def units_in(self, other: FamilyPool) -> int:
        """At most so many units of `other` are taken by the leases here."""
        return len(self._leased) << max(other.prefix - self.prefix, 0)

    def holds_lease(self, owner: SessionId) -> bool:
        """Whether the owner has an address here."""
        return owner in self._lease_of

    def holds(self, owner: SessionId, address: str) -> bool:
        """Whether the owner has just this address."""
        unit = self.unit_of(address)
        return unit is not None and self._leased.get(unit) == owner

    def is_reserved(self, address: str) -> bool:
        """Whether no client may have it."""
        return self.unit_of(address) in self._reserved

    def overlaps(self, other: FamilyPool) -> bool:
        """Whether an address may be in both."""
        mine, theirs = self.network, other.network
        return mine.version == theirs.version and (mine[0] in theirs or theirs[0] in mine)

    def __len__(self) -> int:
        """How many units are leased."""
        return len(self._leased)

    # ---- writing out

    def record(self) -> PoolRecord:
        """This pool as plain data."""
        leased = [(self.pair(unit).remote, owner) for unit, owner in self._leased.items()]
        held = [Held(self.pair(unit).remote, owner, until) for unit, (owner, until) in self._held.items()]
        return PoolRecord(str(self.network), self.prefix, leased, held)

    @classmethod
    def from_record(cls, record: PoolRecord) -> FamilyPool:
        """The pool that `record` was made of. Raises ValueError for data that contradicts itself."""
        pool = cls(ipaddress.ip_network(record.network), record.prefix)
        for address, owner in record.leased:
            if not pool.claim(owner, address):
                raise ValueError(f"{address} is leased twice in {record.network}")
        for hold in record.held:
            unit = pool.unit_of(hold.address)
            if unit is None:
                raise ValueError(f"{hold.address} is not in {record.network}")
            pool._held[unit] = (hold.owner, hold.until)
            pool._hold_of[hold.owner] = unit
        return pool
