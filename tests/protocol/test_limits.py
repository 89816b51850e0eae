"""What the options of a session ask of sockets and pump."""

from __future__ import annotations

import pytest

from ocserv_core.config.session import SessionConfig
from ocserv_core.protocol.limits import Limits, limits_of


def test_nothing_is_asked_by_itself() -> None:
    assert limits_of(SessionConfig(), 1500) == Limits()


def test_rates_are_bytes_a_second() -> None:
    made = limits_of(SessionConfig(rx_data_per_sec=999, tx_data_per_sec=125000), 1500)
    assert (made.rx_rate, made.tx_rate) == (999, 125000)


@pytest.mark.parametrize(
    ("text", "priority", "tos"), [("0", 0, None), ("6", 6, None), ("0x10", None, 16), ("0xb8", None, 184)]
)
def test_a_priority_is_the_sockets_or_the_packets(text: str, priority: int | None, tos: int | None) -> None:
    made = limits_of(SessionConfig(net_priority=text), 1500)
    assert (made.socket_priority, made.tos) == (priority, tos)


def test_a_buffer_is_counted_in_packets() -> None:
    assert limits_of(SessionConfig(output_buffer=10), 1400).send_buffer == 14000


def test_no_buffer_is_too_large_for_the_kernel() -> None:
    assert limits_of(SessionConfig(output_buffer=2**31 - 1), 1500).send_buffer == 2**31 - 1
