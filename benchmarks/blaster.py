"""Numbered UDP packets of a paced rate through a tunnel: native/blaster.c, compiled when it is first needed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from .arena import end, inside

_SOURCE = Path(__file__).parent / "native" / "blaster.c"
_PORT = 5300

PAYLOAD = 36
"""Bytes of UDP payload that make an IPv4 packet of 64 bytes."""


class Sent(msgspec.Struct, frozen=True):
    """offered: packets that were due; sent: those that the kernel took; nowhere: those for whose network there was
    no way or no address at the time; seconds."""

    offered: int
    sent: int
    nowhere: int
    seconds: float


class Counted(msgspec.Struct, frozen=True):
    """received: duplicates included; late: with a lower number than one before; longest_gap: seconds without any,
    that before the end included."""

    received: int
    duplicates: int
    late: int
    longest_gap: float


@dataclass(frozen=True, slots=True)
class Blast:
    """What came of one stream of packets."""

    sent: Sent
    counted: Counted

    @property
    def delivered(self) -> int:
        """Packets that arrived, each counted once."""
        return self.counted.received - self.counted.duplicates

    @property
    def lost(self) -> int:
        """Packets that the sender's kernel took and that did not arrive."""
        return self.sent.sent - self.delivered

    @property
    def rate(self) -> float:
        """Packets a second that arrived."""
        return self.delivered / self.sent.seconds


def compile_blaster(home: str) -> str:
    """The program's path; it lies in `home`. Needs gcc."""
    program = os.path.join(home, "blaster")
    if not os.path.exists(program):
        subprocess.run(["gcc", "-O2", "-o", program, str(_SOURCE)], check=True, timeout=60)
    return program


class Counter:
    """Counts in a namespace from its start until `finish`. A context manager: ends its process in any case."""

    def __init__(self, home: str, namespace: str, address: str) -> None:
        command = inside(namespace, compile_blaster(home), "count", address, str(_PORT))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self.__exit__()
            raise RuntimeError("the counter of packets does not start")
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def finish(self) -> Counted:
        """What was counted. Packets that are still under way count for 0.3 s more."""
        text, _ = self._process.communicate(timeout=10)
        return msgspec.json.decode(text, type=Counted)


def blast(
    home: str, ends: tuple[str, str], address: str, *, rate: float, seconds: float, payload: int = PAYLOAD
) -> Blast:
    """Packets from one namespace of `ends` to the other, which has `address`; rate in packets a second."""
    sender, receiver = ends
    numbers = (f"{rate:g}", f"{seconds:g}", str(payload))
    with Counter(home, receiver, address) as counter:
        command = inside(sender, compile_blaster(home), "send", address, str(_PORT), *numbers)
        text = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 30).stdout
        return Blast(msgspec.json.decode(text, type=Sent), counter.finish())
