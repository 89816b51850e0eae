"""What iperf3, ping and the kernel print."""

from __future__ import annotations

import pytest

from benchmarks.traffic import Received, UdpSum, parse_iperf, parse_iperf_udp, parse_ping, parse_snmp

PING = """\
PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.
64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=0.639 ms
64 bytes from 192.0.2.1: icmp_seq=2 ttl=64 time=12 ms
From 192.0.2.9 icmp_seq=3 Destination Host Unreachable

--- 192.0.2.1 ping statistics ---
3 packets transmitted, 2 received, 33.3333% packet loss, time 101ms
rtt min/avg/max/mdev = 0.639/6.319/12.000/5.680 ms
"""

SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts RcvbufErrors
Udp: 12 3 7
UdpLite: InDatagrams
UdpLite: 0
"""


def test_a_ping_is_the_time_of_each_answer() -> None:
    assert parse_ping(PING) == [0.639, 12.0]


def test_a_stream_is_what_its_receiver_got() -> None:
    output = b'{"start": {}, "end": {"sum_sent": {"bytes": 9}, "sum_received": {"bytes": 250000000, "seconds": 2.0}}}'
    received = parse_iperf(output)
    assert received == Received(250_000_000, 2.0)
    assert (received.gigabytes, received.gbit) == (0.25, 1.0)


def test_datagrams_are_counted_at_both_ends() -> None:
    assert parse_iperf_udp(b'{"end": {"sum": {"packets": 10, "lost_packets": 2}}}') == UdpSum(10, 2)


@pytest.mark.parametrize("parse", [parse_iperf, parse_iperf_udp])
@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b'{"start": {}, "end": {}, "error": "unable to connect to server"}', "iperf3: unable to connect to server"),
        (b"", "iperf3: no result"),
    ],
)
def test_a_failure_has_iperfs_own_words(parse: object, output: bytes, words: str) -> None:
    assert callable(parse)
    with pytest.raises(RuntimeError, match=words):
        parse(output)


def test_counters_of_a_protocol_have_their_names() -> None:
    assert parse_snmp(SNMP, "Udp") == {"InDatagrams": 12, "NoPorts": 3, "RcvbufErrors": 7}


def test_a_protocol_that_is_not_there_has_no_counters() -> None:
    assert parse_snmp(SNMP, "Tcp") == {}
