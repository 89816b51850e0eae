"""The administrator's scripts, with the real client: when they run, what they find, what their exit status does."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from ocserv_core.main.scripts import VARIABLES

from .lab import GATEWAY4, SERVER4, Lab, Option
from .server import Server
from .traffic import MEGABYTE, arrives_whole

SAYS = """\
#!/bin/sh
# What is printed goes to the server's log.
echo "script $REASON $DEVICE: $(env | sort | grep -E '^({names})=' | tr '\\n' ';')" >&2
{more}
"""


def script(lab: Lab, more: str = "", name: str = "said") -> str:
    """A script that says its variables, then does more."""
    return lab.write(name, SAYS.format(names="|".join(sorted(VARIABLES)), more=more), mode=0o755)


def said(server: Server, reason: str, times: int = 1) -> dict[str, str]:
    """What the script was told when it ran for this reason."""
    line = server.log.wait_for(rf"script {reason} \S+: (.*)", times=times)[1]
    return dict(pair.split("=", 1) for pair in line.split(";") if pair)


def started(lab: Lab, more: str = "", **options: Option) -> Server:
    path = script(lab, more)
    return lab.start_server(connect_script=path, disconnect_script=path, **options)


def test_a_script_finds_who_connects_and_how(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is in the server's own environment by such a name is not what a script is told.
    monkeypatch.setenv("STATS_BYTES_IN", "5")
    server = started(lab, route=("192.0.2.0/24", "2001:db8:5::/48"), dns="192.0.2.53", udp_port=443)
    client = lab.connect("alice", "--local-hostname=laptop", "--useragent=Lab 1")
    found = said(server, "connect")
    assert re.fullmatch(r"\d+", found.pop("ID"))
    assert re.fullmatch(r"vpns\d+", found.pop("DEVICE"))
    assert found == {
        "REASON": "connect",
        "VHOST": "default",
        "USERNAME": "alice",
        "GROUPNAME": "staff",
        "HOSTNAME": "laptop",
        "REMOTE_HOSTNAME": "laptop",
        "USER_AGENT": "Lab 1",
        "DEVICE_TYPE": "",
        "DEVICE_PLATFORM": found["DEVICE_PLATFORM"],
        "IP_REAL": client.host.address4,
        "IP_REAL_LOCAL": SERVER4,
        "IP_LOCAL": GATEWAY4,
        "IP_REMOTE": client.address4,
        "IPV6_LOCAL": "2001:db8:1::1",
        "IPV6_REMOTE": client.address6.partition("/")[0],
        "IPV6_PREFIX": "128",
        "OCSERV_ROUTES": "192.0.2.0/255.255.255.0 2001:db8:5::/48 ",
        "OCSERV_ROUTES4": "192.0.2.0/255.255.255.0 ",
        "OCSERV_ROUTES6": "2001:db8:5::/48 ",
        "OCSERV_DNS": "192.0.2.53 ",
        "OCSERV_DNS4": "192.0.2.53 ",
    }


def test_at_the_end_it_finds_what_went_through(lab: Lab) -> None:
    server = started(lab)
    client = lab.connect()
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, MEGABYTE)
    assert arrives_whole(lab.namespace, client.host, client.address4, MEGABYTE)
    client.disconnect()
    found = said(server, "disconnect")
    rx, tx = re.findall(r"rx: (\d+), tx: (\d+)", server.log.wait_for("'alice' disconnected .*")[0])[0]
    assert (found["STATS_BYTES_IN"], found["STATS_BYTES_OUT"]) == (rx, tx)
    assert int(rx) > MEGABYTE < int(tx)
    assert re.fullmatch(r"\d+", found["STATS_DURATION"])


def test_the_bytes_are_exact_when_a_worker_was_killed(lab: Lab) -> None:
    server = started(lab)
    client = lab.connect()
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, MEGABYTE)
    (user,) = server.show("user", "alice")
    client.host.run("ip", "link", "set", "tun0", "down")
    (user,) = server.show("user", "alice")
    os.kill(user["ID"], signal.SIGKILL)
    found = said(server, "disconnect")
    assert (found["STATS_BYTES_IN"], found["STATS_BYTES_OUT"]) == (str(user["RX"]), str(user["TX"]))


def test_one_that_fails_refuses_the_tunnel_and_the_cookie_stays_good(lab: Lab) -> None:
    gate = lab.path("gate")
    server = started(lab, f'if [ $REASON = connect ]; then [ -e "{gate}" ] || exit 7; fi')
    cookie = lab.authenticate()
    refused = lab.resume(cookie)
    assert refused.wait() != 0
    assert "401" in refused.output.text
    server.log.wait_for("said ends with 7: 'alice' gets no tunnel")
    lab.write("gate", "")
    lab.resume(cookie).await_connected()
    assert not server.log.find("script disconnect")


@pytest.mark.parametrize("what", ["missing", "no program"])
def test_one_that_cannot_run_refuses_the_tunnel(lab: Lab, what: str) -> None:
    path = lab.path("nothing") if what == "missing" else lab.write("text", "no program", mode=0o755)
    server = lab.start_server(connect_script=path)
    assert lab.login().wait() != 0
    server.log.wait_for(f"connect-script: cannot run {path}: (No such file|Exec format)")


def test_while_it_runs_others_are_served(lab: Lab) -> None:
    server = started(lab, "if [ $REASON.$USERNAME = connect.alice ]; then sleep 1000; fi")
    waiting = lab.login("alice")
    said(server, "connect")
    client = lab.connect("bob")
    assert client.host.ping(GATEWAY4)
    assert not waiting.output.find("^script: done connect")


def test_where_the_worker_goes_it_is_told_and_taken_back_where_it_had_succeeded(lab: Lab) -> None:
    wait = 'if [ $REASON = connect ]; then trap "exit 0" TERM; sleep 1000 & wait; fi'
    server = started(lab, wait)
    lab.login()
    said(server, "connect")
    server.kill_one("ocserv-worker")
    assert said(server, "disconnect")["STATS_BYTES_IN"] == "0"


def test_where_the_worker_goes_one_that_does_not_end_is_killed(lab: Lab) -> None:
    server = started(lab, 'if [ $REASON = connect ]; then trap "" TERM; echo deaf >&2; while :; do sleep 1; done; fi')
    lab.login()
    server.log.wait_for("^deaf")
    server.kill_one("ocserv-worker")
    server.log.wait_for("no tunnel for 'alice'")
    assert not server.log.find("script disconnect")


def test_of_a_reconnect_the_old_script_ends_before_the_new_one_begins(lab: Lab) -> None:
    server = started(lab, 'sleep 0.3; echo "ended $REASON" >&2')
    client = lab.connect()
    client.send_signal(signal.SIGUSR2)
    client.await_reconnected()
    server.log.wait_for("^ended connect", times=2)
    order = re.findall(r"^(script \w+|ended \w+)", server.log.text, re.MULTILINE)
    first, old = ["script connect", "ended connect"], ["script disconnect", "ended disconnect"]
    assert order == [*first, *old, *first]


def test_the_host_s_name_is_told_once_when_dtls_is_up(lab: Lab) -> None:
    server = lab.start_server(host_update_script=script(lab), udp_port=443)
    client = lab.connect("alice", "--local-hostname=laptop")
    client.await_dtls()
    found = said(server, "host-update")
    assert (found["REMOTE_HOSTNAME"], found["USERNAME"]) == ("laptop", "alice")


def test_scripts_run_at_the_server_s_end(lab: Lab) -> None:
    server = started(lab)
    lab.connect()
    server.stop()
    assert said(server, "disconnect")["USERNAME"] == "alice"


# ---- while one runs -----------------------------------------------------------------------------------------------


def waiting(lab: Lab, **options: Option) -> Server:
    """A server whose connect-script waits until a file is there."""
    wait = f'if [ $REASON = connect ]; then while [ ! -e "{lab.path("gate")}" ]; do sleep 0.05; done; fi'
    return started(lab, wait, **options)


def test_who_is_terminated_meanwhile_gets_no_tunnel(lab: Lab) -> None:
    server = waiting(lab)
    client = lab.login()
    said(server, "connect")
    assert server.occtl("terminate", "user", "alice").returncode == 0
    lab.write("gate", "")
    client.wait()
    assert not client.output.find("^script: done connect")
    assert server.show("users") == []


def test_max_same_clients_counts_who_is_on_the_way(lab: Lab) -> None:
    server = waiting(lab, max_same_clients=1)
    first = lab.login()
    said(server, "connect")
    second = lab.login()
    assert second.wait() != 0
    server.log.wait_for("'alice' is connected 1 times, the most allowed")
    lab.write("gate", "")
    first.await_connected()


def test_where_the_client_goes_its_script_is_told_at_once(lab: Lab) -> None:
    wait = 'if [ $REASON = connect ]; then trap "exit 0" TERM; sleep 1000 & wait; fi'
    server = started(lab, wait)
    client = lab.login()
    said(server, "connect")
    client.kill()
    assert said(server, "disconnect")["STATS_BYTES_IN"] == "0"


def test_a_worker_that_ends_with_its_script_leaves_nothing_behind(lab: Lab) -> None:
    server = started(lab, "if [ $REASON = connect ]; then kill -9 $ID; fi", cookie_timeout=1)
    cookie = lab.authenticate()
    for times in range(1, 5):
        assert lab.resume(cookie).wait() != 0
        said(server, "connect", times)
    deadline = time.monotonic() + 20
    while any(session["in_use"] for session in server.show("sessions", "all")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.show("users") == []


def test_what_a_script_leaves_in_the_background_is_no_zombie(lab: Lab) -> None:
    server = started(lab, "sleep 0.3 &")
    lab.connect()
    lab.connect("bob").disconnect()
    said(server, "disconnect")
    deadline = time.monotonic() + 20
    main = server.pid_of("ocserv-main")
    while "sleep" in lab.namespace.run("ps", "-o", "comm=", "--ppid", str(main)).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)
