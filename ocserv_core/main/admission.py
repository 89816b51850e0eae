"""Whether a connection is served at all, decided before anything is forked for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from ..config.server import ServerOptions
from ..model import Offence
from ..state.bans import BanRules, Bans, Points

_log = logging.getLogger(__name__)

RESUME_BELOW = 0.9
"""After `max-clients` was reached, accepting goes on when fewer than this share are connected."""


SWEEP_EVERY = 900.0


class Admission:
    """Counts workers, those before their login too, against `max-clients` (0: no limit), and points of addresses
    against `max-ban-score`. `options` gives those of the moment, so a reload needs no word; bans survive it.

    `on_banned` hears of an address that is banned from now on.
    """

    def __init__(
        self,
        options: Callable[[], ServerOptions],
        bans: Bans,
        on_banned: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._bans = bans
        self._on_banned = on_banned
        self._clock = clock
        self._full = False

    # ---- room

    def refuses(self, workers: int) -> bool:
        """Whether a further connection must be refused while there are `workers`."""
        limit = self._options().max_clients
        if not limit:
            return False
        if workers >= limit:
            self._full = True
        elif workers < limit * RESUME_BELOW:
            self._full = False
        return self._full

    # ---- addresses

    def refuses_address(self, ip: str, *, counts: bool = True) -> bool:
        """A client connects from `ip`, as the kernel or a trusted PROXY header says: whether it is refused, which is
        logged. The connection counts, also one that is refused, but for neighbours, who cannot be banned, and for a
        balancer, which looks after our health every other second."""
        banned = self.is_banned(ip)
        if counts and not self._bans.exempts(ip):
            self._add(ip, self._options().ban_points_connection)
        if banned:
            # These words are matched by fail2ban and the like: they are the C server's.
            _log.info("rejected connection from banned IP: %s", ip)
        return banned

    def is_banned(self, ip: str) -> bool:
        """Whether nobody from there is served now; nothing is counted."""
        return self._bans.is_banned(ip, self._rules(), self._clock())

    def add_points(self, ip: str, offence: Offence) -> None:
        """A client at this address has offended."""
        options = self._options()
        points = {
            Offence.PASSWORD: options.ban_points_wrong_password,
            Offence.KKDCP: options.ban_points_kkdcp,
        }
        self._add(ip, points[offence])

    def unban(self, ip: str) -> bool:
        """Forgive an address; whether anything was known of it. ValueError where it is none."""
        known = self._bans.unban(ip)
        if known:
            _log.info("unbanning IP '%s'", ip)
        return known

    def sweep(self) -> None:
        """Forget what means nothing any more."""
        self._bans.sweep(self._rules(), self._clock())

    async def run(self) -> None:
        """Sweep now and then, until it is cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self.sweep()

    def banned(self) -> Sequence[Points]:
        """The addresses that are banned now."""
        return self._bans.banned(self._rules(), self._clock())

    def known(self) -> Sequence[Points]:
        """Every address that has points, or had some."""
        return self._bans.known()

    def _rules(self) -> BanRules:
        options = self._options()
        return BanRules(options.max_ban_score, options.ban_time, options.ban_reset_time)

    def _add(self, ip: str, points: int) -> None:
        rules, now = self._rules(), self._clock()
        was = self._bans.is_banned(ip, rules, now)
        entry = self._bans.add(ip, points, rules, now)
        if entry is None:
            return
        if not entry.banned(rules, now):
            _log.debug("added %d points (total %d) for IP '%s' to ban list", points, entry.score, entry.ip)
        elif not was and not self._bans.exempts(ip):
            until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.until))
            said = "added IP '%s' (with score %d) to ban list, will be reset at: %s"
            _log.info(said, entry.ip, entry.score, until)
            self._on_banned(entry.ip)
