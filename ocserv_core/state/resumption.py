"""TLS 1.2 session data, kept by main so that a client may resume with any worker.

Bound to vhost and client address; data that is too large or unasked for is not kept. Tickets and TLS 1.3 resumption
do not exist here (a ticket key would be a secret in every worker).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

MAX_ID = 32
"""Bytes of a TLS session id (RFC 5246, 7.4.1.2)."""

MAX_DATA = 4096
"""Bytes of a session's data."""

DEFAULT_CAPACITY = 1024


def capacity_for(max_clients: int) -> int:
    """How many sessions are kept for the option max-clients (0: unlimited)."""
    return max(2 * max_clients, 64) if max_clients else DEFAULT_CAPACITY


class ResumptionEntry(msgspec.Struct, frozen=True, array_like=True):
    """One session's data, and whose it is."""

    vhost: str
    session_id: bytes
    address: str
    data: bytes
    expires: float


class ResumptionCache:
    """The sessions by vhost and id, oldest first. When it is full the oldest makes room.

    lifetime: seconds that data is kept. `now` may be of any clock, but always of the same.
    """

    def __init__(self, capacity: int, lifetime: float, entries: Iterable[ResumptionEntry] = ()) -> None:
        self.capacity = capacity
        self.lifetime = lifetime
        self._entries = {(entry.vhost, entry.session_id): entry for entry in entries}

    def store(self, session_id: bytes, data: bytes, *, vhost: str, address: str, now: float) -> bool:
        """Keep the data. False where it may not be kept: wrong size, or the id is another client's."""
        if not 0 < len(session_id) <= MAX_ID or not 0 < len(data) <= MAX_DATA:
            return False
        key = (vhost, session_id)
        known = self._entries.get(key)
        if known is not None and known.address != address and known.expires > now:
            return False
        self._entries.pop(key, None)
        self._make_room(now)
        self._entries[key] = ResumptionEntry(vhost, session_id, address, data, now + self.lifetime)
        return True

    def _make_room(self, now: float) -> None:
        if len(self._entries) >= self.capacity:
            self.sweep(now)
        while len(self._entries) >= self.capacity:
            del self._entries[next(iter(self._entries))]

    def fetch(self, session_id: bytes, *, vhost: str, address: str, now: float) -> bytes | None:
        """The data, for the client that it was stored for."""
        entry = self._entries.get((vhost, session_id))
        if entry is None or entry.address != address or entry.expires <= now:
            return None
        return entry.data

    def delete(self, session_id: bytes, *, vhost: str, address: str) -> None:
        """Forget the data, where it is this client's."""
        entry = self._entries.get((vhost, session_id))
        if entry is not None and entry.address == address:
            del self._entries[vhost, session_id]

    def sweep(self, now: float) -> None:
        """Forget what has expired."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.expires > now}

    def entries(self) -> list[ResumptionEntry]:
        """Everything as plain data, oldest first."""
        return list(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)
