"""The shared nouns."""

from __future__ import annotations

import msgspec
import pytest

from ocserv_core.model import MAX_TRAFFIC, DisconnectReason, Endpoint, Identity, SessionId, Traffic, short


@pytest.mark.parametrize("reason", DisconnectReason)
def test_every_reason_has_its_words(reason: DisconnectReason) -> None:
    assert reason.text


@pytest.mark.parametrize(("ip", "text"), [("192.0.2.7", "192.0.2.7:443"), ("2001:db8::7", "[2001:db8::7]:443")])
def test_an_endpoint_is_written_as_in_a_url(ip: str, text: str) -> None:
    assert str(Endpoint(ip, 443)) == text


def test_traffic_adds_up() -> None:
    assert Traffic(1, 2, 3, 4) + Traffic(10, 20, 30, 40) == Traffic(11, 22, 33, 44)


def test_traffic_adds_up_to_what_64_bits_can_hold_and_no_further() -> None:
    most = Traffic(*[MAX_TRAFFIC] * 4)
    assert most + most == most


def test_a_session_is_shown_by_its_beginning() -> None:
    assert short(SessionId("abcdefghij")) == "abcdef"


def test_two_identities_share_no_attributes() -> None:
    Identity("a").attributes["x"] = 1
    assert Identity("b").attributes == {}


def test_an_identity_can_be_stored() -> None:
    identity = Identity("a", "g", ("g",), {"Class": ["00ff"], "n": 1, "t": "x"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(identity), type=Identity) == identity
