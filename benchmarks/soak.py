"""`python -m benchmarks.soak [MINUTES]` (or `make soak`): a server under everything at once, for long.

Cycles of 20 s. Each begins with a client that roams while numbered packets flow both ways; then comes one of PHASES,
with iperf3 beside the numbered packets. Nothing may be lost but what was dropped on purpose or by queues that were
full (the kernel counts these), and no process may grow. A roaming client's gap is measured. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import msgspec

from .arena import Arena, inside, open_arena
from .blaster import Blast, blast, compile_blaster
from .cells import Line, link, server_device
from .clients import CHANNELS, CLIENTS, CannotMeasure, Channel, TunnelClient
from .disturb import LOSS, Roaming, dropped, loss, reorder
from .doors import end_in_order, progress, unmet
from .memory import Sampler, judge
from .servers import OURS, THEIRS, WITH_DTLS, Server, serve, write_common_files
from .soak_report import Flow, Summary, allowance, text_of
from .traffic import CUBIC, DIRECTIONS, iperf_command, iperf_server, parse_iperf, parse_iperf_udp, parse_snmp, ping

CYCLE = 20.0
ROAM_SECONDS = 5.0
PHASE_SECONDS = 12.0
PROBE_RATE = 1000.0
PROBE_SIZE = 333

REBIND_GAP = 2.0
REPLACE_GAP = 10.0
"""Seconds that a client may be without packets after it has roamed."""

REPLACE_EVERY = 8
"""Of so many roamings one takes the client's address away; the others change what the server sees of its UDP."""

RECOVERY = 60
_NEEDED = ("ip", "tc", "nft", "ss", "gcc", "ping", "openconnect", "iperf3")
_UDP_LOAD = ("--udp", "--bitrate", "20M", "--length", "1200")


@dataclass(frozen=True, slots=True)
class Phase:
    """traffic: what iperf3 does beside the numbered packets; wire: what happens to the outer ones; loss: their share
    that is dropped on purpose."""

    name: str
    traffic: tuple[str, ...]
    wire: Callable[[Arena, int, Channel], AbstractContextManager[None]] | None = None
    loss: float = 0.0


PHASES = (
    Phase("bulk", CUBIC),
    Phase("udp", _UDP_LOAD),
    Phase("loss", CUBIC, loss, LOSS),
    Phase("reorder", _UDP_LOAD, reorder),
)


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 0 when nothing was lost and nothing grew."""
    arguments = _parser().parse_args(words)
    clients = [CLIENTS[name] for name in arguments.client or ("openconnect",)]
    needed = (*_NEEDED, arguments.contender.command[0])
    refusal = unmet(needed) or next((client.missing() for client in clients if client.missing()), "")
    if refusal:
        print(refusal, file=sys.stderr)
        return 1
    end_in_order()
    try:
        summary = run(arguments, clients)
    except CannotMeasure as problem:
        print(problem, file=sys.stderr)
        return 1
    print(text_of(summary))
    if arguments.json:
        with open(arguments.json, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(summary)))
    return 1 if summary.failures else 0


def run(arguments: argparse.Namespace, clients: Sequence[TunnelClient]) -> Summary:
    """The whole soak. Raises CannotMeasure when a client gets no tunnel in the beginning."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="ocserv-soak-"))
        arena = stack.enter_context(open_arena(home))
        write_common_files(home)
        compile_blaster(home)
        server = stack.enter_context(serve(arena, arguments.contender, WITH_DTLS))
        lines = [
            (
                client,
                Line(
                    arena,
                    server,
                    arguments.channel,
                    stack.enter_context(client.start(arena, server, arguments.channel)),
                ),
            )
            for client in clients
        ]
        sampler = stack.enter_context(Sampler(server))
        soak = Soak(arena, server, lines, rebind=arguments.rebind and arguments.channel == "dtls")
        soak.run(arguments.minutes * 60)
    memory = judge(sampler.samples)
    failures = soak.failures + [f"{growth.role} grows" for growth in memory if growth.grows]
    label = arguments.contender.label
    return Summary(arguments.minutes, label, arguments.channel, soak.flows, memory, failures)


