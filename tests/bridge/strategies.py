"""Packets for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from .packet_model import FLOWS, TWISTS, Step, conversation

# Most packets are of one flow and one size, so that many are gathered.
_FLOW = st.one_of(st.just(0), st.integers(0, len(FLOWS) - 1))
_SIZE = st.one_of(st.just(1000), st.sampled_from([0, 1, 2, 7, 999, 1000, 1001, 1360]))
_TWIST = st.one_of(st.just(""), st.just(""), st.sampled_from(("", *TWISTS)))

STEPS = st.builds(Step, _FLOW, _SIZE, _TWIST)


@st.composite
def _runs(draw: st.DrawFn) -> list[Step]:
    flow, size = draw(_FLOW), draw(_SIZE)
    return [Step(flow, size)] * draw(st.integers(2, 70))


CONVERSATIONS = st.lists(st.one_of(STEPS.map(lambda step: [step]), _runs()), max_size=12).map(
    lambda runs: conversation(step for run in runs for step in run)
)
"""Lists of packets: flows in order and interleaved, with every oddity."""
