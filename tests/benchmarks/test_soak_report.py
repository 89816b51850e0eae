"""What may be lost in a soak, and what is said of it."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.soak_report import Flow, Summary, allowance, text_of

FLOW = Flow(1, "loss", "openconnect", "down", 11_000, 0, 100, allowance(11_000, 0.01), 0, 2, 0.017)


@pytest.mark.parametrize(("sent", "share", "most"), [(11_000, 0.0, 0), (10_000, 0.01, 149)])
def test_chance_may_lose_five_deviations_more_than_its_share(sent: int, share: float, most: int) -> None:
    assert allowance(sent, share) == most


def test_what_was_dropped_on_purpose_has_its_reason() -> None:
    assert FLOW.unexplained == 0


def test_the_rest_has_none() -> None:
    assert msgspec.structs.replace(FLOW, lost=200).unexplained == 200 - FLOW.explained


def test_a_failure_stands_in_the_words() -> None:
    words = text_of(Summary(2.0, "a server", "dtls", [FLOW], [], ["main grows"])).splitlines()
    assert words[-1] == "FAILED: main grows"
    assert words[0] == "a server, dtls: 2 minutes, 1 flows, 11000 numbered packets"


def test_without_one_it_has_passed() -> None:
    assert text_of(Summary(2.0, "a server", "dtls", [FLOW], [], [])).splitlines()[-1] == "passed"
