"""What a receiver allows."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import pytest

from ocserv_core.errors import PeerViolation
from ocserv_core.ipc.messages import Decrypt, Message, Sign, SignReply, TunMtu
from ocserv_core.ipc.permits import Gate, Permit, close_all

from .pairs import is_open, some_descriptor


class Phase(enum.Enum):
    EARLY = enum.auto()
    LATE = enum.auto()


SIGN, DECRYPT, MTU = Sign("v", 0, "ED25519", b""), Decrypt("v", 0, b""), TunMtu(1400)
TABLE: Mapping[type[Message], Permit[str]] = {
    Sign: Permit("sign", frozenset({Phase.EARLY})),
    Decrypt: Permit("decrypt", once=True),
    TunMtu: Permit("mtu", fds=1),
}


@pytest.fixture
def gate() -> Gate[str]:
    return Gate(TABLE, Phase.EARLY)


def refusal(gate: Gate[str], message: Message, fds: tuple[int, ...] = ()) -> str:
    """What is said against a message."""
    with pytest.raises(PeerViolation) as caught:
        gate.admit(message, fds)
    return str(caught.value)


def test_a_permitted_message_finds_its_handler(gate: Gate[str]) -> None:
    assert gate.admit(SIGN) == "sign"


def test_a_message_that_is_not_in_the_table_is_refused(gate: Gate[str]) -> None:
    assert refusal(gate, SignReply(b"")) == "SignReply is not permitted from this peer"


def test_a_message_out_of_phase_is_refused(gate: Gate[str]) -> None:
    gate.phase = Phase.LATE
    assert refusal(gate, SIGN) == "Sign is not permitted in phase LATE"


def test_a_permit_without_phases_holds_in_every_phase(gate: Gate[str]) -> None:
    gate.phase = Phase.LATE
    assert gate.admit(DECRYPT) == "decrypt"


def test_a_message_that_may_come_again_comes_again(gate: Gate[str]) -> None:
    gate.admit(SIGN)
    assert gate.admit(SIGN) == "sign"


def test_a_message_that_may_come_once_is_refused_the_second_time(gate: Gate[str]) -> None:
    gate.admit(DECRYPT)
    assert refusal(gate, DECRYPT) == "Decrypt came a second time"


def test_two_peers_use_up_their_permits_apart(gate: Gate[str]) -> None:
    gate.admit(DECRYPT)
    assert Gate(TABLE, Phase.EARLY).admit(DECRYPT) == "decrypt"


def test_a_descriptor_too_many_is_refused(gate: Gate[str]) -> None:
    assert refusal(gate, SIGN, (some_descriptor(),)) == "Sign came with 1 descriptors, not 0"


def test_a_descriptor_too_few_is_refused(gate: Gate[str]) -> None:
    assert refusal(gate, MTU) == "TunMtu came with 0 descriptors, not 1"


def test_a_permitted_descriptor_stays_open(gate: Gate[str]) -> None:
    fd = some_descriptor()
    gate.admit(MTU, [fd])
    assert is_open(fd)
    close_all([fd])


@pytest.mark.parametrize("message", [SIGN, SignReply(b"")])
def test_the_descriptors_of_a_refused_message_are_closed(gate: Gate[str], message: Message) -> None:
    fds = (some_descriptor(), some_descriptor())
    refusal(gate, message, fds)
    assert [is_open(fd) for fd in fds] == [False, False]
