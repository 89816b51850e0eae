"""Clients that are restricted to routes or ports: packets that pass and packets that do not, of both families."""

from __future__ import annotations

import os
import signal

import pytest

from .client import Client
from .inside import FIRST4, FIRST6, ONE4, ONE6, TWO4, TWO6, Inside
from .lab import Lab, Option
from .processes import await_gone
from .server import Server
from .test_scripts import said, script

Wanted = dict[tuple[str, str, int], bool]


def restricted(lab: Lab, inside: Inside, **options: Option) -> tuple[Server, Client]:
    server = lab.start_server(**options)
    return server, inside.admit(lab.connect("alice"))


def rules(lab: Lab) -> str:
    """What there is of the server's in the kernel."""
    return lab.namespace.run("nft", "list", "ruleset").stdout


ROUTES: Wanted = {
    (ONE4, "tcp", 80): True,
    (ONE4, "icmp", 0): True,
    (ONE6, "udp", 53): True,
    (ONE6, "icmp", 0): True,
    (TWO4, "tcp", 80): False,
    (TWO4, "udp", 99): False,
    (TWO6, "tcp", 80): False,
    (TWO6, "icmp", 0): False,
    # A DNS server of the client's is open on its port, wherever it is.
    (TWO4, "udp", 53): True,
    (TWO4, "tcp", 53): True,
}

ALLOWED: Wanted = {
    (ONE4, "tcp", 443): True,
    (TWO6, "tcp", 443): True,
    (ONE6, "udp", 7): True,
    (ONE4, "icmp", 0): True,
    (ONE4, "tcp", 80): False,
    (ONE6, "tcp", 80): False,
    # icmp() is IPv4's alone, as with the C server.
    (ONE6, "icmp", 0): False,
}

DENIED: Wanted = {
    (ONE4, "tcp", 25): False,
    (TWO6, "tcp", 25): False,
    (ONE4, "udp", 7): False,
    (ONE6, "udp", 9): False,
    (ONE6, "icmp", 0): False,
    (ONE4, "icmp", 0): True,
    (ONE4, "tcp", 80): True,
    (ONE6, "tcp", 443): True,
}

BOTH: Wanted = {
    (ONE4, "tcp", 443): True,
    (ONE6, "tcp", 443): True,
    (TWO4, "tcp", 443): False,
    (TWO6, "tcp", 443): False,
    (ONE4, "tcp", 80): False,
}

NOT_THERE: Wanted = {
    (ONE4, "tcp", 80): False,
    (ONE6, "tcp", 80): False,
    (TWO4, "tcp", 80): True,
    (TWO6, "tcp", 80): True,
}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"restrict_user_to_routes": True, "route": (FIRST4, FIRST6), "dns": TWO4}, ROUTES),
        ({"restrict_user_to_ports": "tcp(443), udp(), icmp()"}, ALLOWED),
        ({"restrict_user_to_ports": "!(tcp(25), udp(), icmpv6())"}, DENIED),
        (
            {"restrict_user_to_ports": "tcp(443)", "restrict_user_to_routes": True, "route": (FIRST4, FIRST6)},
            BOTH,
        ),
        ({"restrict_user_to_routes": True, "route": "default", "no_route": (FIRST4, FIRST6)}, NOT_THERE),
    ],
)
def test_what_a_restricted_client_reaches(lab: Lab, options: dict[str, Option], wanted: Wanted) -> None:
    inside = Inside(lab)
    _, client = restricted(lab, inside, **options)
    assert inside.all_of(client, wanted) == wanted


def test_another_client_beside_it_reaches_everything_and_what_comes_from_inside_is_answered(lab: Lab) -> None:
    inside = Inside(lab)
    alice = lab.write("alice", "restrict-user-to-ports = tcp(1)\n")
    _, client = restricted(lab, inside, config_per_user=os.path.dirname(alice))
    bob = inside.admit(lab.connect("bob"))
    assert inside.passes(bob, ONE4, "tcp", 80)
    assert inside.passes(bob, ONE6, "tcp", 80)
    assert not inside.passes(client, ONE4, "tcp", 80)
    assert inside.is_answered_by(client.address4)
    assert inside.is_answered_by(client.address6.partition("/")[0])


def test_a_user_s_and_a_group_s_file_restrict_and_occtl_shows_it(lab: Lab) -> None:
    inside = Inside(lab)
    os.mkdir(lab.path("users"))
    os.mkdir(lab.path("groups"))
    lab.write("users/alice", "restrict-user-to-ports = udp(53)\nrestrict-user-to-routes = true\n")
    lab.write("groups/staff", "restrict-user-to-ports = tcp(443)\n")
    server, client = restricted(
        lab,
        inside,
        config_per_user=lab.path("users"),
        config_per_group=lab.path("groups"),
        route=(FIRST4, FIRST6),
        restrict_user_to_ports="tcp(80)",
    )
    wanted = {
        (ONE4, "tcp", 443): True,
        (ONE6, "udp", 53): True,
        (ONE4, "tcp", 80): False,
        (TWO4, "tcp", 443): False,
    }
    assert inside.all_of(client, wanted) == wanted
    (user,) = server.show("user", "alice")
    assert (user["Restricted to routes"], user["Restricted to ports"]) == ("True", ["tcp(443)", "udp(53)"])


