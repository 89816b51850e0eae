"""Sessions in utmp, and addresses that are asked about, with the real client."""

from __future__ import annotations

import subprocess

from .lab import Lab
from .server import OCSERV

OWN_RECORDS = 'mount -t tmpfs t /run && mount -t tmpfs t /var/log && : > /run/utmp && : > /var/log/wtmp && exec "$@"'


def test_who_has_a_tunnel_is_seen_by_who(lab: Lab) -> None:
    argv = [*OCSERV, "-f", "--log-stderr", "-c", lab.configure(use_utmp=True)]
    server = lab.run_server(["unshare", "--mount", "sh", "-c", OWN_RECORDS, "sh", *argv], lab.path("occtl.sock"))
    server.await_listening()
    client = lab.connect("alice")

    def who(*words: str) -> str:
        inside = ["nsenter", f"--mount=/proc/{server.pid}/ns/mnt", *words]
        return subprocess.run(inside, capture_output=True, text=True, timeout=20, check=True).stdout

    device = server.show("users")[0]["Device"]
    assert who("who", "/run/utmp").split()[:2] == ["alice", device]
    assert f"({client.host.address4})" in who("who", "/run/utmp")
    client.disconnect()
    server.await_disconnected("alice")
    server.stop()  # the records are written beside the session's end, and before the server's


def test_an_address_that_somebody_has_is_not_given_away(lab: Lab) -> None:
    server = lab.start_server(ping_leases=True, predictable_ips=True)
    client = lab.connect("alice")
    address = client.address4
    client.disconnect()
    server.await_disconnected("alice")
    server.stop()
    lab.namespace.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    again = lab.start_server(ping_leases=True, predictable_ips=True, session_store="memory")
    assert lab.connect("alice").address4 != address
    again.log.wait_for(f"somebody answers at {address} already")
