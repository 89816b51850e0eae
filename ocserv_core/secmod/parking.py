"""Which logins wait for their user, by the client's address: so many of one address and no more, so that a stranger
without a password fills nobody's table but his own. Kept by conversation.py; reads no clock."""

from __future__ import annotations

import ipaddress

MAX_PARKED = 32
"""Logins of one address that wait for their user; with one more the oldest falls out."""

ORPHAN_LIFE = 30.0
"""Seconds that a parked login outlives its connection: clients that go on come back at once."""


class Parking:
    """The parked logins by their handles, the oldest of an address first."""

    def __init__(self, limit: int = MAX_PARKED) -> None:
        self._limit = limit
        self._parked: dict[str, dict[str, None]] = {}
        self._network: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._network)

    def park(self, handle: str, ip: str) -> str | None:
        """A login of this address begins to wait. The handle of the one that must go for it, if any."""
        self.leave(handle)
        network = network_of(ip)
        row = self._parked.setdefault(network, {})
        fallen = next(iter(row)) if len(row) >= self._limit else None
        if fallen is not None:
            self.leave(fallen)
            row = self._parked.setdefault(network, {})
        row[handle] = None
        self._network[handle] = network
        return fallen

    def leave(self, handle: str) -> None:
        """It does not wait any more, or is over."""
        network = self._network.pop(handle, None)
        if network is not None:
            del self._parked[network][handle]
            if not self._parked[network]:
                del self._parked[network]


def network_of(ip: str) -> str:
    """Whom an address stands for: itself in IPv4; in IPv6 its /64, all of which one client may have."""
    address = ipaddress.ip_address(ip)
    return ip if address.version == 4 else str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))


def orphan_deadline(own: float, now: float) -> float:
    """Until when (loop time) a parked login may live whose connection went now; `own` is its deadline."""
    return min(own, now + ORPHAN_LIFE)
