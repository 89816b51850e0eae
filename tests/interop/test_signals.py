"""Signals: the end, and the reload."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from .lab import GATEWAY4, Lab
from .processes import await_gone
from .server import OCSERV
from .traffic import Echo, connected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_signal_ends_everything_and_clients_are_told(lab: Lab, number: signal.Signals) -> None:
    server = lab.start_server()
    clients = [lab.connect("alice"), lab.connect("bob")]
    server.stop(number)
    for client in clients:
        client.wait()
        assert client.output.find("Received server disconnect: .*shutting down")
    assert {server.await_disconnected(user) for user in ("alice", "bob")} == {"server disconnected"}


def test_a_client_that_hears_nothing_does_not_delay_the_end(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    client.send_signal(signal.SIGSTOP)
    server.stop()


def test_a_client_in_its_login_does_not_delay_the_end(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.openconnect("--user", "alice", "--form-entry", "main:username=alice", stdin="")
    client.output.wait_for("SSL negotiation|Got HTTP response")
    server.stop()


def test_a_client_that_reads_nothing_of_a_flood_does_not_delay_the_end(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    with lab.namespace.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        client.send_signal(signal.SIGSTOP)
        for _ in range(20_000):
            flood.sendto(bytes(1200), (client.address4, 9))
    server.stop()


def test_ctrl_c_in_a_terminal_reaches_main_and_ends_all(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait() == 0
    server.log.wait_end(5)
    client.wait()
    assert client.output.find("Received server disconnect")


def test_the_files_of_a_server_that_ended_are_gone(lab: Lab) -> None:
    server = lab.start_server(pid_file=lab.path("pid"))
    with open(lab.path("pid"), encoding="ascii") as file:
        assert int(file.read()) == server.pid
    server.stop()
    assert not os.path.exists(lab.path("pid"))
    assert not os.path.exists(lab.path("occtl.sock"))


# ---- reload


def test_hup_brings_what_has_changed_to_the_next_client(lab: Lab) -> None:
    server = lab.start_server(banner="before")
    alice = lab.connect("alice")
    with connected(alice.host, lab.namespace, GATEWAY4) as (near, far):
        lab.configure(banner="after")
        server.send_signal(signal.SIGHUP)
        server.log.wait_for("the configuration is reloaded")
        assert lab.connect("bob").environment["CISCO_BANNER"] == "after"
        assert Echo(near, far).exchange()
    assert alice.environment["CISCO_BANNER"] == "before"
    assert not alice.output.find("reconnect")


def test_hup_with_a_broken_file_keeps_what_runs_and_names_the_line(lab: Lab) -> None:
    server = lab.start_server(banner="before")
    path = lab.configure(banner="after")
    with open(path, "a", encoding="utf-8") as file:
        file.write("idle-timeout = soon\n")
    with open(path, encoding="utf-8") as file:
        number = len(file.readlines())
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is not reloaded")
    server.log.wait_for(rf"{path}:{number}: .*idle-timeout")
    assert lab.connect("alice").environment["CISCO_BANNER"] == "before"


def test_hup_without_the_certificate_keeps_what_runs(lab: Lab) -> None:
    server = lab.start_server()
    os.rename(lab.cert_file, lab.path("away.pem"))
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is not reloaded")
    assert lab.connect("alice").host.ping(GATEWAY4)


def test_after_a_reload_the_old_nursery_ends_with_its_last_client(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    old = server.pid_of("ocserv-nursery")
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is reloaded")
    assert len(server.pids_of("ocserv-nursery")) == 2
    client.disconnect()
    await_gone([old])
    assert old not in server.pids_of("ocserv-nursery")


def test_after_a_reload_a_nursery_without_clients_ends(lab: Lab) -> None:
    server = lab.start_server()
    old = server.pid_of("ocserv-nursery")
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is reloaded")
    await_gone([old])
    assert len(server.pids_of("ocserv-nursery")) == 1
    assert lab.connect("alice").host.ping(GATEWAY4)


def test_many_reloads_leave_one_nursery_and_serve_on(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    for _ in range(5):
        mark = server.log.mark()
        server.send_signal(signal.SIGHUP)
        server.log.wait_for("the configuration is reloaded", since=mark)
    assert client.host.ping(GATEWAY4)
    client.disconnect()
    server.await_disconnected("alice")
    newest = server.pids_of("ocserv-nursery")[-1]
    await_gone([pid for pid in server.pids_of("ocserv-nursery") if pid != newest])
    assert server.pids_of("ocserv-nursery") == [newest]
    assert not server.zombies()
    assert lab.connect("alice").host.ping(GATEWAY4)


def test_after_a_reload_secmod_can_die_and_tunnels_of_both_times_go_on(lab: Lab) -> None:
    server = lab.start_server()
    alice = lab.connect("alice")
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is reloaded")
    bob = lab.connect("bob")
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    assert alice.host.ping(GATEWAY4)
    assert bob.host.ping(GATEWAY4)
    alice.disconnect()
    assert server.await_disconnected("alice") == "user disconnected"


def test_a_vhost_that_a_reload_removes_leaves_its_sessions_alone(lab: Lab) -> None:
    path = lab.configure(banner="the default one")
    with open(path, "a", encoding="utf-8") as file:
        file.write("[vhost:two.example]\nbanner = the second one\n")
    server = lab.run_server([*OCSERV, "-f", "--log-stderr", "-c", path], lab.path("occtl.sock")).await_listening()
    before = lab.connect_by_name("two.example")
    lab.configure(banner="the default one")
    assert server.occtl("reload").returncode == 0
    assert before.host.ping(GATEWAY4)
    assert lab.connect_by_name("two.example").environment["CISCO_BANNER"] == "the default one"
    before.disconnect()
    assert server.await_disconnected("alice") == "user disconnected"


def test_an_option_that_needs_a_restart_is_said_to(lab: Lab) -> None:
    server = lab.start_server()
    lab.configure(tcp_port=444)
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("'tcp-port' has changed; it takes effect at the next start")
    server.log.wait_for("the configuration is reloaded")
    assert lab.connect("alice").host.ping(GATEWAY4)


def test_usr1_writes_the_status_to_the_log(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    server.send_signal(signal.SIGUSR1)
    server.log.wait_for("status: active_sessions: 1$")
    server.log.wait_for(f"status: server_pid: {server.pid}$")
    assert client.host.ping(GATEWAY4)


def test_usr2_looks_at_revocation_lists_and_hurts_nobody(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    server.send_signal(signal.SIGUSR2)
    server.log.wait_for("SIGUSR2: revocation lists are looked at")
    assert client.host.ping(GATEWAY4)


def test_a_server_that_drains_serves_nobody_new_and_those_who_are_there_for_a_while(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, server_drain_ms=4000)
    client = lab.connect("alice")
    client.await_dtls()
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    server.log.wait_for("draining: 1 connections may go on for 4.0 s")
    refused = lab.login("bob")
    assert refused.wait() != 0
    assert "Connection refused" in refused.output.text
    assert client.host.ping(GATEWAY4)
    server.send_signal(signal.SIGTERM)  # which changes nothing
    assert server.wait() == 0
    assert 4.0 <= time.monotonic() - began < 8.0
    client.wait()
    assert client.output.find("Received server disconnect: .*shutting down")


def test_a_server_that_drains_ends_with_its_last_connection(lab: Lab) -> None:
    server = lab.start_server(server_drain_ms=60_000)
    client = lab.connect("alice")
    server.send_signal(signal.SIGTERM)
    server.log.wait_for("draining")
    client.disconnect()
    assert server.wait() == 0
    assert server.await_disconnected("alice") == "user disconnected"
