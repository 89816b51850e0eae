"""The figures in one table: what is measured, in which unit, and what is to be reached.

Those of the data plane are made from the cells of its matrix, with the keys CHANNEL.CLIENT.NAME for a line and
CHANNEL.CLIENT.DIRECTION.NAME for a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """of: the ratio to Debian's ocserv, or this server's own value."""

    of: Literal["ratio", "value"]
    comparison: Literal["≤", "≥"]
    bound: float

    def reached(self, ratio: float | None, value: float | None) -> bool | None:
        """Whether it is; None when that was not measured."""
        measured = ratio if self.of == "ratio" else value
        if measured is None:
            return None
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


CONNECTION_FIGURES = (
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


# ---- the data plane

CLIENT_LABELS: Mapping[str, str] = {"openconnect": "openconnect", "own": "own client"}

CELLS = (("dtls", "down"), ("dtls", "up"), ("tls", "down"), ("tls", "up"))
"""Channel and direction."""

_SERVER_CPU: Mapping[tuple[str, str, str], float] = {
    ("dtls", "down", "openconnect"): 0.33,
    ("dtls", "up", "openconnect"): 0.45,
    ("tls", "down", "openconnect"): 0.30,
    ("tls", "up", "openconnect"): 0.45,
    ("dtls", "down", "own"): 0.17,
    ("dtls", "up", "own"): 0.20,
    ("tls", "down", "own"): 0.17,
    ("tls", "up", "own"): 0.20,
}
_GBIT: Mapping[tuple[str, str], float] = {("dtls", "own"): 4.0, ("tls", "own"): 5.0}
_PING: Mapping[str, float] = {"openconnect": 0.8, "own": 0.5}
_PACKET_CPU: Mapping[str, float] = {"own": 0.4}
_KPPS: Mapping[str, float] = {"own": 1.7}
_IDLE_PING = 1.0


def _at_most(bound: float | None) -> Goal | None:
    return None if bound is None else Goal("ratio", "≤", bound)


def _at_least(bound: float | None) -> Goal | None:
    return None if bound is None else Goal("ratio", "≥", bound)


def _line_figures(channel: str, client: str) -> Iterator[Figure]:
    """What a tunnel has without a direction."""
    key, label = f"{channel}.{client}", f"{channel.upper()}, {CLIENT_LABELS[client]}"
    yield Figure(f"{key}.idle_ping", f"{label}: idle ping", "ms", _at_most(_IDLE_PING))
    yield Figure(f"{key}.mtu", f"{label}: tunnel MTU", "bytes")


def _cell_figures(channel: str, direction: str, client: str) -> Iterator[Figure]:
    key = f"{channel}.{client}.{direction}"
    label = f"{channel.upper()} {direction}, {CLIENT_LABELS[client]}"
    cpu = _at_most(_SERVER_CPU[channel, direction, client])
    yield Figure(f"{key}.server_cpu", f"{label}: server", "CPU-s/GB", cpu)
    yield Figure(f"{key}.client_cpu", f"{label}: client", "CPU-s/GB")
    yield Figure(f"{key}.machine_cpu", f"{label}: whole machine", "CPU-s/GB")
    yield Figure(f"{key}.gbit", f"{label}: rate", "Gbit/s", _at_least(_GBIT.get((channel, client))))
    yield Figure(f"{key}.ping", f"{label}: ping meanwhile", "ms", _at_most(_PING[client]))
    packets = f"{label}, 64-byte packets"
    yield Figure(f"{key}.packet_cpu", f"{packets}: server", "CPU-µs each", _at_most(_PACKET_CPU.get(client)))
    yield Figure(f"{key}.packet_client_cpu", f"{packets}: client", "CPU-µs each")
    yield Figure(f"{key}.packet_machine_cpu", f"{packets}: whole machine", "CPU-µs each")
    yield Figure(f"{key}.packet_loss", f"{packets}: lost at that rate", "%")
    yield Figure(f"{key}.kpps", f"{packets}: most", "1000/s", _at_least(_KPPS.get(client)))


def _data_figures() -> Iterator[Figure]:
    for client in CLIENT_LABELS:
        for channel, direction in CELLS:
            yield from _cell_figures(channel, direction, client)
        for channel in ("dtls", "tls"):
            yield from _line_figures(channel, client)


FIGURES = (*CONNECTION_FIGURES, *_data_figures())
