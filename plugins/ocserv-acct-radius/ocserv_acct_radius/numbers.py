"""The names and numbers of attributes: our dictionary, as pyrad reads it."""

from __future__ import annotations

import functools
import logging
import os

from pyrad.dictionary import Dictionary

USER_PASSWORD, STATE, CLASS, PROXY_STATE, MESSAGE_AUTHENTICATOR = 2, 24, 25, 33, 80


@functools.cache
def dictionary() -> Dictionary:
    """Ours, read once."""
    # What pyrad logs is of no use to an administrator, and holds packets.
    logging.getLogger("pyrad").setLevel(logging.CRITICAL)
    return Dictionary(os.path.join(os.path.dirname(__file__), "dictionary"))
