"""Back ends that are installed beside the server, with the real client."""

from __future__ import annotations

from pathlib import Path

import pytest

from .client import Client
from .environment import EXAMPLES, Environment, start
from .lab import GATEWAY4, SERVER4, Lab


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """One with nothing but the server."""
    return Environment(tmp_path)


# ---- the example --------------------------------------------------------------------------------------------------


def test_the_example_of_a_back_end_lets_in_who_knows_a_voucher(lab: Lab, environment: Environment) -> None:
    environment.install(EXAMPLES / "ocserv-auth-voucher")
    server = start(lab, environment, auth=f'"voucher[file={lab.write("vouchers", "summer-2026 winter-2027")}]"')
    client = lab.openconnect("--user", "zoe", stdin="winter-2027\n").await_connected()
    assert client.host.ping(GATEWAY4)
    server.log.wait_for(r"'zoe' from .* is authenticated by voucher")


def test_the_example_denies_who_does_not(lab: Lab, environment: Environment) -> None:
    environment.install(EXAMPLES / "ocserv-auth-voucher")
    server = start(lab, environment, auth=f'"voucher[file={lab.write("vouchers", "summer-2026")}]"')
    assert lab.openconnect("--user", "zoe", stdin="spring-1999\n").wait() != 0
    server.log.wait_for("login of 'zoe' from .* failed: This voucher is not valid.")
    assert not server.log.find("spring-1999")


def test_where_its_file_is_gone_the_log_says_so_and_nobody_has_failed(lab: Lab, environment: Environment) -> None:
    environment.install(EXAMPLES / "ocserv-auth-voucher")
    server = start(lab, environment, auth='"voucher[file=/nowhere/vouchers]"')
    client = lab.openconnect("--user", "zoe", stdin="summer-2026\n")
    assert client.wait() != 0
    assert "The server is busy, please try again later." in client.output.text
    said = "the back end 'voucher' is not available: /nowhere/vouchers: No such file or directory"
    server.log.wait_for(f"login of 'zoe' from .* failed: {said}")
    assert server.show("status")["Total authentication failures"] == 0


# ---- the promise --------------------------------------------------------------------------------------------------

HANGING = """\
import logging
from {module} import {sleeper}
from ocserv_core.plugin import Limits, Prompt, hookimpl

class Backend:
    ocserv_api = (1, 0)
    ocserv_limits = Limits(deadline=3600.0, concurrency=2)

    def __init__(self, options, context):
        pass

    @hookimpl
    {define} ocserv_authenticate(self, login, ask):
        {wait}ask(Prompt("Password:"))
        logging.getLogger("hanging").warning("%s hangs", login.username)
        {wait}{sleeper}(3600)
"""

KINDS = {
    "coroutine": HANGING.format(module="asyncio", sleeper="sleep", define="async def", wait="await "),
    "thread": HANGING.format(module="time", sleeper="sleep", define="def", wait=""),
}


@pytest.mark.parametrize("source", KINDS.values(), ids=KINDS)
def test_while_one_back_end_hangs_the_logins_of_another_go_on(lab: Lab, environment: Environment, source: str) -> None:
    environment.write("hanging", source)
    server = start(lab, environment, "[vhost:dead.example]", 'auth = "hanging"')
    stuck = [_log_in_at(lab, "dead.example", f"user{number}") for number in range(4)]
    for _ in range(2):
        server.log.wait_for(r"user\d hangs")
    clients = [lab.connect("alice"), lab.connect("bob")]
    assert all(client.host.ping(GATEWAY4) for client in clients)
    assert server.log.count("hangs") == 2
    shown = {plugin["Plugin"]: plugin for plugin in server.show("plugins")}
    assert (shown["hanging"]["Working"], shown["plain"]["Granted"]) == (2, 2)
    assert (shown["hanging"]["Distribution"], shown["hanging"]["vhost"]) == ("back-end-hanging", "dead.example")
    assert not any(client.output.find("Login failed|CONNECTED|busy") for client in stuck)


def _log_in_at(lab: Lab, name: str, user: str) -> Client:
    words = [f"--user={user}", "--passwd-on-stdin", "--script", lab.path("script"), "--servercert", lab.pin]
    return lab.run_client([*words, f"--resolve={name}:{SERVER4}", f"https://{name}/"], stdin="any\n")
