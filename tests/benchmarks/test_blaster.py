"""Numbered packets: the program that sends them, over loopback, and what is made of its counts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from benchmarks.blaster import Blast, Counted, Sent, compile_blaster

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
USAGE = 2


def test_a_packet_that_came_twice_was_delivered_once() -> None:
    found = Blast(Sent(100, 90, 0, 2.0), Counted(82, 2, 0, 0.1))
    assert (found.delivered, found.lost, found.rate) == (80, 10, 40.0)


@needs_gcc
def test_it_sends_as_many_as_were_asked_for(tmp_path: Path) -> None:
    program = compile_blaster(str(tmp_path))
    # Port 9 of loopback: whether somebody listens is nothing to the sender.
    command = [program, "send", "127.0.0.1", "9", "5000", "0.1", "36"]
    sent = msgspec.json.decode(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, type=Sent)
    assert sent.offered == 500
    assert sent.sent <= sent.offered


@needs_gcc
@pytest.mark.parametrize(
    "words", [(), ("send", "127.0.0.1", "9", "0", "1", "36"), ("send", "127.0.0.1", "9", "1", "1", "7")]
)
def test_what_it_does_not_understand_it_refuses(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert subprocess.run([compile_blaster(str(tmp_path)), *words], capture_output=True).returncode == USAGE
