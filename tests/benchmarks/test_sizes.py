"""Sizes from the command line."""

from __future__ import annotations

import argparse
import dataclasses

from benchmarks.sizes import DATA_FULL, DATA_QUICK, add_sizes, chosen_sizes


def test_what_is_given_replaces_what_is_usual() -> None:
    parser = argparse.ArgumentParser()
    add_sizes(parser, DATA_FULL)
    arguments = parser.parse_args(["--packet-seconds", "0.5", "--rounds", "2"])
    assert chosen_sizes(arguments, DATA_QUICK) == dataclasses.replace(DATA_QUICK, packet_seconds=0.5, rounds=2)
