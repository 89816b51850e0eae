"""Logins, full connects, first forms and idle clients: what a server spends on the clients of load.py."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from .accounting import Process, machine_cpu, pss
from .arena import SERVER_ADDRESS, Arena, end, inside
from .load import Task
from .servers import Server
from .sizes import Sizes

_ROOT = str(Path(__file__).resolve().parent.parent)
_TIMEOUT = 300.0


def measure_logins(arena: Arena, server: Server, sizes: Sizes) -> dict[str, float]:
    """Authentication alone: rate and CPU, one after another and several at once."""
    return _measure_both(arena, server, "login", "logins", sizes.logins, sizes.parallel)


def measure_connects(arena: Arena, server: Server, sizes: Sizes) -> dict[str, float]:
    """Authentication, CONNECT and BYE: rate and CPU, one after another and several at once."""
    return _measure_both(arena, server, "connect", "connects", sizes.connects, sizes.parallel)


def measure_forms(arena: Arena, server: Server, sizes: Sizes) -> dict[str, float]:
    """Milliseconds from TCP's connect to the first form's last byte."""
    server.settle()
    text = _run(arena, "forms", _task(server, sizes.forms))
    each = sorted(1000 * seconds for seconds in msgspec.json.decode(text, type=dict[str, list[float]])["each"])
    return {"form.median": statistics.median(each), "form.p95": each[int(0.95 * (len(each) - 1))]}


def measure_idle(arena: Arena, server: Server, sizes: Sizes) -> dict[str, float]:
    """Megabytes of memory (PSS) of an idle client's worker, and of the processes that all share."""
    server.settle()
    task = _task(server, sizes.idle_clients, transfer=sizes.idle_bytes)
    with _idle_clients(arena, task):
        before = server.cpu()
        time.sleep(sizes.idle_seconds)
        idle_cpu = server.cpu() - before
        workers = [pss(worker.pid) for worker in server.workers()]
        if len(workers) != sizes.idle_clients:
            raise RuntimeError(f"{len(workers)} workers for {sizes.idle_clients} clients")
        shared = _by_role(server.processes())
    server.settle()
    return {
        "idle.pss": statistics.mean(workers) / 1e6,
        "idle.cpu": 1e6 * idle_cpu / sizes.idle_seconds / sizes.idle_clients,
        **{f"idle.{role}": size / 1e6 for role, size in shared.items()},
    }


def _measure_both(arena: Arena, server: Server, name: str, kind: str, count: int, parallel: int) -> dict[str, float]:
    one = _measure_rate(arena, server, kind, _task(server, count))
    many = _measure_rate(arena, server, kind, _task(server, count, parallel=parallel))
    return {f"{name}.{key}": value for key, value in one.items()} | {
        f"{name}.parallel_{key}": value for key, value in many.items()
    }


def _measure_rate(arena: Arena, server: Server, kind: str, task: Task) -> Mapping[str, float]:
    """The CPU counts until the last worker has ended and was reaped; the rate is the clients'."""
    server.settle()
    before, machine = server.cpu(), machine_cpu()
    text = _run(arena, kind, task)
    server.settle()
    used, machine_used = server.cpu() - before, machine_cpu() - machine
    seconds = msgspec.json.decode(text, type=dict[str, float])["seconds"]
    return {
        "rate": task.count / seconds,
        "cpu": 1000 * used / task.count,
        "machine_cpu": 1000 * machine_used / task.count,
    }


def _task(server: Server, count: int, *, parallel: int = 1, transfer: int = 0) -> Task:
    contender = server.contender
    return Task(SERVER_ADDRESS, contender.port, contender.gateway, count, parallel, transfer)


def _command(arena: Arena, kind: str, task: Task) -> list[str]:
    return inside(arena.client, sys.executable, "-m", "benchmarks.load", kind, msgspec.json.encode(task).decode())


def _run(arena: Arena, kind: str, task: Task) -> bytes:
    command = _command(arena, kind, task)
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=_TIMEOUT, cwd=_ROOT).stdout


@contextlib.contextmanager
def _idle_clients(arena: Arena, task: Task) -> Iterator[None]:
    """Clients that are connected, have moved their bytes, and are silent."""
    process = subprocess.Popen(_command(arena, "idle", task), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with process.stdin, process.stdout:
            # The clients' own time-outs bound this wait.
            if not process.stdout.readline():
                raise RuntimeError("the idle clients failed")
            yield
        process.wait(30)
    finally:
        end(process)


def _by_role(processes: list[Process]) -> dict[str, int]:
    """Bytes of main (the first), of the nursery, and of everything else that is no worker: secmod."""
    sizes = {"main": pss(processes[0].pid), "nursery": 0, "secmod": 0}
    for process in processes[1:]:
        if "worker" not in process.title:
            sizes["nursery" if "nursery" in process.title else "secmod"] += pss(process.pid)
    return sizes
