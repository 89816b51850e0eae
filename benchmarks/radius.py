"""`python -m benchmarks.radius`: 200 logins through an instance of the RADIUS back end, as secmod runs it, beside the
same 200 requests of `radclient -p 200`, in turns, against one FreeRADIUS.

Two times are told, of both in the same way:

    each    from a request to its own answer. radclient looks for answers between two requests, so each login is begun
            after one turn of the loop, in which answers are read
    burst   from the first request of all to each answer. All logins are begun at once, before any answer can be read

radclient's are by its lines "Sent" and "Received" and the clock of who reads these. Exit status 0: nothing was lost,
and the goal is reached in both.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ocserv_core.config.values import BackendSpec
from ocserv_core.model import ClientInfo
from ocserv_core.plugin import Login, Prompt
from ocserv_core.plugin.manager import load, new_manager
from ocserv_core.secmod.instance import Instance
from tests.servers.freeradius import FreeRadius, missing

LOGINS = 200
GOAL = 3.0
PASSWORD = "bobs-password"
USERS = f'DEFAULT Cleartext-Password := "{PASSWORD}"\n\tClass := "OU=staff;guests", Framed-Route := "192.0.2.0/24"\n'


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of all that were answered, each way."""

    ours_each: list[float]
    ours_burst: list[float]
    theirs_each: list[float]
    theirs_burst: list[float]


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.radius", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count; one more goes before")
    arguments = parser.parse_args()
    if missing():
        print(missing(), file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ocserv-benchmark-") as home:
        server = FreeRadius(Path(home) / "radius", USERS).start()
        try:
            rounds = asyncio.run(measure(server, arguments.rounds))
        finally:
            server.stop()
    return tell(rounds)


def tell(rounds: Sequence[Round]) -> int:
    """Print what came of the rounds; the exit status."""
    failed = any(len(seconds) < LOGINS for one in rounds for seconds in (one.ours_each, one.ours_burst))
    for kind in ("each", "burst"):
        highs = []
        for name, who in (("this server", "ours"), ("radclient", "theirs")):
            found = [getattr(one, f"{who}_{kind}") for one in rounds]
            median, high = (statistics.median(percentile(one, share) for one in found) * 1e3 for share in (0.5, 0.99))
            answered = min(map(len, found))
            print(f"{kind:6} {name:12} {answered} of {LOGINS} answered   median {median:5.1f} ms   p99 {high:5.1f} ms")
            highs.append(high)
        print(f"{kind:6} p99: {highs[0] / highs[1]:.2f} times that of radclient (goal: {GOAL:g} at most)")
        failed = failed or highs[0] / highs[1] > GOAL
    return int(failed)


def percentile(seconds: Sequence[float], share: float) -> float:
    """The nearest rank."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(server: FreeRadius, rounds: int) -> list[Round]:
    """Both, in turns; the first round warms up."""
    instance = make_instance(server)
    requests = write_requests(server)
    found = []
    for _ in range(rounds + 1):
        theirs_each, theirs_burst = await asyncio.to_thread(radclient, server, requests)
        ours_each = await logins(instance, turns=1)
        found.append(Round(ours_each, await logins(instance, turns=0), theirs_each, theirs_burst))
    return found[1:]


def make_instance(server: FreeRadius) -> Instance:
    """As secmod makes it of a line of the configuration."""
    manager = new_manager()
    spec = BackendSpec("radius", {"config": server.radiusclient()})
    (plugin,) = load(manager, "ocserv.auth", (spec,), "default")
    return Instance(plugin, manager)


async def logins(instance: Instance, turns: int) -> list[float]:
    """Seconds of each that was accepted, from its own begin; `turns` of the loop go between two begins."""

    async def ask(_prompt: Prompt) -> str:
        return PASSWORD

    async def one(number: int, began: float) -> float:
        await instance.authenticate(Login(f"user{number}", "", "default", "192.0.2.7", ClientInfo()), ask)
        return time.perf_counter() - began

    tasks = []
    began = time.perf_counter()
    for number in range(LOGINS):
        tasks.append(asyncio.create_task(one(number, time.perf_counter() if turns else began)))
        for _ in range(turns):
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    return [seconds for seconds in outcomes if isinstance(seconds, float)]


def write_requests(server: FreeRadius) -> Path:
    """The same requests for radclient."""
    path = server.folder / "requests"
    lines = "Calling-Station-Id=192.0.2.7\nService-Type=Authenticate-Only\nNAS-Port-Type=Async\n"
    common = f'User-Password="{PASSWORD}"\nNAS-IP-Address=127.0.0.1\n{lines}Message-Authenticator=0x00\n'
    path.write_text("\n".join(f"User-Name=user{number}\n{common}" for number in range(LOGINS)))
    return path


def radclient(server: FreeRadius, requests: Path) -> tuple[list[float], list[float]]:
    """Seconds of each that was accepted: from its own request, and from the first of all."""
    words = ["radclient", "-x", "-p", str(LOGINS), "-f", str(requests), f"127.0.0.1:{server.auth_port}", "auth"]
    sent: dict[str, float] = {}
    each: list[float] = []
    burst: list[float] = []
    first = 0.0
    with subprocess.Popen(["stdbuf", "-oL", *words, server.secret], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter()
            # An identifier that is answered is used again.
            match = re.match(r"(Sent) Access-Request Id (\d+)|(Received) Access-Accept Id (\d+)", line)
            if match and match[1]:
                sent[match[2]] = now
                first = first or now
            elif match:
                each.append(now - sent[match[4]])
                burst.append(now - first)
    return each, burst


if __name__ == "__main__":
    sys.exit(main())
