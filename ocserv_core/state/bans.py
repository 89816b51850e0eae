"""Points for addresses, and who is banned for them. Used by main's admission.

An IPv4 address counts by itself, an IPv6 address by its /64, which is one customer's. Who has `max_score` points is
banned for `time` seconds from the point that reached it; more points lengthen no ban. Points are forgotten when the ban
is over, or `reset` seconds after the first of them, at the next point.

Times are Unix seconds. Only what a client can use an address for makes an entry, and at most `capacity` are kept: of
more, those fall out that were seen longest ago, and who is banned falls out last.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Sequence

import msgspec

CAPACITY = 16_384
"""Addresses with points: some 5 MB, and more than a ban list of a day has."""

LOOKED_AT = 16
"""Entries that are looked at for one that may fall out: a flood costs no more than that each."""

MAX_SCORE = 2**31 - 1
"""Of who goes on when he is banned."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BanRules(msgspec.Struct, frozen=True):
    """max-ban-score (0: nobody is banned and nothing counted), ban-time and ban-reset-time in seconds."""

    max_score: int
    time: float
    reset: float


class Points(msgspec.Struct):
    """What an address has. `since` is when its counting began, `until` when its ban is over, if it is banned."""

    ip: str
    score: int
    since: float
    until: float

    def banned(self, rules: BanRules, now: float) -> bool:
        """Whether it is banned now."""
        return 0 < rules.max_score <= self.score and now <= self.until


class Bans:
    """`exempt`: networks from which nobody is ever banned, though points are kept."""

    def __init__(self, exempt: Iterable[Network] = (), capacity: int = CAPACITY) -> None:
        self._exempt = tuple(exempt)
        self._capacity = capacity
        self._by_ip: dict[str, Points] = {}

    def __len__(self) -> int:
        return len(self._by_ip)

    def exempts(self, ip: str) -> bool:
        """Whether nobody at this address is banned."""
        return bool(self._exempt) and _is_in(ip, self._exempt)

    def add(self, ip: str, points: int, rules: BanRules, now: float) -> Points | None:
        """Count points; what the address has now, or None where nothing is counted."""
        if not rules.max_score or not points:
            return None
        key = ban_key(ip)
        entry = self._by_ip.pop(key, None)
        if entry is None:
            self._make_room(rules, now)
            entry = Points(key, 0, now, 0.0)
        elif _is_over(entry, rules, now):
            entry.score, entry.since = 0, now
        if entry.score < rules.max_score:
            entry.until = now + rules.time
        entry.score = min(entry.score + points, MAX_SCORE)
        self._by_ip[key] = entry
        return entry

    def is_banned(self, ip: str, rules: BanRules, now: float) -> bool:
        """Whether who is at this address is served."""
        if not rules.max_score or not self._by_ip:
            return False
        entry = self._by_ip.get(ban_key(ip))
        return entry is not None and entry.banned(rules, now) and not self.exempts(ip)

    def unban(self, ip: str) -> bool:
        """Forgive an address; whether it had an entry, which stays without points. ValueError where `ip` is none."""
        entry = self._by_ip.get(ban_key(ip))
        if entry is None:
            return False
        entry.score, entry.until = 0, 0.0
        return True

    def known(self) -> Sequence[Points]:
        """Every entry, those without points too; the one that was seen longest ago first."""
        return list(self._by_ip.values())

    def banned(self, rules: BanRules, now: float) -> Sequence[Points]:
        """Those that are banned now."""
        return [entry for entry in self._by_ip.values() if entry.banned(rules, now) and not self.exempts(entry.ip)]

    def sweep(self, rules: BanRules, now: float) -> None:
        """Drop what means nothing any more."""
        over = [ip for ip, e in self._by_ip.items() if now > e.until and now > e.since + rules.reset]
        for ip in over:
            del self._by_ip[ip]

    def _make_room(self, rules: BanRules, now: float) -> None:
        if len(self._by_ip) < self._capacity:
            return
        for _ in range(min(LOOKED_AT, len(self._by_ip))):
            oldest = next(iter(self._by_ip))
            entry = self._by_ip.pop(oldest)
            if not entry.banned(rules, now):
                return
            self._by_ip[oldest] = entry
        del self._by_ip[next(iter(self._by_ip))]


@functools.lru_cache(1024)
def ban_key(ip: str) -> str:
    """By what an address is counted. ValueError where it is none."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


def _is_over(entry: Points, rules: BanRules, now: float) -> bool:
    """A ban has its own end; points that are no ban are forgotten some time after the first."""
    if entry.score >= rules.max_score:
        return now > entry.until
    return now > entry.since + rules.reset


def _is_in(ip: str, networks: Iterable[Network]) -> bool:
    address = ipaddress.ip_address(ip)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)
