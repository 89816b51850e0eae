"""Whether a connection is served at all, decided before anything is forked for it."""

from __future__ import annotations

RESUME_BELOW = 0.9
"""After `max-clients` was reached, accepting goes on when fewer than this share are connected."""


class Admission:
    """Counts workers, those before their login too, against `max-clients` (0: no limit)."""

    def __init__(self, max_clients: int) -> None:
        self.max_clients = max_clients
        self._full = False

    def refuses(self, workers: int) -> bool:
        """Whether a further connection must be refused while there are `workers`."""
        if not self.max_clients:
            return False
        if workers >= self.max_clients:
            self._full = True
        elif workers < self.max_clients * RESUME_BELOW:
            self._full = False
        return self._full
