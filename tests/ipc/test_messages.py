"""What every message has in common."""

from __future__ import annotations

import functools
import operator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocserv_core.ipc.messages import MAX_MESSAGE, Message, Sign

from .pairs import EVERY_MESSAGE, structs_of

DECODER: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(functools.reduce(operator.or_, EVERY_MESSAGE))


@pytest.mark.parametrize("kind", EVERY_MESSAGE, ids=lambda kind: kind.__name__)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_message_arrives_as_it_was_sent(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(structs_of(kind))
    assert DECODER.decode(msgspec.msgpack.encode(message)) == message


@pytest.mark.parametrize("kind", EVERY_MESSAGE, ids=lambda kind: kind.__name__)
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_one_field_too_many_is_refused(kind: type[Message], data: st.DataObject) -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(data.draw(structs_of(kind))))
    with pytest.raises(msgspec.DecodeError):
        DECODER.decode(msgspec.msgpack.encode([*fields, 1]))


def test_a_message_begins_with_its_name() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Sign("a", 0, "ED25519", b"")))[0] == "Sign"


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Sign("a", 0, "ED25519", b"").vhost = "b"  # type: ignore[misc]  # what is tested


def test_a_datagram_of_the_largest_message_goes_through_a_socket() -> None:
    # The kernel's default buffer of a pair is 208 KiB.
    assert MAX_MESSAGE * 4 < 212992
