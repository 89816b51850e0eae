"""When a DTLS channel is asked whether it lives, and when it counts as down. Its session lives on over TLS.

The worker keeps one beside its Liveness, and calls as it does there. Times are seconds of the same clock.
"""

from __future__ import annotations

import math

from .liveness import Liveness, LivenessAction, LivenessSettings


class DtlsLiveness:
    """The DPD of one client over UDP; it rests until `restart`. `dpd` is in seconds, 0 turns it off."""

    def __init__(self, dpd: float) -> None:
        self._settings = LivenessSettings(dpd=dpd)
        self._timers: Liveness | None = None

    def restart(self, now: float) -> None:
        """A handshake is over, or a channel that was down has brought a record: it lives."""
        self._timers = Liveness(self._settings, now)

    def stop(self) -> None:
        """There is no DTLS session to ask."""
        self._timers = None

    def next_deadline(self) -> float:
        """When `on_deadline` is to be called next; infinity while it rests."""
        return self._timers.next_deadline() if self._timers else math.inf

    def on_deadline(self, now: float, last_rx: float) -> LivenessAction | None:
        """SEND_DPD: over DTLS. DPD_TIMEOUT: DTLS is down, and this rests. `last_rx`: any record by UDP."""
        if self._timers is None:
            return None
        action = next(iter(self._timers.on_deadline(now, last_rx, last_rx)), None)
        if action is LivenessAction.DPD_TIMEOUT:
            self.stop()
        return action
