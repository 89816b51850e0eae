"""What came of a soak: flows of numbered packets, growth of memory, and the words for it. No I/O."""

from __future__ import annotations

import math

import msgspec

from .memory import Growth


class Flow(msgspec.Struct, frozen=True):
    """Numbered packets of one phase, one way. nowhere: the sender had no tunnel; explained: how many may be lost;
    gap: seconds without any."""

    cycle: int
    phase: str
    client: str
    direction: str
    sent: int
    nowhere: int
    lost: int
    explained: int
    duplicates: int
    late: int
    gap: float

    @property
    def unexplained(self) -> int:
        """Packets whose loss nobody meant."""
        return max(0, self.lost - self.explained)


class Summary(msgspec.Struct, frozen=True):
    """Everything of a soak. failures: a line each; nothing of it, and the soak has passed."""

    minutes: float
    server: str
    channel: str
    flows: list[Flow]
    memory: list[Growth]
    failures: list[str]


def allowance(sent: int, share: float) -> int:
    """How many of `sent` packets may be lost when each is dropped with that chance: five deviations over the mean."""
    return math.floor(sent * share + 5 * math.sqrt(sent * share * (1 - share)))


def text_of(summary: Summary) -> str:
    """The summary for people."""
    flows = summary.flows
    packets = sum(flow.sent for flow in flows)
    what = f"{len(flows)} flows, {packets} numbered packets"
    lines = [f"{summary.server}, {summary.channel}: {summary.minutes:g} minutes, {what}"]
    for phase in dict.fromkeys(flow.phase for flow in flows):
        of = [flow for flow in flows if flow.phase == phase]
        gaps = sorted(1000 * flow.gap for flow in of)
        lines.append(
            f"  {phase}: {sum(f.sent for f in of)} sent, {sum(f.lost for f in of)} lost,"
            f" {sum(f.unexplained for f in of)} of them without a reason, {sum(f.late for f in of)} late,"
            f" gap {gaps[len(gaps) // 2]:.0f} ms (median), {gaps[-1]:.0f} ms (longest)"
        )
    lines += [_growth_text(growth) for growth in summary.memory]
    lines += [f"FAILED: {failure}" for failure in summary.failures]
    return "\n".join([*lines, "" if summary.failures else "passed"]).rstrip()


def _growth_text(growth: Growth) -> str:
    grown = "too short to judge" if growth.grown is None else f"{growth.grown / 1e6:+.2f} MB in {growth.seconds:.0f} s"
    return f"  PSS of {growth.role}: {growth.mean / 1e6:.1f} MB, at most {growth.most / 1e6:.1f} MB; {grown}"
