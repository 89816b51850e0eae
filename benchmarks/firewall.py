"""`python -m benchmarks.firewall`: how long until a restricted client's rules are in place, and until they are gone.

Needs root. In a network namespace of its own, with the code that main uses: a client with 25 ports and 25 networks, one
after another added beside as many others as are named. The time is from the call in main's loop to the answer, through
the thread in which libnftables works; 5 ms are the most that is allowed for a client alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Sequence

from ocserv_core.config.addresses import PortRule
from ocserv_core.config.session import SessionConfig
from ocserv_core.main.firewall import Firewall
from ocserv_core.main.records import TunnelRecord
from ocserv_core.model import Lease, SessionId
from ocserv_core.state.firewall import rules_of
from ocserv_core.system import libc

MOST = 0.005

CONFIG = SessionConfig(
    restrict_user_to_routes=True,
    restrict_user_to_ports=tuple(PortRule("tcp" if n % 2 else "udp", 1000 + n) for n in range(25)),
    routes=(*(f"10.{n}.0.0/24" for n in range(13)), *(f"2001:db8:{n:x}::/64" for n in range(1, 13))),
)


def main() -> int:
    """The exit status: 0 where the median for a client alone is within its bound."""
    arguments = _parser().parse_args()
    if os.geteuid() != 0:
        print("needs root: network namespaces", file=sys.stderr)
        return 1
    libc.unshare(libc.CLONE_NEWNET)
    rules = rules_of(CONFIG)
    print(f"{len(CONFIG.restrict_user_to_ports) + len(CONFIG.routes)} ports and networks of a client:", end=" ")
    print(f"{len(rules.first) + len(rules.routes)} rules")
    alone = asyncio.run(_measure(0, arguments.rounds))
    for others in arguments.beside:
        asyncio.run(_measure(others, arguments.rounds))
    return 0 if alone <= MOST else 1


async def _measure(others: int, rounds: int) -> float:
    """Beside so many others; the median of adding, in seconds."""
    firewall = Firewall("ocserv_benchmark")
    for number in range(others):
        await firewall.add(_tunnel(number + 10000))
    added, removed = [], []
    for number in range(rounds):
        tunnel = _tunnel(number + 1)
        added.append(await _timed(firewall.add(tunnel)))
        removed.append(await _timed(firewall.remove(tunnel)))
    await firewall.close()
    print(f"beside {others} others: added in {_spread(added)}, removed in {_spread(removed)}")
    return statistics.median(added)


async def _timed(action: Awaitable[None]) -> float:
    began = time.perf_counter()
    await action
    return time.perf_counter() - began


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
    return f"{statistics.median(ordered) * 1e3:.2f} ms ({low * 1e3:.2f}–{high * 1e3:.2f})"


def _tunnel(number: int) -> TunnelRecord:
    return TunnelRecord(SessionId("s"), "user", "", Lease(), f"vpns{number}", number, 0.0, CONFIG)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.firewall", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "--beside", type=int, nargs="*", default=[10, 100, 500], help="so many clients are there already"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
