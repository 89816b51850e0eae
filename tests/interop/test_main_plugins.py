"""Plugins of the main process, with the real client: who is served, what goes up and down, commands of occtl."""

from __future__ import annotations

from pathlib import Path

import pytest

from .environment import Environment, start
from .lab import Lab
from .server import Server

PLUGIN = """\
import logging
import time
from ocserv_core.plugin import hookimpl

log = logging.getLogger("watching")

class Backend:
    ocserv_api = (1, 0)

    def __init__(self, options, context):
        self._banned = options.get("banned", "")
        self._up = []

    @hookimpl
    def ocserv_client_admit(self, remote):
        {admit}

    @hookimpl
    def ocserv_session_up(self, tunnel):
        self._up.append(tunnel.username)
        log.warning("up: %s %s %s", tunnel.username, tunnel.device, tunnel.lease.ipv4.remote)
        {up}

    @hookimpl
    def ocserv_session_down(self, tunnel, traffic, reason):
        log.warning("down: %s %s %d", tunnel.username, reason.text, traffic.rx_bytes)

    @hookimpl
    def ocserv_occtl_commands(self):
        return {{"who": lambda words: " ".join([*words, *self._up]), "who fails": lambda words: 1 / 0}}
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def watching(lab: Lab, environment: Environment, options: str = "", *, admit: str = "pass", up: str = "pass") -> Server:
    environment.write("watching", PLUGIN.format(admit=admit, up=up), group="main")
    return start(lab, environment, plugin=f'"watching{options}"')


def test_it_hears_of_tunnels(lab: Lab, environment: Environment) -> None:
    server = watching(lab, environment)
    client = lab.connect()
    server.log.wait_for(rf"up: alice vpns\d+ {client.address4}")
    client.disconnect()
    server.log.wait_for(r"down: alice user disconnected \d+")


def test_it_refuses_connections(lab: Lab, environment: Environment) -> None:
    admit = 'return "it is not wanted" if remote.ip == self._banned else None'
    friend, stranger = lab.host(), lab.host()
    server = watching(lab, environment, f"[banned={stranger.address4}]", admit=admit)
    assert lab.login(host=stranger).wait() != 0
    server.log.wait_for(rf"{stranger.address4}:\d+ is refused: it is not wanted")
    lab.connect(host=friend)


def test_where_it_raises_that_connection_is_refused_and_the_server_goes_on(lab: Lab, environment: Environment) -> None:
    server = watching(lab, environment, admit="raise KeyError(remote.ip)")
    assert lab.login().wait() != 0
    server.log.wait_for("is refused: the plugin 'watching' failed")
    assert server.show("status")["Status"] == "online"


def test_where_it_raises_later_the_tunnel_goes_on(lab: Lab, environment: Environment) -> None:
    server = watching(lab, environment, up="raise KeyError(1)")
    lab.connect()
    server.log.wait_for("the plugin 'watching' failed")
    (shown,) = [plugin for plugin in server.show("plugins") if plugin["Plugin"] == "watching"]
    assert (shown["Process"], shown["Failed"], shown["Last error"]) == ("main", 1, "KeyError")


def test_one_that_holds_up_everybody_is_named(lab: Lab, environment: Environment) -> None:
    server = watching(lab, environment, up="time.sleep(0.05)")
    lab.connect()
    server.log.wait_for(r"the plugin 'watching' held up everybody for \d+ ms")


def test_occtl_has_its_commands(lab: Lab, environment: Environment) -> None:
    server = watching(lab, environment)
    lab.connect()
    assert server.occtl("plugin", "who", "is", "up").stdout == "is up alice\n"
    failed = server.occtl("plugin", "who", "fails")
    assert (failed.returncode, failed.stdout) == (1, "the plugin 'watching' failed\n")
    unknown = server.occtl("plugin", "what")
    assert (unknown.returncode, unknown.stdout) == (1, "no plugin has the command 'what'\n")


def test_one_that_is_not_installed_is_told_with_its_line(lab: Lab) -> None:
    server = lab.launch(plugin='"nothing"')
    server.log.wait_for(r"ocserv.conf:\d+: the main back end 'nothing' is not installed")
    assert server.wait() != 0
