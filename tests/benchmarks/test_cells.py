"""Which way the packets went, by what ss says."""

from __future__ import annotations

from benchmarks.cells import parse_counters

SS = (
    "ESTAB 0 78 198.51.100.2:1 198.51.100.1:4432 bbr bytes_sent:4387 bytes_retrans:78 bytes_acked:4310"
    " bytes_received:3123 segs_out:11\n"
    "ESTAB 0 0 198.51.100.2:2 198.51.100.1:4432 bbr bytes_received:10\n"
)


def test_bytes_are_those_sent_and_received_on_all_connections() -> None:
    assert parse_counters(SS) == 4387 + 3123 + 10
