"""Addresses for a session: of its networks, and, with `ping-leases`, such that nobody else answers there."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable

from ..config.server import ServerOptions
from ..config.session import SessionConfig
from ..model import Lease, SessionId, short
from ..state.ip_pool import IpPool, PoolExhausted, Pools, seed_of
from ..system.ping import answers

_log = logging.getLogger(__name__)

PING_WITHIN = 1.0
"""Seconds that an answer may take. On a network nearby it comes within milliseconds."""

PING_TRIES = 4

SHUNNED_FOR = 600.0
"""Seconds for which an address is given to nobody where somebody else has answered."""


class Leases:
    """Takes and releases. ping: whether somebody answers at an address, within so many seconds."""

    def __init__(
        self,
        options: Callable[[], ServerOptions],
        pools: Pools,
        ping: Callable[[str, float], Awaitable[bool]] = answers,
    ) -> None:
        self._options = options
        self._pools = pools
        self._ping = ping

    async def take(
        self, sid: SessionId, username: str, last: Lease, config: SessionConfig, want4: bool, want6: bool
    ) -> Lease:
        """The session's addresses; `last` are those that it had. Raises PoolExhausted, and SystemFailure where nobody
        can be pinged: the session may have addresses then."""
        for _ in range(PING_TRIES):
            lease = self._lease(sid, username, last, config, want4=want4, want6=want6)
            # What is always its user's, and what it had already, is not asked about.
            mine = config.explicit_ipv4 or lease.ipv4 is None or lease.ipv4 == last.ipv4
            if mine or not self._options().ping_leases or not await self._is_taken(lease):
                return lease
            self._shun(sid, lease, config)
        raise PoolExhausted(f"somebody answers at each of {PING_TRIES} addresses")

    def release(self, sid: SessionId, hold_until: float) -> None:
        """They wait for the session until then."""
        self._pools.release(sid, hold_until)

    async def _is_taken(self, lease: Lease) -> bool:
        assert lease.ipv4 is not None
        return await self._ping(lease.ipv4.remote, PING_WITHIN)

    def _shun(self, sid: SessionId, lease: Lease, config: SessionConfig) -> None:
        assert lease.ipv4 is not None
        _log.warning("somebody answers at %s already: session %s gets another", lease.ipv4.remote, short(sid))
        pool = self._pool(config).ipv4
        if pool is not None:
            pool.shun(sid, time.time() + SHUNNED_FOR)

    def _lease(
        self, sid: SessionId, username: str, last: Lease, config: SessionConfig, *, want4: bool, want6: bool
    ) -> Lease:
        return self._pool(config).lease(
            sid,
            seed_of(username) if config.predictable_ips else os.urandom(4),
            last,
            want4=want4,
            want6=want6,
            random=os.urandom,
            now=time.time(),
            explicit4=config.explicit_ipv4,
            explicit6=config.explicit_ipv6,
        )

    def _pool(self, config: SessionConfig) -> IpPool:
        return self._pools.get(config.ipv4_network, config.ipv6_network, config.ipv6_subnet_prefix)
