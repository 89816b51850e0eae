"""latency-stats: what workers measure comes to main's log and to occtl."""

from __future__ import annotations

import re

from .client import Client
from .lab import GATEWAY4, Lab
from .traffic import datagrams_arrive

SHORT_MINUTE = "from ocserv_core.state import latency\nlatency.INTERVAL = 3.0"
"""Main's intervals. Workers keep theirs: what they have measured is told when their tunnel ends."""

LINE = r"latency of the last interval: median (\d+) us, mean (\d+) us, deviation (\d+) us, of (\d+) packets"


def _send(lab: Lab, client: Client, count: int) -> None:
    assert datagrams_arrive(client.host, lab.namespace, GATEWAY4, [100] * count) == count


def test_latency_is_in_the_log_and_in_occtl(lab: Lab) -> None:
    server = lab.start_altered(SHORT_MINUTE, udp_port=443, latency_stats=True)
    client = lab.connect()
    client.await_dtls()
    assert "latency" not in server.occtl("show", "status").stdout
    _send(lab, client, 3000)
    client.disconnect()
    told = server.log.wait_for(LINE, 10)
    status = server.show("status")
    median, mean, _, packets = map(int, told.groups())
    assert 0 < median < 100_000
    assert 0 < mean < 100_000
    # Two whole sets of 1024.
    assert packets == 2048
    assert status["raw_median_latency"] == median
    assert re.search(r"Median latency: .*\n.*STDEV latency: ", server.occtl("show", "status").stdout)


def test_few_packets_are_no_statistics(lab: Lab) -> None:
    server = lab.start_altered(SHORT_MINUTE, udp_port=443, latency_stats=True)
    client = lab.connect()
    client.await_dtls()
    _send(lab, client, 900)
    other = lab.connect("bob")
    _send(lab, other, 1100)
    for one in (client, other):
        one.disconnect()
    assert server.log.wait_for(LINE, 10)[4] == "1024"


def test_only_packets_by_dtls_are_measured(lab: Lab) -> None:
    server = lab.start_altered(SHORT_MINUTE, udp_port=443, latency_stats=True)
    by_tls = lab.connect("alice", "--no-dtls")
    _send(lab, by_tls, 3000)
    by_tls.disconnect()
    server.await_disconnected("alice")
    by_dtls = lab.connect("bob")
    _send(lab, by_dtls, 1500)
    by_dtls.disconnect()
    assert server.log.wait_for(LINE, 10)[4] == "1024"
