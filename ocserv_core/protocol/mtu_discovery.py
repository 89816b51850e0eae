"""How large a packet the path to a client really carries by UDP: the server's own discovery, after RFC 8899.

Only with try-mtu-discovery, where the worker's UDP socket forbids fragmentation. The worker sleeps until
`next_deadline()`, sends what `on_deadline` says, and tells what it hears. Times are seconds of one clock of the
caller's choice, sizes bytes of an inner packet; a probe is a DPD request over DTLS with a payload of that size.
"""

from __future__ import annotations

import math

from .mtu import MIN_IPV6

TRIES = 3
"""Probes of one size before it counts as lost (RFC 8899 §5.1.2, MAX_PROBES)."""

INTERVAL = 1.0
"""Seconds that an answer is waited for."""

AGAIN = 660.0
"""Seconds until the whole search is made again: a path may have become wider, or narrower without a word. Linux
forgets after 600 what routers said of a path."""

GRAIN = 8
"""The search ends when it is so near."""

_FLOOR = 576
"""What every IPv4 path carries; openconnect does not go below it either."""


def floor_of(*, inner_ipv6: bool) -> int:
    """The smallest data MTU that a session can live with."""
    return MIN_IPV6 if inner_ipv6 else _FLOOR


class MtuDiscovery:
    """The search of one tunnel; it rests until `restart`.

    `offer` is the data MTU that the client was told, `overhead` what an outer packet has beside the inner one.
    An answer does not say which probe it is for: openconnect answers one byte to any size. So one size is under
    way at a time, and the worker sends no other DPD request over DTLS while `waiting`.
    """

    def __init__(self, offer: int, *, overhead: int, floor: int) -> None:
        self._offer = offer
        self._overhead = overhead
        self._floor = min(floor, offer)
        self._data_mtu = offer
        self._too_narrow = False
        self._began = 0.0
        self._bound(offer)
        self._rest(math.inf)

    @property
    def data_mtu(self) -> int:
        """The largest inner packet to send now: between the floor and the offer."""
        return self._data_mtu

    @property
    def waiting(self) -> bool:
        """Whether a DPD response over DTLS is the answer to a probe."""
        return self._tries > 0

    @property
    def too_narrow(self) -> bool:
        """Whether not even the floor goes through: then DTLS is of no use on this path."""
        return self._too_narrow

    def restart(self, now: float) -> None:
        """A DTLS session is up, or has a new path: search, from the offer downward."""
        self._too_narrow = False
        self._bound(self._offer)
        self._aim(self._offer, now)

    def stop(self) -> None:
        """The DTLS session is gone; `data_mtu` stays."""
        self._rest(math.inf)

    def next_deadline(self) -> float:
        """When `on_deadline` is to be called next; infinity while it rests for ever."""
        return self._due

    def on_deadline(self, now: float, last_rx: float = -math.inf) -> int | None:
        """The size of the probe to send now, None where there is none. Called too early it returns None. last_rx: when
        anything came by DTLS."""
        if now < self._due:
            return None
        if not self._size:
            self.restart(now)
        elif self._tries == TRIES:
            self._on_lost(now, last_rx)
        return self._try(now) if self._size else None

    def on_answer(self, now: float) -> None:
        """A DPD response came over DTLS."""
        if not self.waiting:
            return
        # One of several probes is answered; before a larger one, the others' answers must have had their time.
        settled = now + (now - self._began if self._tries > 1 else 0.0)
        self._carry(self._size)
        self._search(settled)

    def on_peer_probe(self, size: int) -> None:
        """A DPD request with a payload of `size` bytes came over DTLS: where that is more than we send, the path
        carries it."""
        size = min(size, self._ceiling)
        if size > self._data_mtu:
            self._carry(size)

    def on_too_big(self, path_mtu: int | None, now: float) -> None:
        """The kernel refused a datagram (EMSGSIZE). `path_mtu` is IP_MTU of the socket, of an outer packet; without
        it what was just sent is too big."""
        sent = self._size if self.waiting else self._data_mtu
        room = sent - 1 if path_mtu is None else path_mtu - self._overhead
        if room >= self._ceiling:
            return
        self._too_narrow = room < self._floor
        self._bound(max(room, self._floor))
        # Without a number the next try goes half the way down, not a byte.
        size = (self._floor + self._ceiling) // 2 if path_mtu is None else self._ceiling
        self._data_mtu = min(self._data_mtu, size)
        if self._too_narrow:
            self._rest(now + AGAIN)
        else:
            self._aim(size, now)

    # ---- the search: the path carries `_low` (or that is the floor), and does not carry `_high`

    def _bound(self, ceiling: int) -> None:
        """Nothing is known but that more than `ceiling` is not to be tried."""
        self._ceiling = ceiling
        self._low, self._high = self._floor, ceiling + 1
        self._proved = False

    def _carry(self, size: int) -> None:
        self._low = max(self._low, size)
        self._high = max(self._high, self._low + 1)
        self._proved = True
        self._data_mtu = max(self._data_mtu, size)

    def _on_lost(self, now: float, last_rx: float) -> None:
        """No answer to any probe of this size."""
        if self._proved and self._size <= self._low:
            # The peer's own probe came through meanwhile.
            self._search(now)
        elif self._size > self._floor:
            self._high = self._size
            self._search(now)
        else:
            # Not even the smallest is answered: of a peer that is heard all the same, that is the size's fault.
            self._too_narrow = last_rx > self._began
            self._rest(now + AGAIN)

    def _search(self, now: float) -> None:
        """The next size, or the end. Until something was answered no loss is the size's fault."""
        if not self._proved:
            self._aim(self._floor, now)
            return
        if self._high - self._low <= GRAIN:
            self._data_mtu = self._low
            self._rest(now + AGAIN)
            return
        middle = (self._low + self._high) // 2
        if self._data_mtu >= self._high:
            self._data_mtu = middle
        self._aim(self._data_mtu if self._data_mtu > self._low else middle, now)

    def _aim(self, size: int, due: float) -> None:
        self._size, self._tries, self._due = size, 0, due

    def _try(self, now: float) -> int:
        if not self._tries:
            self._began = now
        self._tries += 1
        self._due = now + INTERVAL
        return self._size

    def _rest(self, until: float) -> None:
        self._size, self._tries, self._due = 0, 0, until
