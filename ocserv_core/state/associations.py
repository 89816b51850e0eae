"""Whose a datagram is, as far as main can know: the connections by DTLS id and by address, and the searches for the
one whose keys open a record.

Nothing here grows by what strangers send: there is an entry for a worker, one for an address that workers are
behind, and a bounded number of searches. `now` is in seconds of a steady clock.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from ..model import Endpoint

HELLO_PAUSE = 3.0
"""Seconds after a hello was passed on in which another for the same worker is dropped: clients repeat themselves."""

MAX_CANDIDATES = 16
"""Workers that are asked in one search."""

SEARCHES_A_SECOND = 4
"""Of one address."""

MAX_SEARCHES = 64
"""At once."""

MAX_OWED = 8
"""Answers that a worker may owe; it is not asked more."""


@dataclass(slots=True)
class _Association:
    """`ip` is where the client has shown that it is; `hello_from` where the last hello came from, which proves nothing:
    its id goes over the wire in the clear. `passed`: when one was passed on, from `ip` and from anywhere else."""

    dtls_id: bytes
    ip: str
    hello_from: str = ""
    passed: dict[bool, float] = field(default_factory=lambda: {True: -math.inf, False: -math.inf})


@dataclass(slots=True)
class _Address:
    """`workers` in the order in which they are asked; `searched`: when searches began, the last few."""

    workers: dict[int, None] = field(default_factory=dict)
    searched: deque[float] = field(default_factory=lambda: deque(maxlen=SEARCHES_A_SECOND))


class Associations:
    """The workers that may have DTLS. Each is behind one address: its last one by UDP, before that by TCP."""

    def __init__(self) -> None:
        self._by_worker: dict[int, _Association] = {}
        self._by_id: dict[bytes, int] = {}
        self._addresses: dict[str, _Address] = {}

    def __len__(self) -> int:
        return len(self._by_worker)

    def add(self, worker: int, dtls_id: bytes, ip: str) -> None:
        """A tunnel is up; its client was told the id, and comes from `ip` by TCP."""
        self._by_worker[worker] = _Association(dtls_id, ip)
        self._by_id[dtls_id] = worker
        self._enter(worker, ip)

    def remove(self, worker: int) -> None:
        """The connection has ended, if it was one that may have DTLS."""
        association = self._by_worker.pop(worker, None)
        if association is not None:
            del self._by_id[association.dtls_id]
            self._leave(worker, association.ip)

    def move(self, worker: int, ip: str) -> None:
        """The worker's client has shown itself at `ip`."""
        association = self._by_worker[worker]
        if association.ip != ip:
            self._leave(worker, association.ip)
            association.ip = ip
            self._enter(worker, ip)

    def owner(self, dtls_id: bytes, ip: str, now: float) -> int | None:
        """The worker that a hello of this id from `ip` is for, if it is to have one now. Whoever has seen a hello can
        repeat it from elsewhere, so the client's own address has a pause of its own."""
        worker = self._by_id.get(dtls_id)
        if worker is None:
            return None
        association = self._by_worker[worker]
        return worker if now - association.passed[ip == association.ip] >= HELLO_PAUSE else None

    def hello_passed(self, worker: int, ip: str, now: float) -> None:
        """A hello from `ip` was passed on to the worker."""
        association = self._by_worker[worker]
        association.passed[ip == association.ip] = now
        association.hello_from = ip

    def established(self, worker: int) -> None:
        """The worker has DTLS with its client: the last hello was its."""
        association = self._by_worker.get(worker)
        if association is not None and association.hello_from:
            self.move(worker, association.hello_from)
            association.hello_from = ""

    def begin_search(self, ip: str, now: float) -> tuple[int, ...]:
        """The candidates behind an address, MAX_CANDIDATES at most; none where it had its searches of this second.
        Where there are more, the next search asks the others."""
        address = self._addresses.get(ip)
        if address is None or _is_used_up(address.searched, now):
            return ()
        address.searched.append(now)
        chosen = tuple(islice(address.workers, MAX_CANDIDATES))
        for worker in chosen:
            del address.workers[worker]
            address.workers[worker] = None
        return chosen

    def _enter(self, worker: int, ip: str) -> None:
        self._addresses.setdefault(ip, _Address()).workers[worker] = None

    def _leave(self, worker: int, ip: str) -> None:
        workers = self._addresses[ip].workers
        del workers[worker]
        if not workers:
            del self._addresses[ip]


def _is_used_up(searched: deque[float], now: float) -> bool:
    return len(searched) == SEARCHES_A_SECOND and now - searched[0] < 1.0


class Flow(NamedTuple):
    """The two ends of a datagram's way."""

    local: Endpoint
    remote: Endpoint


class Search(NamedTuple):
    """Candidates to be asked one after another. `number` is never 0, and never used again."""

    number: int
    flow: Flow
    candidates: tuple[int, ...]


class Searches:
    """The searches that run, one for a flow, and the answers that workers owe, also to searches that are over."""

    def __init__(self, associations: Associations) -> None:
        self._associations = associations
        self._running: set[Flow] = set()
        self._owed: dict[int, dict[int, str]] = {}
        self._next_number = 1

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, flow: Flow, now: float) -> Search | None:
        """A new search; None where there is nobody to ask, or too much was asked already."""
        if flow in self._running or len(self._running) >= MAX_SEARCHES:
            return None
        candidates = self._associations.begin_search(flow.remote.ip, now)
        if not candidates:
            return None
        search = Search(self._next_number, flow, candidates)
        self._next_number += 1
        self._running.add(flow)
        return search

    def end(self, search: Search) -> None:
        """It is over, whatever came of it."""
        self._running.discard(search.flow)

    def may_ask(self, worker: int) -> bool:
        """Whether the worker answers what it is asked."""
        return len(self._owed.get(worker, ())) < MAX_OWED

    def asked(self, worker: int, search: Search) -> None:
        """The worker owes an answer."""
        self._owed.setdefault(worker, {})[search.number] = search.flow.remote.ip

    def answered(self, worker: int, number: int) -> str | None:
        """The worker answers: the client's address in that search; None where the worker does not owe it."""
        owed = self._owed.get(worker, {})
        ip = owed.pop(number, None)
        if not owed:
            self._owed.pop(worker, None)
        return ip

    def forget(self, worker: int) -> None:
        """The worker has ended."""
        self._owed.pop(worker, None)
