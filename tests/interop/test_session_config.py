"""What a back end says of a user's session reaches the real client."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .client import Client
from .environment import EXAMPLES, Environment, start
from .lab import GATEWAY4, Lab
from .network import Host, ip

SAYS = """\
from ocserv_core.plugin import Denied, hookimpl

class Backend:
    ocserv_api = (1, 0)

    def __init__(self, options, context):
        pass

    @hookimpl
    def ocserv_session_config(self, session):
        {act}
"""


MUTE_AT_FIRST = """\
import asyncio
import logging

from ocserv_core.plugin import hookimpl

class Backend:
    ocserv_api = (1, 0)

    def __init__(self, options, context):
        pass

    @hookimpl
    async def ocserv_session_config(self, session):
        with open({asked!r}, "a+") as file:
            file.write(session.sid + "\\n")
            file.flush()
            file.seek(0)
            times = len(file.readlines())
        logging.getLogger(__name__).warning("the back end is asked, %d times", times)
        if times == 1:
            await asyncio.Event().wait()
        return {{"dns": "192.0.2.3"}}
"""


def says(environment: Environment, name: str, act: str) -> str:
    """Install a back end that does this; its name in quotes."""
    environment.write(name, SAYS.format(act=act), group="config")
    return f'"{name}"'


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def routes(client: Client) -> set[str]:
    environment = client.environment
    return {environment[f"CISCO_SPLIT_INC_{number}_ADDR"] for number in range(int(environment["CISCO_SPLIT_INC"]))}


def test_the_example_gives_each_group_its_routes(lab: Lab, environment: Environment) -> None:
    environment.install(EXAMPLES / "ocserv-config-routes")
    file = lab.write("routes", "staff 192.0.2.0/24 203.0.113.0/24\nguests 203.0.113.0/24\n")
    start(lab, environment, session_config=f'"routes[file={file}]"', select_group=("staff", "guests"))
    assert routes(lab.connect("alice", "--authgroup=staff")) == {"192.0.2.0", "203.0.113.0"}
    assert routes(lab.connect("alice", "--authgroup=guests")) == {"203.0.113.0"}


def test_what_a_later_back_end_says_goes_before_an_earlier(lab: Lab, environment: Environment) -> None:
    first = says(environment, "first", 'return {"dns": ["192.0.2.1", "192.0.2.2"], "explicit-ipv4": "198.51.100.66"}')
    second = says(environment, "second", 'return {"dns": "192.0.2.3"}')
    start(lab, environment, session_config=(first, second))
    client = lab.connect()
    assert client.environment["INTERNAL_IP4_DNS"] == "192.0.2.3"
    assert client.address4 == "198.51.100.66"
    assert client.host.ping(GATEWAY4)


def test_an_address_that_is_another_session_s_refuses_the_tunnel(lab: Lab, environment: Environment) -> None:
    fixed = says(environment, "fixed", 'return {"explicit-ipv4": "198.51.100.66"}')
    server = start(lab, environment, session_config=fixed)
    lab.connect("alice")
    assert lab.login("bob").wait() != 0
    server.log.wait_for("no tunnel for 'bob' from .*: 198.51.100.66 is another session's")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ('return {"dns": "no address"}', "said what is no configuration: .*dns: "),
        ('return {"dnss": "192.0.2.1"}', "said what is no configuration: .*the option 'dnss' is unknown"),
        ('return {"dns": 5}', "said what is no configuration: "),
        ("return 5", "said what is no configuration: "),
        ('raise Denied("not today")', "the back end 'odd' denies: not today"),
        ('raise ConnectionError("no route")', "the back end 'odd' is not available: no route"),
        ('raise KeyError("x")', "the back end 'odd' failed"),
    ],
)
def test_what_is_wrong_refuses_the_tunnel(lab: Lab, environment: Environment, act: str, said: str) -> None:
    server = start(lab, environment, session_config=says(environment, "odd", act))
    assert lab.login().wait() != 0
    server.log.wait_for(f"the cookie opens no tunnel: .*{said}")
    assert server.show("status")["Active sessions"] == 0


# ---- the files of users and groups --------------------------------------------------------------------------------


def test_a_tunnel_whose_back_end_was_being_asked_when_secmod_died_is_opened_by_the_next(
    lab: Lab, environment: Environment
) -> None:
    asked = lab.path("asked")
    environment.write("mute", MUTE_AT_FIRST.format(asked=asked), group="config")
    server = start(lab, environment, session_config='"mute"')
    client = lab.resume(lab.authenticate())
    server.log.wait_for("the back end is asked, 1 times")
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    client.await_connected()
    assert client.host.ping(GATEWAY4)
    assert client.environment["INTERNAL_IP4_DNS"] == "192.0.2.3"
    with open(asked, encoding="ascii") as file:
        first, second = file.read().split()
    assert first == second, "one session, by the id that back ends know it by"
    (user,) = server.show("users")
    assert user["Username"] == "alice"


def test_the_files_of_groups_and_users_hold(lab: Lab) -> None:
    users, groups = (lab.path(name) for name in ("users", "groups"))
    os.mkdir(users)
    os.mkdir(groups)
    lab.write("groups/staff", "route = 192.0.2.0/24\n")
    lab.write("users/alice", "route = 203.0.113.0/24\nexplicit-ipv4 = 198.51.100.77\ndns = 192.0.2.53\n")
    lab.start_server(config_per_user=users, config_per_group=groups)
    client = lab.connect("alice")
    assert routes(client) == {"192.0.2.0", "203.0.113.0"}
    assert (client.address4, client.environment["INTERNAL_IP4_DNS"]) == ("198.51.100.77", "192.0.2.53")
    assert client.host.ping(GATEWAY4)
    assert "INTERNAL_IP4_DNS" not in lab.connect("bob").environment


def test_packets_come_from_the_networks_behind_the_client_and_from_no_others(lab: Lab) -> None:
    os.mkdir(lab.path("users"))
    lab.write("users/alice", "iroute = 203.0.113.0/24\n")
    server = lab.start_server(config_per_user=lab.path("users"))
    client = lab.connect("alice")
    behind, foreign = "203.0.113.9", "192.0.2.99"
    (device,) = {user["Device"] for user in server.show("users")}
    for source in (behind, foreign):
        ip("-n", client.host.name, "address", "add", f"{source}/32", "dev", "lo")
        ip("-n", lab.namespace.name, "route", "add", f"{source}/32", "dev", device)
    assert _answered(client.host, behind)
    assert not _answered(client.host, foreign)
    client.disconnect()
    server.log.wait_for(r"packets thrown away: .*\b1 foreign")


def _answered(host: Host, source: str) -> bool:
    """Whether one ping from that address is."""
    return host.run("ping", "-c", "1", "-W", "2", "-I", source, GATEWAY4).returncode == 0


def test_a_malformed_file_refuses_its_user_alone(lab: Lab) -> None:
    os.mkdir(lab.path("users"))
    file = lab.write("users/alice", "dns = nowhere\n")
    server = lab.start_server(config_per_user=lab.path("users"))
    client = lab.login("alice")
    assert client.wait() != 0
    assert "401" in client.output.text
    server.log.wait_for(f"the cookie opens no tunnel: the back end 'files' denies: {file}:1: dns: ")
    lab.connect("bob")


def test_a_name_that_leads_out_of_the_folder_has_no_tunnel(lab: Lab) -> None:
    os.mkdir(lab.path("users"))
    lab.write("elsewhere", "explicit-ipv4 = 198.51.100.77\n")
    lab.add_users({"../elsewhere": "*"})
    server = lab.start_server(config_per_user=lab.path("users"))
    assert lab.login("../elsewhere").wait() != 0
    server.log.wait_for("the cookie opens no tunnel: .*the user '../elsewhere' cannot have a file: it is no file name")
    lab.connect("alice")
