"""What a session's options ask of its sockets and of the pump: rates, priority, the send buffer."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.session import SessionConfig

_MAX_BUFFER = 2**31 - 1
"""What setsockopt takes; the kernel has its own, lower bound."""


@dataclass(frozen=True, slots=True)
class Limits:
    """rx_rate, tx_rate: bytes a second from and to the client, 0 unlimited. socket_priority: SO_PRIORITY of TCP
    and UDP; tos: their IP_TOS or IPV6_TCLASS; None leaves it alone. send_buffer: bytes of SO_SNDBUF of TCP, 0
    leaves it alone."""

    rx_rate: int = 0
    tx_rate: int = 0
    socket_priority: int | None = None
    tos: int | None = None
    send_buffer: int = 0


def limits_of(session: SessionConfig, link_mtu: int) -> Limits:
    """The limits of one session. output-buffer counts packets of `link_mtu` bytes."""
    priority = session.net_priority
    tos = priority.startswith("0x")
    return Limits(
        rx_rate=session.rx_data_per_sec,
        tx_rate=session.tx_data_per_sec,
        socket_priority=int(priority) if priority and not tos else None,
        tos=int(priority, base=16) if tos else None,
        send_buffer=min(session.output_buffer * link_mtu, _MAX_BUFFER),
    )
