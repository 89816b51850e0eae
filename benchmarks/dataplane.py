"""`python -m benchmarks.dataplane`: the matrix of the data plane, its table and its plot. See docs/performance.md.

run       measure: channel x direction x client at both servers, round by round; text, and JSON with --json
markdown  the table of saved results, also into a document between two marks
plot      the picture of saved results
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

import msgspec

from .arena import Arena, make_wire_plain, open_arena
from .cells import MEASURES, Line
from .clients import CHANNELS, CLIENTS, CannotMeasure, Channel, TunnelClient
from .document import insert
from .doors import end_in_order, progress, unmet
from .plot import draw
from .report import Report, Round, describe, machine, summarize, table
from .servers import OURS, THEIRS, WITH_DTLS, Server, serve, write_common_files
from .sizes import DATA_FULL, DATA_QUICK, DataSizes, add_sizes, chosen_sizes

_NEEDED = ("ip", "ss", "ethtool", "gcc", "ping", "openconnect", "iperf3", THEIRS.command[0], OURS.command[0])

WIRES = {False: "veth", True: "plain wire"}


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 0 when everything that was asked for was measured, reached or not."""
    arguments = _parser().parse_args(words)
    status: int = arguments.run(arguments)
    return status


# ---- run


def run_all(arguments: argparse.Namespace) -> int:
    """`run`: all rounds, then the table and the JSON."""
    clients = [CLIENTS[name] for name in arguments.client or _present()]
    refusal = unmet(_NEEDED) or next((client.missing() for client in clients if client.missing()), "")
    if refusal:
        print(refusal, file=sys.stderr)
        return 1
    end_in_order()
    sizes, described = chosen_sizes(arguments, DATA_QUICK if arguments.quick else DATA_FULL), machine()
    with tempfile.TemporaryDirectory(prefix="ocserv-benchmark-") as home, open_arena(home) as arena:
        if arguments.plain_wire:
            make_wire_plain(arena)
        write_common_files(home)
        matrix = Matrix(arena, sizes, clients, arguments.channel or CHANNELS, arguments.only or list(MEASURES))
        matrix.run()
    rows = summarize(matrix.rounds, OURS.name, THEIRS.name)
    wire = WIRES[arguments.plain_wire]
    report = Report(described, dataclasses.asdict(sizes), rows, matrix.rounds, wire, matrix.failures)
    print(describe(report))
    print(table(report.rows))
    if arguments.json:
        with open(arguments.json, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(report)))
    return 1 if matrix.failures else 0


class Matrix:
    """The rounds, and what could not be measured. Both servers run all the time."""

    def __init__(
        self,
        arena: Arena,
        sizes: DataSizes,
        clients: Sequence[TunnelClient],
        channels: Sequence[Channel],
        names: Sequence[str],
    ) -> None:
        self.rounds: list[Round] = []
        self.failures: list[str] = []
        self._arena, self._sizes, self._names = arena, sizes, names
        self._cases = [(channel, client) for client in clients for channel in channels]

    def run(self) -> None:
        """Fill `rounds`. Who begins changes from round to round."""
        with serve(self._arena, OURS, WITH_DTLS) as ours, serve(self._arena, THEIRS, WITH_DTLS) as theirs:
            for number in range(self._sizes.rounds):
                servers = [ours, theirs] if number % 2 == 0 else [theirs, ours]
                self.rounds.append({OURS.name: {}, THEIRS.name: {}})
                for channel, client in self._cases:
                    progress(f"round {number + 1} of {self._sizes.rounds}: {channel}, {client.label}")
                    self._measure(servers, channel, client)

    def _measure(self, servers: Sequence[Server], channel: Channel, client: TunnelClient) -> None:
        """Both tunnels stand meanwhile, so that the servers take turns at each measure."""
        with contextlib.ExitStack() as stack:
            lines = []
            for server in servers:
                with self._noting_failure():
                    tunnel = stack.enter_context(client.start(self._arena, server, channel))
                    lines.append(Line(self._arena, server, channel, tunnel))
            for name in self._names:
                for line in lines:
                    with self._noting_failure():
                        self._turn(line, client, name)
        self._check_mtu(f"{channel}.{client.name}.mtu")

    def _turn(self, line: Line, client: TunnelClient, name: str) -> None:
        contender = line.server.contender
        figures = MEASURES[name](line, self._sizes)
        shown = "  ".join(f"{key} {value:.3g}" for key, value in figures.items())
        progress(f"    {name}, {contender.label}: {shown}")
        prefix = f"{line.channel}.{client.name}."
        self.rounds[-1][contender.name] |= {prefix + key: value for key, value in figures.items()}

    def _check_mtu(self, key: str) -> None:
        found = {each[key] for each in self.rounds[-1].values() if key in each}
        if len(found) > 1:
            self._fail(f"the tunnels' MTUs differ, so {key.removesuffix('.mtu')} cannot be compared: {sorted(found)}")

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """A figure that is missing in the end is better than hours lost in the middle."""
        try:
            yield
        except (CannotMeasure, RuntimeError, subprocess.SubprocessError) as problem:
            self._fail(str(problem))

    def _fail(self, text: str) -> None:
        progress(f"    {text}")
        if text not in self.failures:
            self.failures.append(text)


