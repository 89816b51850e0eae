"""Virtual hosts: each has its own users, addresses and ciphers; what it does not say is the default's."""

from __future__ import annotations

import pytest

from .lab import GATEWAY4, POOL4, Lab
from .server import OCSERV, Server

OTHER_POOL4, OTHER_GATEWAY4 = "203.0.113.128/25", "203.0.113.129"


def start(lab: Lab, lines: str) -> Server:
    """The lab's configuration, and what `two.example` says."""
    path = lab.configure(banner="said by the default")
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"[vhost:two.example]\n{lines}")
    return lab.run_server([*OCSERV, "-f", "--log-stderr", "-c", path], lab.path("occtl.sock")).await_listening()


def users_of_two(lab: Lab) -> str:
    """A file that knows bob alone; its line of the configuration."""
    with open(lab.path("passwd"), encoding="utf-8") as file:
        (bob,) = [line for line in file if line.startswith("bob:")]
    return f'auth = "plain[passwd={lab.write("passwd2", bob)}]"\n'


def test_each_has_its_own_users(lab: Lab) -> None:
    start(lab, users_of_two(lab))
    assert lab.login_by_name("two.example", "alice").wait() != 0
    assert lab.login_by_name("one.example", "alice").await_connected().host.ping(GATEWAY4)
    assert lab.login_by_name("two.example", "bob").await_connected().host.ping(GATEWAY4)


def test_a_cookie_of_one_is_worth_nothing_at_another(lab: Lab) -> None:
    server = start(lab, "")
    cookie = lab.authenticate("alice")
    words = ["--cookie-on-stdin", "--script", lab.path("script"), "--servercert", lab.pin]
    url = ["--resolve=two.example:192.0.2.1", "https://two.example/"]
    assert lab.run_client([*words, *url], stdin=f"{cookie}\n").wait() != 0
    server.log.wait_for("CONNECT is refused: 401")
    assert lab.resume(cookie).await_connected().host.ping(GATEWAY4)


def test_each_has_its_own_addresses(lab: Lab) -> None:
    server = start(lab, f"ipv4-network = {OTHER_POOL4}\n")
    first = lab.login_by_name("one.example", "alice", environment={"LAB_NETWORK4": POOL4}).await_connected()
    second = lab.login_by_name("two.example", "bob", environment={"LAB_NETWORK4": OTHER_POOL4}).await_connected()
    assert first.host.ping(GATEWAY4)
    assert second.host.ping(OTHER_GATEWAY4)
    assert {user["Username"]: user["vhost"] for user in server.show("users")} == {
        "alice": "default",
        "bob": "two.example",
    }


@pytest.mark.parametrize(("name", "spoken"), [("one.example", True), ("two.example", False)])
def test_each_has_its_own_ciphers(lab: Lab, name: str, spoken: bool) -> None:
    start(lab, 'tls-priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3"\n')
    words = ("-tls1_2", "-servername", name, "-connect", "192.0.2.1:443")
    assert (lab.host().run("openssl", "s_client", *words, stdin="").returncode == 0) is spoken


def test_what_it_does_not_say_is_the_default_s(lab: Lab) -> None:
    start(lab, "dpd = 77\n")
    client = lab.login_by_name("two.example", "alice").await_connected()
    assert client.environment["CISCO_BANNER"] == "said by the default"
    client.output.wait_for("DPD 77")


def test_max_same_clients_counts_a_user_over_all_of_them(lab: Lab) -> None:
    server = start(lab, "max-same-clients = 1\n")
    first = lab.login_by_name("one.example", "alice").await_connected()
    assert lab.login_by_name("two.example", "alice").wait() != 0
    server.log.wait_for("'alice' is connected 1 times, the most allowed")
    assert first.host.ping(GATEWAY4)
    lab.login_by_name("two.example", "bob").await_connected()
