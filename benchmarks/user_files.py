"""What the files of a user and of his group cost each login: `python -m benchmarks.user_files`.

Measured where the security module calls the back end `files`: from the question what holds for a session to the options
of it, the reading of what the back end said included. The file system is whatever the folder of temporary files is on,
and its cache is warm, as that of a server is whose users come again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ocserv_core.builtin.config_files import ConfigFiles
from ocserv_core.testing.dialogue import Stage, a_session

GOAL = 1.0
"""Milliseconds for a user's file."""

USER = """\
# what an administrator writes for one user
explicit-ipv4 = 192.0.2.77
route = 198.51.100.0/24
route = 203.0.113.0/255.255.255.0
no-route = 198.51.100.128/25
dns = 192.0.2.53
split-dns = example.com
restrict-user-to-ports = tcp(443), udp(53), icmp()
session-timeout = 8h
idle-timeout = 20m
rx-data-per-sec = 1000000
tx-data-per-sec = 1000000
mtu = 1400
"""


def main() -> int:
    """The exit status: 0 when everything was measured, reached or not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.user_files", description=__doc__)
    parser.add_argument("--logins", type=int, default=2000, help="how many are measured (2000)")
    logins = parser.parse_args().logins
    print("| files | median ms | 5 to 95 of 100 | goal |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for title, user, group in (
            ("none", "", ""),
            ("a user's, 13 lines", USER, ""),
            ("a user's and a group's", USER, USER),
            ("a user's with 200 routes", "".join(f"route = 10.{n}.0.0/16\n" for n in range(200)), ""),
        ):
            costs = sorted(measure(home, user, group, logins))
            low, high = costs[len(costs) // 20], costs[-len(costs) // 20]
            goal = f"≤ {GOAL:g}" if title.startswith("a user's, ") else ""
            print(f"| {title} | {statistics.median(costs):.3f} | {low:.3f} to {high:.3f} | {goal} |")
    return 0


def measure(home: Path, user: str, group: str, logins: int) -> list[float]:
    """Milliseconds of each login."""
    options = {}
    for kind, text, name in (("per-user", user, "alice"), ("per-group", group, "staff")):
        (home / kind).mkdir(exist_ok=True)
        options[kind] = str(home / kind)
        (home / kind / name).unlink(missing_ok=True)
        if text:
            (home / kind / name).write_text(text)
    costs = []
    with Stage("ocserv.config", ConfigFiles, options) as stage:
        session = a_session("alice", group="staff")
        for _ in range(logins):
            begin = time.perf_counter()
            stage.configure(session)
            costs.append((time.perf_counter() - begin) * 1000)
    return costs


if __name__ == "__main__":
    sys.exit(main())
