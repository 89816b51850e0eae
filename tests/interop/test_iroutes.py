"""Networks behind a client: the commands that route to them, and the routes that others get."""

from __future__ import annotations

import os
import re

import pytest

from .client import Client
from .lab import POOL4, POOL6, Lab, Option
from .server import OCSERV, Server
from .test_scripts import said, script

BEHIND4, BEHIND6 = "203.0.113.0/24", "2001:db8:7::/48"
HOST4, HOST6 = "203.0.113.9", "2001:db8:7::9"
ADD, DELETE = "ip route add %{R} dev %{D}", 'echo "deleted %{R} %R %{RI} %{D} %D" >&2'


def started(lab: Lab, **options: Option) -> Server:
    """A server at which both networks are behind alice."""
    os.mkdir(lab.path("users"))
    lab.write("users/alice", f"iroute = {BEHIND4}\niroute = {BEHIND6}\n")
    commands: dict[str, Option] = {"route_add_cmd": ADD, "route_del_cmd": DELETE}
    return lab.start_server(config_per_user=lab.path("users"), **(commands | options))


def routes(lab: Lab) -> str:
    return "".join(lab.namespace.run("ip", family, "route").stdout for family in ("-4", "-6"))


def included(client: Client) -> set[str]:
    """The routes that a client was sent."""
    found = {(key, value) for key, value in client.environment.items() if re.search(r"SPLIT_INC_\d+_ADDR$", key)}
    return {value for _, value in found}


def test_what_is_behind_a_client_is_reached_as_long_as_it_is_there(lab: Lab) -> None:
    server = started(lab)
    client = lab.connect("alice")
    for address in (HOST4, HOST6):
        client.host.run("ip", "address", "add", address, "dev", "lo").check_returncode()
        assert lab.namespace.run("ping", "-c", "1", "-W", "2", address).returncode == 0
    device = client_device(server)
    client.disconnect()
    server.log.wait_for(
        rf"^deleted 203.0.113.0/255.255.255.0 203.0.113.0/255.255.255.0 203.0.113.0/24 {device} {device}$"
    )
    server.log.wait_for(rf"^deleted {BEHIND6} {BEHIND6} {BEHIND6} {device} {device}$")
    assert BEHIND4 not in routes(lab)
    assert BEHIND6 not in routes(lab)


def client_device(server: Server) -> str:
    (user,) = server.show("user", "alice")
    assert user["iRoutes"] == [BEHIND4, BEHIND6]
    return str(user["Device"])


def test_a_reconnect_takes_its_routes_along(lab: Lab) -> None:
    server = started(lab, route_del_cmd="ip route del %{RI}; echo deleted >&2")
    client = lab.connect("alice")
    device = client_device(server)
    server.kill_one("ocserv-worker")
    client.await_reconnected()
    server.log.wait_for("^deleted", times=2)
    assert device in ("vpns0", "vpns1")
    assert routes(lab).count(f"{BEHIND4} dev {client_device(server)}") == 1
    assert routes(lab).count(f"{BEHIND6} dev {client_device(server)}") == 1


def test_a_route_that_cannot_be_added_refuses_the_tunnel_and_what_was_done_is_taken_back(lab: Lab) -> None:
    path = script(lab)
    command = 'echo "adding %{RI}" >&2; [ "%{RI}" != "2001:db8:7::/48" ]'
    server = started(lab, route_add_cmd=command, connect_script=path, disconnect_script=path)
    refused = lab.login("alice")
    assert refused.wait() != 0
    assert "401" in refused.output.text
    said(server, "disconnect")
    server.log.wait_for(r"route-add-cmd \(.*\) ends with 1")
    server.log.wait_for("^deleted .*203.0.113.0/24")
    assert not server.log.find("^deleted .*2001")
    order = re.findall(r"^script \w+|^adding|^deleted", server.log.text, re.MULTILINE)
    assert order == ["script connect", "adding", "adding", "script disconnect", "deleted"]
    lab.connect("bob")


def test_a_command_that_hangs_is_killed_and_holds_up_nobody_else(lab: Lab) -> None:
    os.mkdir(lab.path("users"))
    lab.write("users/alice", f"iroute = {BEHIND4}\n")
    limit = "import ocserv_core.main.iroutes as iroutes\niroutes.ROUTED_WITHIN = 3.0"
    command = "echo waiting >&2; sleep 1000"
    server = lab.start_altered(limit, config_per_user=lab.path("users"), route_add_cmd=command)
    refused = lab.login("alice")
    server.log.wait_for("^waiting")
    lab.connect("bob")
    assert refused.wait() != 0
    server.log.wait_for(r"route-add-cmd \(.*\) ends with -9")


def test_without_a_command_there_is_no_route_and_a_warning(lab: Lab) -> None:
    server = started(lab, route_add_cmd="", route_del_cmd="")
    lab.connect("alice")
    server.log.wait_for(f"no route to {BEHIND4}, since route-add-cmd is not set")
    assert BEHIND4 not in routes(lab)


# ---- expose-iroutes -------------------------------------------------------------------------------------------------


def test_others_get_routes_to_what_is_behind_a_client_and_it_gets_none(lab: Lab) -> None:
    server = started(lab, expose_iroutes=True)
    own = {POOL4.partition("/")[0], POOL6.partition("/")[0]}
    assert included(lab.connect("bob")) == {*own, BEHIND4.partition("/")[0], BEHIND6.partition("/")[0]}
    assert included(lab.connect("alice")) == own
    lab.write("users/carol", "iroute = 192.0.2.128/25\n")
    assert server.occtl("reload").returncode == 0
    assert "192.0.2.128" in included(lab.connect("bob"))


@pytest.mark.parametrize("word", ["--test-config", "-f"])
def test_an_iroute_that_is_none_stops_the_start(lab: Lab, word: str) -> None:
    os.mkdir(lab.path("users"))
    file = lab.write("users/alice", "mtu = 1300\niroute = nowhere\n")
    config = lab.configure(config_per_user=lab.path("users"), expose_iroutes=True)
    ran = lab.namespace.run(*OCSERV, word, "--log-stderr", "-c", config)
    assert ran.returncode == 1
    assert f"{file}:2: iroute: 'nowhere' is not a route" in ran.stderr
