"""`python -m benchmarks.promise`: logins by one back end while another vhost's server is dead, and while it answers.

secmod runs as main starts it. Workers of the default vhost log in by `plain`, fifty a second, and as many at another
vhost by `radius`: in turns at one whose server takes datagrams and never answers, and at one whose server answers. What
is measured is the time of those by `plain`, from AuthInit and from AuthCont to the reply, summed for each login; the
medians of both are to differ by 10 % at most, or the dead is to be the lesser burden. Beside them stands what it is
without any other login.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from ocserv_core.config.build import read_config
from ocserv_core.errors import PeerLost, PeerViolation
from ocserv_core.ipc.async_channel import AsyncChannel
from ocserv_core.ipc.messages import (
    AuthCont,
    AuthGranted,
    AuthInit,
    AuthPrompt,
    FromSecmodToWorker,
    Message,
    WorkerAttach,
)
from ocserv_core.main.secmod import Secmod
from ocserv_core.model import ClientInfo, Endpoint
from ocserv_core.system.crypt import hash_password
from ocserv_core.testing.server import write_certificate
from tests.servers.freeradius import SECRET, FreeRadius, missing

RATE = 50.0
GOAL = 0.10
PASSWORD = "swordfish"
USER = "alice"
DEAD, ALIVE = "dead.example", "alive.example"


@dataclass(slots=True)
class Worker:
    """One worker's end of its channel to secmod, and the reply that it waits for."""

    channel: AsyncChannel[FromSecmodToWorker] = field(init=False)
    reply: asyncio.Future[Message] = field(init=False)

    async def ask(self, question: Message) -> Message:
        """What secmod replies; PeerLost where it is gone."""
        self.reply = asyncio.get_running_loop().create_future()
        self.channel.send(question)
        return await self.reply

    def on_message(self, message: Message, _fds: list[int]) -> None:
        self.reply.set_result(message)

    def on_end(self, error: PeerLost | PeerViolation) -> None:
        if hasattr(self, "reply") and not self.reply.done():
            self.reply.set_exception(error)


class Load:
    """The logins of one secmod."""

    def __init__(self, secmod: Secmod) -> None:
        self._secmod = secmod
        self._next = 0

    async def log_in(self, vhost: str) -> float:
        """Seconds that secmod took; ValueError where it did not let in."""
        worker = self._attach()
        with contextlib.closing(worker.channel):
            began = time.monotonic()
            prompt = await worker.ask(AuthInit(vhost=vhost, method="", username=USER, group="", client=ClientInfo()))
            assert isinstance(prompt, AuthPrompt), prompt
            granted = await worker.ask(AuthCont(prompt.handle, PASSWORD))
            took = time.monotonic() - began
        if not isinstance(granted, AuthGranted):
            raise ValueError(f"{granted}")
        return took

    def _attach(self) -> Worker:
        self._next += 1
        number, worker = self._next, Worker()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ip = f"192.0.2.{number % 250 + 1}"
        with theirs:
            self._secmod.attach(
                WorkerAttach(number, Endpoint(ip, 1000), Endpoint("192.0.2.254", 443), None), theirs.fileno()
            )
        worker.channel = AsyncChannel(
            ours, FromSecmodToWorker, trusted=True, on_message=worker.on_message, on_end=worker.on_end
        )
        return worker

    async def part(self, seconds: float, other: str) -> list[float]:
        """So many seconds of logins by plain, and as many at the other vhost ("" for none): what each of the former
        took."""
        chance = random.Random(1)
        tasks: list[asyncio.Task[float]] = []
        others: list[asyncio.Task[float]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tasks.append(asyncio.create_task(self.log_in("default")))
            await asyncio.sleep(chance.expovariate(2 * RATE))
            if other:
                others.append(asyncio.create_task(self.log_in(other)))
            await asyncio.sleep(chance.expovariate(2 * RATE))
        times = await asyncio.gather(*tasks)
        for task in others:
            task.cancel()
        ended = await asyncio.gather(*others, return_exceptions=True)
        if other == ALIVE and (failed := [one for one in ended if isinstance(one, ValueError)]):
            raise failed[0]
        return times


async def measure(home: Path, alive: FreeRadius, rounds: int, seconds: float) -> list[dict[str, float]]:
    """For each round the median by what else went on, in seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        dead = _radiusclient(home, "dead", hole.getsockname()[1])
        config = read_config(_config(home, dead, str(alive.radiusclient())), "benchmark.conf").config
        secmod = _secmod()
        secmod.start()
        try:
            await secmod.configure(1, config)
            secmod.commit(1)
            load = Load(secmod)
            for other in (DEAD, ALIVE, ""):
                await load.part(1.0, other)
            found = []
            for number in range(rounds):
                order = ["", ALIVE, DEAD] if number % 2 else ["", DEAD, ALIVE]
                found.append({other: statistics.median(await load.part(seconds, other)) for other in order})
                told = ", ".join(f"{other or 'alone'} {found[-1][other] * 1e3:.2f} ms" for other in ("", ALIVE, DEAD))
                print(f"round {number + 1}: {told}")
            return found
        finally:
            await secmod.stop(5.0)


def _secmod() -> Secmod:
    return Secmod(
        {},
        open_sessions=lambda: (),
        on_fresh=lambda: None,
        on_disconnect=lambda _message: None,
        on_update=lambda _message: None,
        on_cut_off=lambda _number: None,
        on_points=lambda _message: None,
        on_death=lambda error: print(f"secmod ended: {error}", file=sys.stderr),
    )


def _radiusclient(home: Path, name: str, port: int) -> str:
    file = home / f"{name}.conf"
    (home / f"{name}.servers").write_text(f"127.0.0.1 {SECRET}\n")
    os.chmod(home / f"{name}.servers", 0o600)
    file.write_text(f"authserver 127.0.0.1:{port}\nacctserver 127.0.0.1:{port}\nservers {home}/{name}.servers\n")
    return str(file)


def _config(home: Path, dead: str, alive: str) -> str:
    write_certificate(str(home))
    (home / "passwd").write_text(f"{USER}:*:{hash_password(PASSWORD.encode(), '$5$rounds=1000$promise')}\n")
    lines = {
        "auth": f'"plain[passwd={home}/passwd]"',
        "tcp-port": "443",
        "server-cert": f"{home}/cert.pem",
        "server-key": f"{home}/key.pem",
        "socket-file": f"{home}/ocserv.sock",
        "state-dir": f"{home}/state",
        "session-store": "memory",
        "device": "vpns",
        "ipv4-network": "198.51.100.0/24",
    }
    text = "".join(f"{name} = {value}\n" for name, value in lines.items())
    others = "".join(
        f'[vhost:{name}]\nauth = "radius[config={file}]"\n' for name, file in ((DEAD, dead), (ALIVE, alive))
    )
    return text + others


def main() -> int:
    """The exit status: 0 where the promise is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.promise", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each half of a round")
    arguments = parser.parse_args()
    if missing():
        print(missing(), file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ocserv-benchmark-") as home:
        radius = FreeRadius(Path(home) / "radius", f'{USER} Cleartext-Password := "{PASSWORD}"\n').start()
        try:
            rounds = asyncio.run(measure(Path(home), radius, arguments.rounds, arguments.seconds))
        finally:
            radius.stop()
    ratios = sorted(one[DEAD] / one[ALIVE] for one in rounds)
    middle = statistics.median(ratios)
    print(f"beside the dead {middle:.3f} of beside the living ({ratios[0]:.3f}-{ratios[-1]:.3f}), to be 1.1 at most")
    return int(middle > 1 + GOAL)


if __name__ == "__main__":
    sys.exit(main())
