"""A crowd in mid-round: `python pam_crowd.py COUNT`, with alice's password on stdin and a service of two rounds.

COUNT logins are suspended at their second question; what they take is told as JSON, and how long others take beside
them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from ocserv_core.config.values import BackendSpec
from ocserv_core.model import ClientInfo
from ocserv_core.plugin import Denied, Login, Prompt
from ocserv_core.plugin.manager import load, new_manager
from ocserv_core.secmod.hosts import HostProcess, end_hosts
from ocserv_core.secmod.instance import Instance

SERIES = 20
"""Logins one after another, to the second question and back, alone and beside the crowd."""


class User:
    """Answers the first question; is silent at the second, or says something wrong."""

    def __init__(self, password: str, *, silent: bool) -> None:
        self._password = password
        self._silent = silent
        self.asked: list[str] = []
        self.suspended = asyncio.Event()

    async def ask(self, prompt: Prompt) -> str:
        self.asked.append(prompt.text)
        if len(self.asked) == 1:
            return self._password
        self.suspended.set()
        if self._silent:
            await asyncio.Event().wait()
        return "000000"


def private_bytes(pid: int) -> int:
    """What this process has for itself alone."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Private_"))


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


async def series(instance: Instance, password: str, suspended: int = 0) -> list[float]:
    """Seconds that each login takes."""
    took = []
    for _ in range(SERIES):
        began = time.monotonic()
        try:
            await instance.authenticate(login(), User(password, silent=False).ask)
        except Denied:
            took.append(time.monotonic() - began)
    await settled(instance, suspended)
    return took


async def settled(instance: Instance, count: int) -> None:
    """Until no more than so many children are left."""
    while instance.threads > count:  # noqa: ASYNC110 (it is nobody's event)
        await asyncio.sleep(0.005)


def login() -> Login:
    return Login("alice", "", "default", "192.0.2.7", ClientInfo())


async def main(count: int, password: str) -> None:
    manager = new_manager()
    (plugin,) = load(manager, "ocserv.auth", [BackendSpec("pam")], "default")
    instance = Instance(plugin, manager)
    alone = await series(instance, password)
    users = [User(password, silent=True) for _ in range(count)]
    began = time.monotonic()
    crowd = [asyncio.create_task(instance.authenticate(login(), user.ask)) for user in users]
    await asyncio.gather(*(user.suspended.wait() for user in users))
    gathered = time.monotonic() - began
    (host,) = (process.pid for process in HostProcess.running)
    children = children_of(host)
    figures = {
        "children": len(children),
        "private_children": sum(private_bytes(pid) for pid in children),
        "private_host": private_bytes(host),
        "gathered": gathered,
        "alone": alone,
        "beside": await series(instance, password, count),
        "working": instance.working,
    }
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    began = time.monotonic()
    await settled(instance, 0)
    figures["ended"] = time.monotonic() - began
    figures["left"] = len(children_of(host))
    await end_hosts()
    print(json.dumps(figures))


if __name__ == "__main__":
    os.umask(0o077)
    asyncio.run(main(int(sys.argv[1]), sys.stdin.readline().rstrip("\n")))
