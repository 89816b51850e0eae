"""The fuzzers: each replays its corpus, then looks for new inputs for FUZZ_SECONDS (3).

What a fuzzer finds is written beside the program, in build/fuzz/, and its run's output says where.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from . import build
from .seeds import CORPUS

SECONDS = int(os.environ.get("FUZZ_SECONDS", "3"))
INPUT_MAX = 4096
"""Bytes."""

OPTIONS = ("-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1")

IN_PYTHON = ("proxyproto",)
"""Those with a test file of their own."""

pytestmark = [
    pytest.mark.skipif(bool(build.missing()), reason=f"no fuzzing: {build.missing()}"),
    pytest.mark.timeout(SECONDS + 300),
]


def run(target: str, *arguments: str) -> str:
    """What the fuzzer said; the test fails where it found something."""
    program = build.build(target)
    command = [str(program), f"-artifact_prefix={program}-", *OPTIONS, *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS + 120)
    said = result.stdout.decode(errors="replace")
    assert result.returncode == 0, said[-6000:]
    return said


def statistic(said: str, name: str) -> str:
    return next((line.split()[-1] for line in said.splitlines() if f"stat::{name}" in line), "?")


def test_every_fuzzer_has_a_corpus() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*build.TARGETS, *IN_PYTHON}


@pytest.mark.parametrize("target", build.TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = CORPUS / target
    run(target, "-runs=0", str(seeds))
    found = tmp_path / target
    shutil.copytree(seeds, found)
    with capsys.disabled():
        if SECONDS > 5:
            print(f"\nfuzz: {target}, {SECONDS} s", flush=True)
    said = run(target, f"-max_total_time={SECONDS}", f"-max_len={INPUT_MAX}", str(found))
    units = statistic(said, "number_of_executed_units")
    with capsys.disabled():
        if SECONDS > 5:
            print(f"fuzz: {target}: {units} inputs, nothing found", flush=True)