class Soak:
    """The cycles. The clients take turns."""

    def __init__(
        self, arena: Arena, server: Server, lines: Sequence[tuple[TunnelClient, Line]], *, rebind: bool
    ) -> None:
        self.flows: list[Flow] = []
        self.failures: list[str] = []
        self._arena, self._server, self._lines = arena, server, lines
        self._rebind = rebind
        self._roaming = Roaming(arena, server.contender.port)

    def run(self, seconds: float) -> None:
        """As many cycles as fit into that time, one at least."""
        cycles = max(1, int(seconds / CYCLE))
        for cycle in range(cycles):
            started = time.monotonic()
            client, line = self._lines[cycle % len(self._lines)]
            phase = PHASES[cycle // len(self._lines) % len(PHASES)]
            progress(f"cycle {cycle + 1} of {cycles}, {client.label}")
            if not self._roam(cycle, client, line):
                self.failures.append(f"cycle {cycle + 1}: the tunnel does not come back after roaming")
                return
            self._stress(cycle, client, line, phase)
            time.sleep(max(0.0, CYCLE - (time.monotonic() - started)))

    def _roam(self, cycle: int, client: TunnelClient, line: Line) -> bool:
        """Numbered packets while the client roams. False when the tunnel stays dead."""
        away = not self._rebind or cycle % REPLACE_EVERY == REPLACE_EVERY - 1
        name, limit = ("replace", REPLACE_GAP) if away else ("rebind", REBIND_GAP)
        with _probes(line, ROAM_SECONDS) as probes:
            time.sleep(1.0)
            if away:
                self._roaming.replace()
                for other, others in self._lines:
                    os.kill(others.tunnel.pid, other.reconnect)
            else:
                self._roaming.rebind()
        alive = any(ping(self._arena.client, line.server.contender.gateway, 20) for _ in range(RECOVERY))
        for direction, found in probes().items():
            self._note(cycle, name, client, direction, found, found.lost)
            if found.counted.longest_gap > limit:
                self.failures.append(f"cycle {cycle + 1}: {name}: {found.counted.longest_gap:.1f} s without packets")
        return alive

    def _stress(self, cycle: int, client: TunnelClient, line: Line, phase: Phase) -> None:
        wire = phase.wire or (lambda *_: nullcontext())
        before = _overflows(line)
        with wire(self._arena, self._server.contender.port, line.channel):
            with _loads(line, phase.traffic) as loads, _probes(line, PHASE_SECONDS - 1) as probes:
                pass
            on_purpose = dropped(self._arena) if phase.loss else 0
        full = _overflows(line) - before
        try:
            said = loads()
        except (RuntimeError, subprocess.SubprocessError) as problem:
            self.failures.append(f"cycle {cycle + 1}: {phase.name}: {problem}")
            said = "failed"
        progress(f"    {phase.name}: iperf3 {said}; dropped on purpose {on_purpose}, by full queues {full}")
        for direction, found in probes().items():
            allowed = full + (allowance(found.sent.sent, phase.loss) if line.channel == "dtls" else 0)
            self._note(cycle, phase.name, client, direction, found, allowed)

    def _note(self, cycle: int, phase: str, client: TunnelClient, direction: str, found: Blast, allowed: int) -> None:
        sent, counted = found.sent, found.counted
        numbers = (sent.sent, sent.nowhere, found.lost, allowed, counted.duplicates, counted.late, counted.longest_gap)
        flow = Flow(cycle + 1, phase, client.name, direction, *numbers)
        self.flows.append(flow)
        progress(
            f"    {phase} {direction}: {flow.sent} sent, {flow.lost} lost, {flow.duplicates} twice, {flow.late} late,"
            f" longest gap {1000 * flow.gap:.0f} ms"
        )
        if flow.unexplained:
            self.failures.append(f"cycle {cycle + 1}: {phase} {direction}: {flow.unexplained} lost without a reason")
        if flow.nowhere and phase in {each.name for each in PHASES}:
            self.failures.append(f"cycle {cycle + 1}: {phase} {direction}: no tunnel for {flow.nowhere} packets")
        if flow.duplicates:
            self.failures.append(f"cycle {cycle + 1}: {phase} {direction}: {flow.duplicates} came twice")


# ---- traffic beside each other

_Results = Callable[[], Mapping[str, Blast]]


@contextlib.contextmanager
def _probes(line: Line, seconds: float) -> Iterator[_Results]:
    """Numbered packets both ways while the context lasts, and to their end; what came of them, when that is over."""
    arena, gateway = line.arena, line.server.contender.gateway
    ways = {
        "down": ((arena.server, arena.client), line.tunnel.address),
        "up": ((arena.client, arena.server), gateway),
    }
    with ThreadPoolExecutor(len(ways)) as pool:
        futures = {
            direction: pool.submit(
                blast, arena.home, ends, address, rate=PROBE_RATE, seconds=seconds, payload=PROBE_SIZE
            )
            for direction, (ends, address) in ways.items()
        }
        yield lambda: {direction: future.result() for direction, future in futures.items()}


@contextlib.contextmanager
def _loads(line: Line, options: tuple[str, ...]) -> Iterator[Callable[[], str]]:
    """iperf3 both ways at once, as _probes; the result says what came of it. Raises RuntimeError there if it failed."""
    with ThreadPoolExecutor(len(DIRECTIONS)) as pool:
        futures = {
            direction: pool.submit(_load, line, (*options, *reverse), 5201 + number)
            for number, (direction, reverse) in enumerate(DIRECTIONS.items())
        }
        yield lambda: _said(futures)


def _said(futures: Mapping[str, Future[str]]) -> str:
    return ", ".join(f"{direction} {future.result()}" for direction, future in futures.items())


def _load(line: Line, options: tuple[str, ...], port: int) -> str:
    gateway = line.server.contender.gateway
    with iperf_server(line.arena.server, gateway, port):
        command = iperf_command(line.arena.client, gateway, PHASE_SECONDS - 1, *options, port=port)
        output = subprocess.run(command, stdout=subprocess.PIPE, timeout=PHASE_SECONDS + 30, check=False).stdout
    if "--udp" in options:
        found = parse_iperf_udp(output)
        return f"{found.lost_packets} of {found.packets} datagrams lost"
    return f"{parse_iperf(output).gbit:.2f} Gbit/s"


_OVERFLOWS = ("RcvbufErrors", "SndbufErrors", "MemErrors")


def _overflows(line: Line) -> int:
    """Packets that full queues have dropped so far: of UDP sockets, of the tunnel's devices, of the wire's ends."""
    arena = line.arena
    total = 0
    for namespace, tunnel in ((arena.server, server_device(line)), (arena.client, line.tunnel.device)):
        counters = [link(namespace, device).stats64 for device in (tunnel, "wire")]
        total += sum(each.rx.dropped + each.tx.dropped for each in counters)
        command = inside(namespace, "cat", "/proc/net/snmp")
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=10).stdout
        total += sum(parse_snmp(text, "Udp").get(name, 0) for name in _OVERFLOWS)
    return total


# ---- options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="A long run under everything.")
    parser.add_argument("minutes", nargs="?", type=float, default=30.0, help="30 unless given")
    parser.add_argument("--channel", choices=CHANNELS, default="dtls")
    parser.add_argument("--client", action="append", choices=tuple(CLIENTS), help="openconnect unless given")
    parser.add_argument("--no-rebind", dest="rebind", action="store_false", help="roam by losing the address alone")
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    parser.add_argument(
        "--debian", dest="contender", action="store_const", const=THEIRS, default=OURS, help="Debian's ocserv instead"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
