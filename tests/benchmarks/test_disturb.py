"""What nftables says of its counters."""

from __future__ import annotations

from benchmarks.disturb import parse_nft_counters

LISTING = b"""{"nftables": [{"metainfo": {"version": "1.0.6"}},
 {"counter": {"family": "ip", "name": "dropped", "table": "soak_loss", "handle": 2, "packets": 77, "bytes": 72072}}]}"""


def test_the_packets_of_all_counters_are_summed() -> None:
    assert parse_nft_counters(LISTING) == 77
