"""The names and numbers of attributes: our dictionary, as pyrad reads it."""

from __future__ import annotations

import functools
import logging
import os

from pyrad.dictionary import Dictionary

USER_PASSWORD, STATE, CLASS, PROXY_STATE, MESSAGE_AUTHENTICATOR = 2, 24, 25, 33, 80

LIMITS = (
    "Session-Timeout",
    "Idle-Timeout",
    "Acct-Interim-Interval",
    "WISPr-Bandwidth-Max-Up",
    "WISPr-Bandwidth-Max-Down",
    "RP-Upstream-Speed-Limit",
    "RP-Downstream-Speed-Limit",
)
"""The numbers that bound a session: of its login, and what may change while it is up."""


@functools.cache
def dictionary() -> Dictionary:
    """Ours, read once."""
    # What pyrad logs is of no use to an administrator, and holds packets.
    logging.getLogger("pyrad").setLevel(logging.CRITICAL)
    return Dictionary(os.path.join(os.path.dirname(__file__), "dictionary"))
