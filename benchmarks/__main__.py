"""`python -m benchmarks`: both servers, round by round, and the table. See the package's docstring."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Mapping

import msgspec

from . import loads
from .arena import Arena, open_arena
from .doors import end_in_order, progress, unmet
from .report import Report, Round, describe, machine, summarize, table
from .servers import OURS, THEIRS, Server, serve, write_common_files
from .sizes import FULL, QUICK, Sizes, add_sizes, chosen_sizes

Measure = Callable[[Arena, Server, Sizes], dict[str, float]]

MEASURES: Mapping[str, Measure] = {
    "form": loads.measure_forms,
    "login": loads.measure_logins,
    "connect": loads.measure_connects,
    "idle": loads.measure_idle,
}

_NEEDED = ("ip", "ss", THEIRS.command[0], OURS.command[0])


def main() -> int:
    """The exit status: 0 when everything was measured, reached or not."""
    arguments = _parser().parse_args()
    if refusal := unmet(_NEEDED):
        print(refusal, file=sys.stderr)
        return 1
    end_in_order()
    sizes = chosen_sizes(arguments, QUICK if arguments.quick else FULL)
    described = machine()
    with tempfile.TemporaryDirectory(prefix="ocserv-benchmark-") as home, open_arena(home) as arena:
        write_common_files(home)
        rounds = run(arena, sizes, arguments.only or list(MEASURES))
    report = Report(described, dataclasses.asdict(sizes), summarize(rounds, OURS.name, THEIRS.name), rounds)
    print(describe(report))
    print(table(report.rows))
    if arguments.json:
        with open(arguments.json, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(report)))
    return 0


def run(arena: Arena, sizes: Sizes, names: list[str]) -> list[Round]:
    """All rounds. The servers take turns at each measure, and who begins changes from round to round."""
    rounds: list[Round] = []
    with serve(arena, OURS) as ours, serve(arena, THEIRS) as theirs:
        for number in range(sizes.rounds):
            servers = [ours, theirs] if number % 2 == 0 else [theirs, ours]
            found: Round = {OURS.name: {}, THEIRS.name: {}}
            for name in names:
                for server in servers:
                    progress(f"round {number + 1} of {sizes.rounds}: {name}, {server.contender.label}")
                    figures = MEASURES[name](arena, server, sizes)
                    progress("    " + "  ".join(f"{key} {value:.3g}" for key, value in figures.items()))
                    found[server.contender.name] |= figures
            rounds.append(found)
    return rounds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="This server beside Debian's ocserv.")
    parser.add_argument("--quick", action="store_true", help="a smoke run of less than a minute")
    parser.add_argument("--json", metavar="FILE", help="write everything there, each round included")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=MEASURES, help=f"one of {', '.join(MEASURES)}"
    )
    add_sizes(parser, FULL)
    return parser


if __name__ == "__main__":
    sys.exit(main())
