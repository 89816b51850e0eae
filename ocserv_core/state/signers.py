"""How many processes sign, and when one that died is started again."""

from __future__ import annotations

CLIENTS_EACH = 500
"""Of max-clients, for one signer."""

MAX_PAUSE = 60.0
LIVED_WELL = 60.0
"""Seconds of a life after which a death is the first one again."""


def signer_count(scale: int, max_clients: int, processors: int) -> int:
    """sec-mod-scale, or what it is where that is 0. 1 is secmod itself."""
    if scale:
        return scale
    return min(processors, max_clients // CLIENTS_EACH + 1) if max_clients else processors


def restart_pause(deaths: int) -> float:
    """Seconds after a number of deaths, one soon after another: the first costs nothing."""
    return min(MAX_PAUSE, 2.0 ** min(deaths - 2, 10)) if deaths > 1 else 0.0
