"""What is done outside of the server for one tunnel, all of it at once: firewall, routes, records, scripts. Whatever
ends the tunnel, nothing is left, and nothing is there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from .lab import GATEWAY4, Lab
from .processes import PATIENCE
from .server import OCSERV, Server
from .test_iroutes import BEHIND4, routes
from .test_scripts import script

OWN_RECORDS = 'mount -t tmpfs t /run && mount -t tmpfs t /var/log && : > /run/utmp && : > /var/log/wtmp && exec "$@"'


def started(lab: Lab, more: str = "") -> Server:
    """A server that does everything for alice, with records of its own."""
    os.mkdir(lab.path("users"))
    lab.write("users/alice", f"iroute = {BEHIND4}\nrestrict-user-to-ports = tcp(443), icmp()\n")
    path = script(lab, more)
    config = lab.configure(
        config_per_user=lab.path("users"),
        route_add_cmd="ip route add %{R} dev %{D}",
        connect_script=path,
        disconnect_script=path,
        use_utmp=True,
    )
    argv = [*OCSERV, "-f", "--log-stderr", "-c", config]
    # The folders of ip(8) are below /run: they stay seen.
    words = ["unshare", "--mount", "sh", "-c", OWN_RECORDS, "sh", *argv]
    return lab.run_server(words, lab.path("occtl.sock")).await_listening()


def recorded(server: Server) -> list[str]:
    """The devices of who is logged in."""
    inside = ["nsenter", f"--mount=/proc/{server.pid}/ns/mnt", "who", "/run/utmp"]
    lines = subprocess.run(inside, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    return [line.split()[1] for line in lines]


def left(lab: Lab, server: Server) -> tuple[int, int, int]:
    """Rules, routes, records."""
    ruleset = lab.namespace.run("nft", "list", "ruleset").stdout
    return ruleset.count("goto vpns"), routes(lab).count(BEHIND4), len(recorded(server))


def await_left(lab: Lab, server: Server, wanted: tuple[int, int, int]) -> None:
    give_up = time.monotonic() + PATIENCE
    while (found := left(lab, server)) != wanted:
        assert time.monotonic() < give_up, f"{found} instead of {wanted}:\n{server.log.tail()}"
        time.sleep(0.05)


def test_each_is_there_once_after_a_reconnect_and_not_at_all_after_the_end(lab: Lab) -> None:
    server = started(lab)
    client = lab.connect("alice")
    await_left(lab, server, (1, 1, 1))
    client.send_signal(signal.SIGUSR2)
    client.await_reconnected()
    await_left(lab, server, (1, 1, 1))
    server.kill_one("ocserv-worker")
    client.await_reconnected(times=2)
    await_left(lab, server, (1, 1, 1))
    assert client.reaches(GATEWAY4)
    client.disconnect()
    await_left(lab, server, (0, 0, 0))


def test_of_one_that_is_terminated_while_it_is_opened_nothing_is_left(lab: Lab) -> None:
    wait = f'if [ $REASON = connect ]; then while [ ! -e "{lab.path("gate")}" ]; do sleep 0.05; done; fi'
    server = started(lab, wait)
    client = lab.login("alice")
    server.log.wait_for("script connect")
    assert server.occtl("terminate", "user", "alice").returncode == 0
    client.wait()
    await_left(lab, server, (0, 0, 0))
    lab.write("gate", "")
    lab.connect("alice")
    await_left(lab, server, (1, 1, 1))


def test_who_goes_with_the_server_is_recorded_as_gone(lab: Lab) -> None:
    server = started(lab)
    lab.connect("alice")
    await_left(lab, server, (1, 1, 1))
    with open(f"/proc/{server.pid}/root/run/utmp", "rb") as records:
        server.stop()
        assert b"alice" not in records.read()