# ---- saved results


def write_markdown(arguments: argparse.Namespace) -> int:
    """`markdown`: the tables of saved results, printed or put into a document."""
    text = "\n\n".join(f"{describe(report)}\n\n{table(report.rows)}" for report in _saved(arguments.results))
    if not arguments.into:
        print(text)
        return 0
    with open(arguments.into, encoding="utf-8") as file:
        document = file.read()
    with open(arguments.into, "w", encoding="utf-8") as file:
        file.write(insert(document, text))
    return 0


def write_plot(arguments: argparse.Namespace) -> int:
    """`plot`: saved results, one file for each wire, as one picture."""
    with open(arguments.svg, "w", encoding="utf-8") as file:
        file.write(draw(_saved(arguments.results)))
    return 0


def _saved(paths: Sequence[str]) -> list[Report]:
    reports = []
    for path in paths:
        with open(path, "rb") as file:
            reports.append(msgspec.json.decode(file.read(), type=Report))
    return reports


# ---- options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dataplane", description="The data plane beside Debian's ocserv."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="measure")
    run.set_defaults(run=run_all)
    run.add_argument("--quick", action="store_true", help="one short round: does everything work?")
    run.add_argument("--plain-wire", action="store_true", help="a wire without the offloads of a veth")
    run.add_argument("--json", metavar="FILE", help="write everything there, each round included")
    for option, choices in (("--client", tuple(CLIENTS)), ("--channel", CHANNELS), ("--only", tuple(MEASURES))):
        run.add_argument(option, metavar="NAME", action="append", choices=choices, help=f"of {', '.join(choices)}")
    add_sizes(run, DATA_FULL)
    markdown = commands.add_parser("markdown", help="the tables of saved results")
    markdown.set_defaults(run=write_markdown)
    markdown.add_argument("--into", metavar="FILE", help="put them between the marks of this document")
    plot = commands.add_parser("plot", help="the picture of saved results")
    plot.set_defaults(run=write_plot)
    plot.add_argument("--svg", metavar="FILE", required=True)
    for command in (markdown, plot):
        command.add_argument("results", metavar="JSON", nargs="+", help="what `run --json` wrote, one for each wire")
    return parser


def _present() -> list[str]:
    """The clients that this version has; one that is asked for by name and is not there is refused."""
    for client in CLIENTS.values():
        if client.missing():
            progress(f"{client.missing()}: measured without it")
    return [name for name, client in CLIENTS.items() if not client.missing()]


if __name__ == "__main__":
    sys.exit(main())
