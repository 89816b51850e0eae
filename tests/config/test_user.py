"""What is said of a user travels between the processes, unset fields and all."""

from __future__ import annotations

import msgspec

from ocserv_core.config.addresses import PortRule
from ocserv_core.config.user import UserOptions


def test_nothing_said_is_next_to_nothing_sent() -> None:
    assert len(msgspec.msgpack.encode(UserOptions())) <= 3


def test_a_users_options_travel() -> None:
    user = UserOptions(dpd=0, no_udp=False, dns=("192.0.2.1",), restrict_user_to_ports=(PortRule("tcp", 443),))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(user), type=UserOptions) == user
