"""Which compression a channel gets. Used by offer.py; the pump compresses.

Each packet is compressed alone, so one algorithm for CSTP and another for DTLS disturb nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..config.values import AlgorithmPriority

_RANKS = {"oc-lz4": 90, "lzs": 80}
"""What is served, by the names that clients offer it with; the higher rank wins."""


def choose_compression(offered: Iterable[str], priorities: Iterable[AlgorithmPriority] = ()) -> str:
    """The algorithm of one channel, "" for none. `offered` is the client's list, whose order does not count;
    `priorities` are the lines of compression-algo-priority, of which the last for an algorithm wins."""
    # A name that was not offered, or that the client does not know, ends openconnect.
    ranks = _RANKS | {line.algorithm: line.priority for line in priorities if line.algorithm in _RANKS}
    return max(ranks.keys() & set(offered), key=lambda name: (ranks[name], name), default="")
