"""The end of the server while something outside of it hangs: it ends in its time all the same, and leaves nothing."""

from __future__ import annotations

import os
import signal

from .lab import Lab
from .processes import Watched
from .server import END_WITHIN, OCSERV

DEAF = 'trap "" TERM; echo "deaf $$" >&2; while :; do sleep 1; done'


def deaf_script(lab: Lab, reason: str) -> str:
    return lab.write("deaf", f"#!/bin/sh\n[ $REASON = {reason} ] || exit 0\n{DEAF}\n", mode=0o755)


def test_a_connect_script_that_does_not_end_is_killed(lab: Lab) -> None:
    path = deaf_script(lab, "connect")
    server = lab.start_server(connect_script=path, restrict_user_to_routes=True)
    lab.login()
    server.log.wait_for("^deaf")
    server.stop()
    assert not server.log.find("Traceback|failed")


def test_a_disconnect_script_that_does_not_end_goes_on_by_itself(lab: Lab) -> None:
    """What it has to take back is worth more than our wait."""
    path = deaf_script(lab, "disconnect")
    server = lab.start_server(disconnect_script=path, restrict_user_to_routes=True)
    lab.connect()
    server.send_signal(signal.SIGTERM)
    assert server.wait(END_WITHIN) == 0
    script = int(server.log.wait_for(r"^deaf (\d+)")[1])
    assert server.log.find("have not ended, and are left alone")
    assert not server.log.find("Traceback|failed")
    os.killpg(script, signal.SIGKILL)


def test_a_connect_script_that_does_not_end_holds_up_no_drain(lab: Lab) -> None:
    path = deaf_script(lab, "connect")
    server = lab.start_server(connect_script=path, server_drain_ms=500)
    lab.login()
    server.log.wait_for("^deaf")
    server.stop()
    assert not server.log.find("Traceback|failed")


def test_a_server_that_drains_outlives_secmod_and_reloads(lab: Lab) -> None:
    server = lab.start_server(server_drain_ms=60_000)
    lab.connect()
    server.send_signal(signal.SIGTERM)
    server.log.wait_for("draining")
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is reloaded")
    server.kill_one("ocserv-worker")
    server.await_disconnected("alice")
    assert server.wait() == 0


OWN_RECORDS = 'mount -t tmpfs t /run && mount -t tmpfs t /var/log && : > /run/utmp && : > /var/log/wtmp && exec "$@"'
HOLDS = """\
import fcntl, time
file = open("/run/utmp", "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(1000)
"""


def test_records_that_somebody_has_locked_hold_up_no_end(lab: Lab) -> None:
    argv = [*OCSERV, "-f", "--log-stderr", "-c", lab.configure(use_utmp=True)]
    server = lab.run_server(["unshare", "--mount", "sh", "-c", OWN_RECORDS, "sh", *argv], lab.path("occtl.sock"))
    server.await_listening()
    holder = Watched("holder", ["nsenter", f"--mount=/proc/{server.pid}/ns/mnt", "python3", "-c", HOLDS])
    lab.keep(holder)
    holder.output.wait_for("^held")
    lab.connect()
    server.stop()
