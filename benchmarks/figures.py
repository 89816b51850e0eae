"""The figures in one table: what is measured, in which unit, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """of: the ratio to Debian's ocserv, or this server's own value."""

    of: Literal["ratio", "value"]
    comparison: Literal["≤", "≥"]
    bound: float

    def reached(self, ratio: float, value: float) -> bool:
        """Whether it is."""
        measured = ratio if self.of == "ratio" else value
        return measured <= self.bound if self.comparison == "≤" else measured >= self.bound

    def __str__(self) -> str:
        return f"{self.of} {self.comparison} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """key: under which the measures give it."""

    key: str
    label: str
    unit: str
    goal: Goal | None = None


FIGURES = (
    Figure("tls.down.server_cpu", "TLS down: server", "CPU-s/GB", Goal("ratio", "≤", 0.6)),
    Figure("tls.down.client_cpu", "TLS down: client", "CPU-s/GB"),
    Figure("tls.down.machine_cpu", "TLS down: whole machine", "CPU-s/GB"),
    Figure("tls.down.gbit", "TLS down", "Gbit/s"),
    Figure("tls.up.server_cpu", "TLS up: server", "CPU-s/GB", Goal("ratio", "≤", 0.6)),
    Figure("tls.up.client_cpu", "TLS up: client", "CPU-s/GB"),
    Figure("tls.up.machine_cpu", "TLS up: whole machine", "CPU-s/GB"),
    Figure("tls.up.gbit", "TLS up", "Gbit/s"),
    Figure("tls.mtu", "tunnel MTU", "bytes"),
    Figure("login.rate", "logins, sequential", "1/s"),
    Figure("login.cpu", "login, sequential: server", "CPU-ms"),
    Figure("login.machine_cpu", "login, sequential: whole machine", "CPU-ms"),
    Figure("login.parallel_rate", "logins, parallel", "1/s"),
    Figure("login.parallel_cpu", "login, parallel: server", "CPU-ms"),
    Figure("login.parallel_machine_cpu", "login, parallel: whole machine", "CPU-ms"),
    Figure("connect.rate", "full connects, sequential", "1/s", Goal("ratio", "≥", 0.9)),
    Figure("connect.cpu", "full connect, sequential: server", "CPU-ms", Goal("ratio", "≤", 1.2)),
    Figure("connect.machine_cpu", "full connect, sequential: whole machine", "CPU-ms"),
    Figure("connect.parallel_rate", "full connects, parallel", "1/s", Goal("ratio", "≥", 0.9)),
    Figure("connect.parallel_cpu", "full connect, parallel: server", "CPU-ms", Goal("ratio", "≤", 1.2)),
    Figure("connect.parallel_machine_cpu", "full connect, parallel: whole machine", "CPU-ms"),
    Figure("form.median", "accept to first form, median", "ms", Goal("value", "≤", 10.0)),
    Figure("form.p95", "accept to first form, 95 of 100", "ms"),
    Figure("idle.pss", "idle client: worker's PSS", "MB", Goal("value", "≤", 3.0)),
    Figure("idle.cpu", "idle client: server", "CPU-µs/s"),
    Figure("idle.nursery", "with all idle clients: nursery's PSS", "MB"),
    Figure("idle.main", "with all idle clients: main's PSS", "MB"),
    Figure("idle.secmod", "with all idle clients: secmod's PSS", "MB"),
)