def test_nothing_is_left_of_a_client_that_went_and_nothing_at_all_of_the_server(lab: Lab) -> None:
    inside = Inside(lab)
    server, client = restricted(lab, inside, restrict_user_to_ports="tcp(443)")
    assert "goto vpns" in rules(lab)
    client.disconnect()
    said_of = server.await_disconnected("alice")
    assert said_of == "user disconnected"
    bob = inside.admit(lab.connect("bob"))
    assert rules(lab).count("goto vpns") == 1
    assert not inside.passes(bob, ONE4, "tcp", 80)
    server.stop()
    assert rules(lab) == ""


def test_after_a_kill_the_rules_stay_until_the_next_start(lab: Lab) -> None:
    inside = Inside(lab)
    server, client = restricted(lab, inside, restrict_user_to_ports="tcp(443)")
    other = "table inet somebody_else {\n}\n"
    lab.namespace.nft("add table inet somebody_else\n")
    main = server.pid_of("ocserv-main")
    os.kill(main, signal.SIGKILL)
    await_gone([main])
    assert "goto vpns" in rules(lab)
    client.kill()
    lab.start_server()
    assert rules(lab) == other


def test_a_reconnect_keeps_the_restriction(lab: Lab) -> None:
    inside = Inside(lab)
    _, client = restricted(lab, inside, restrict_user_to_ports="tcp(443)")
    client.send_signal(signal.SIGUSR2)
    client.await_reconnected()
    assert inside.passes(client, ONE4, "tcp", 443)
    assert not inside.passes(client, ONE4, "tcp", 80)
    assert rules(lab).count("goto vpns") == 1


NO_LIBRARY = """\
import ocserv_core.main.firewall as firewall
from ocserv_core.system.nftables import Nftables
firewall.Firewall.__init__.__defaults__ = (lambda: Nftables("libnothing.so.1"),)
"""


def test_where_there_is_no_nftables_who_is_to_be_restricted_is_refused(lab: Lab) -> None:
    lab.write("alice", "restrict-user-to-ports = tcp(443)\n")
    server = lab.start_altered(NO_LIBRARY, config_per_user=lab.folder)
    refused = lab.login("alice")
    assert refused.wait() != 0
    assert "401" in refused.output.text
    server.log.wait_for("'alice' is to be restricted and gets no tunnel: libnothing.so.1 is missing; install")
    lab.connect("bob")


# ---- the administrator's own firewall script ------------------------------------------------------------------------


def test_a_firewall_script_of_the_administrator_s_takes_the_place_of_ours(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = script(lab, name="own")
    monkeypatch.setenv("OCSERV_FW_SCRIPT", script(lab, '[ -z "$OCSERV_NEXT_SCRIPT" ] || . "$OCSERV_NEXT_SCRIPT"'))
    lab.write("alice", "restrict-user-to-ports = !(tcp(25), icmp())\nrestrict-user-to-routes = yes\n")
    server = lab.start_server(connect_script=own, config_per_user=lab.folder)
    client = lab.connect("alice")
    found = said(server, "connect")
    assert found["OCSERV_NEXT_SCRIPT"] == own
    assert found["OCSERV_RESTRICT_TO_ROUTES"] == "1"
    assert found["OCSERV_DENY_PORTS"] == "tcp 25 icmp all "
    assert "OCSERV_ALLOW_PORTS" not in found
    assert rules(lab) == ""
    client.disconnect()
    assert "OCSERV_NEXT_SCRIPT" not in said(server, "disconnect")
    lab.connect("bob")
    server.log.wait_for("script connect", times=3)
    assert "OCSERV_NEXT_SCRIPT" not in server.log.text.rpartition("script connect")[2]


def test_a_firewall_script_that_fails_refuses_the_tunnel(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCSERV_FW_SCRIPT", lab.path("nothing"))
    server = lab.start_server(restrict_user_to_ports="tcp(443)")
    refused = lab.login()
    assert refused.wait() != 0
    assert "401" in refused.output.text
    server.log.wait_for("cannot run .*nothing")


def test_without_one_connect_script_finds_the_restrictions_too(lab: Lab) -> None:
    server = lab.start_server(connect_script=script(lab), restrict_user_to_ports="tcp(443), udp(), esp()")
    lab.connect()
    found = said(server, "connect")
    assert found["OCSERV_ALLOW_PORTS"] == "tcp 443 udp 0 esp all "
    assert "OCSERV_RESTRICT_TO_ROUTES" not in found
