"""`python -m benchmarks.signers`: what sec-mod-scale gives and costs. RSA of 2048 bits, the key in a file.

Signatures a second with 16 askers at once, by secmod itself, by one signer and by two, and how long secmod's loop is
then away from everything else; and the time of a single one that waits for nobody. The ways take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import rsa

from ocserv_core.ipc.messages import Sign
from ocserv_core.secmod.keys import KeyRing
from ocserv_core.secmod.signer_process import end_signers
from ocserv_core.secmod.signers import Signers

ASKERS = 16
WAYS = {0: "secmod itself", 1: "one signer", 2: "two signers"}
TICK = 0.001
"""Seconds that the loop's other work asks to wait; what it waits more is the delay."""

_SIGN = Sign("default", 0, "RSA-PSS-SHA256", hashlib.sha256(b"a handshake").digest())


async def ask(signers: Signers) -> None:
    """One signature."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    signers.ask(_SIGN, answer.set_result)
    assert await answer
    # A worker's next question comes by the loop too.
    await asyncio.sleep(0)


async def rate(signers: Signers, seconds: float) -> tuple[float, float]:
    """Signatures a second, and the median delay of the loop's other work in milliseconds."""
    end = time.perf_counter() + seconds
    done, delays = itertools.count(), list[float]()

    async def asker() -> None:
        while time.perf_counter() < end:
            await ask(signers)
            next(done)

    async def other() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            delays.append(time.perf_counter() - began - TICK)

    watching = asyncio.create_task(other())
    began = time.perf_counter()
    await asyncio.gather(*(asker() for _ in range(ASKERS)))
    took = time.perf_counter() - began
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return next(done) / took, statistics.median(delays) * 1e3


async def single(signers: Signers, number: int) -> list[float]:
    """Microseconds of each of so many, one after another."""
    times = []
    for _ in range(number):
        began = time.perf_counter()
        await ask(signers)
        times.append((time.perf_counter() - began) * 1e6)
    return times


async def measure(rounds: int, seconds: float, number: int) -> None:
    """All ways in turns, and the table."""
    ring = KeyRing([rsa.generate_private_key(65537, 2048)])
    ways = {count: Signers({"default": ring}, count, least=1) for count in WAYS}
    for count, signers in ways.items():
        signers.start()
        while signers.ready < count:  # noqa: ASYNC110 (what their processes say comes by the loop)
            await asyncio.sleep(0.01)
    rates: dict[int, list[tuple[float, float]]] = {count: [] for count in WAYS}
    times: dict[int, list[float]] = {count: [] for count in WAYS}
    for _ in range(rounds):
        for count, signers in ways.items():
            rates[count].append(await rate(signers, seconds))
            times[count] += await single(signers, number)
    for line in table(rates, times):
        print(line)
    for signers in ways.values():
        signers.retire()
    await end_signers()


def table(rates: dict[int, list[tuple[float, float]]], times: dict[int, list[float]]) -> Iterator[str]:
    """One line a way: medians, with the least and the most (of a single one: the middle half)."""
    for count, name in WAYS.items():
        each = [value for value, _ in rates[count]]
        away = statistics.median(delay for _, delay in rates[count])
        low, middle, high = statistics.quantiles(times[count], n=4)
        yield (
            f"{name}: {statistics.median(each):.0f} signatures/s ({min(each):.0f} to {max(each):.0f}), "
            f"other work waits {away:.1f} ms; a single one takes {middle:.0f} us ({low:.0f} to {high:.0f})"
        )


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--singles", type=int, default=500)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.seconds, arguments.singles))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
