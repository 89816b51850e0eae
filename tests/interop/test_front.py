"""Behind haproxy, in a network namespace, by systemd's sockets: how the server meets its clients."""

from __future__ import annotations

import os
import re
import signal
import socket

import pytest

from .balancer import Balancer
from .lab import GATEWAY4, SERVER4, SERVER6, Lab
from .test_scripts import said, started
from .traffic import MEGABYTE, arrives_whole

VERSIONS = ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl,cert-cn")


# ---- behind a balancer


@pytest.mark.parametrize("version", VERSIONS)
def test_behind_a_balancer_the_client_is_known_by_its_own_address(lab: Lab, version: str) -> None:
    server = started(lab, listen_proxy_proto=True)
    balancer = Balancer(lab, *version.split()).await_up()
    client = lab.connect(server=balancer.address)
    own = client.host.address4
    found = said(server, "connect")
    assert (found["IP_REAL"], found["IP_REAL_LOCAL"]) == (own, balancer.address)
    (user,) = server.show("users")
    assert user["Remote IP"] == own
    (session,) = server.show("sessions", "all")
    assert session["Remote IP"] == own
    assert server.log.find(rf"alice.*{re.escape(own)}")
    assert not server.log.find(rf"{re.escape(balancer.address)}\b.*tunnel")
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, MEGABYTE)


def test_datagrams_come_from_elsewhere_and_find_the_client(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True, udp_port=443)
    balancer = Balancer(lab, "send-proxy-v2").await_up()
    balancer.forward_datagrams()
    client = lab.connect(server=balancer.address)
    client.await_dtls()
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, MEGABYTE)
    (user,) = server.show("users")
    assert user["Remote IP"] == client.host.address4
    assert user["DTLS cipher"]


def test_a_cookie_is_good_behind_the_balancer_again(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    balancer = Balancer(lab, "send-proxy").await_up()
    client = lab.connect(server=balancer.address)
    mark = server.log.mark()
    client.send_signal(signal.SIGUSR2)
    client.await_reconnected()
    server.log.wait_for(r"the tunnel opens", since=mark)
    (user,) = server.show("users")
    assert user["Remote IP"] == client.host.address4


CHECKS = ("check", "check send-proxy-v2", "check check-ssl verify none check-send-proxy")


@pytest.mark.parametrize("check", CHECKS)
def test_a_balancer_that_looks_after_our_health_is_not_talked_of(lab: Lab, check: str) -> None:
    server = lab.start_server(listen_proxy_proto=True, log_level=2)
    mark = server.log.mark()
    balancer = Balancer(lab, "send-proxy-v2", *check.split(), "inter", "100ms")
    balancer.log.wait_for("Health check for server vpn/vpn succeeded")
    client = lab.connect(server=balancer.await_up().address)
    client.disconnect()
    server.await_disconnected("alice")
    assert [line for line in server.log.lines[mark:] if balancer.host.address4 in line] == []


def test_who_speaks_without_a_header_is_cut_off(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    assert lab.login().wait() != 0
    server.log.wait_for("the client is cut off: it does not begin with a PROXY header")


def test_a_header_that_does_not_come_in_time_ends_the_connection(lab: Lab) -> None:
    server = lab.start_altered("import ocserv_core.main.server", listen_proxy_proto=True)
    with lab.host().open_socket(socket.AF_INET) as slow:
        slow.connect((SERVER4, 443))
        slow.sendall(b"PROXY TCP4 ")
        assert slow.recv(1) == b""
    server.log.wait_for("the client is cut off: no PROXY header within 10 s")


def test_a_health_probe_with_half_a_header_leaves_no_word(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True, log_level=2)
    host = lab.host()
    mark = server.log.mark()
    for half in (b"", b"PROXY", b"PROXY TCP4 203.0.113.7 ", b"\r\n\r\n\0\r\nQUIT\n\x21", b"PROXY UNKNOWN\r\n"):
        with host.open_socket(socket.AF_INET) as probe:
            probe.connect((SERVER4, 443))
            probe.sendall(half)
            probe.shutdown(socket.SHUT_WR)
            assert probe.recv(1) == b""
    assert server.log.lines[mark:] == []


# ---- where it listens


def test_it_listens_in_another_namespace_and_lives_in_its_own(lab: Lab) -> None:
    """Clients come to the lab's namespace; the server with its TUN devices lives beside it."""
    home = lab.beside()
    server = lab.launch_at(home, listen_netns=lab.namespace.name, udp_port=443).await_listening()
    client = lab.connect()
    client.await_dtls()
    assert arrives_whole(client.host, home, GATEWAY4, MEGABYTE)
    assert "vpns" in home.run("ip", "link").stdout
    assert server.namespaces() == {home.identity}


def test_a_namespace_that_is_not_there_is_told_of_at_start(lab: Lab) -> None:
    server = lab.launch(listen_netns="nowhere")
    assert server.wait() == 1
    assert server.log.find("listen-netns = nowhere: No such file or directory")


def test_a_port_that_is_taken_there_is_told_of(lab: Lab) -> None:
    with lab.namespace.open_socket(socket.AF_INET) as other:
        other.bind((SERVER4, 443))
        other.listen()
        server = lab.launch_at(lab.beside(), listen_netns=lab.namespace.name)
        assert server.wait() == 1
        assert server.log.find(r"port 443 is in use \(0\.0\.0\.0:443\); .+ \(pid \d+\) has it"), server.log.text


@pytest.mark.parametrize("udp", [True, False])
def test_systemds_sockets_are_served(lab: Lab, udp: bool) -> None:
    """Their ports are told to clients, whatever the configuration says."""
    server = lab.activate(("tcp6:443", *(["udp6:443"] if udp else [])), tcp_port=4443, udp_port=4444)
    server.await_listening()
    client = lab.connect()
    assert bool(client.output.find("^X-DTLS-Port: 443$")) is udp
    if udp:
        client.await_dtls()
        assert arrives_whole(client.host, lab.namespace, GATEWAY4, MEGABYTE)
    mark = server.log.mark()
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is reloaded", since=mark)
    assert not server.log.find("has changed", since=mark)
    assert server.log.find(r"listening on :: port 443 \(TCP\)")


def test_sockets_that_are_another_process_are_left_alone(lab: Lab) -> None:
    server = lab.activate(("tcp:8443",), pid="1").await_listening()
    assert server.log.find(r"listening on 0\.0\.0\.0 port 443 \(TCP\)")


def test_without_a_tcp_socket_systemds_are_refused(lab: Lab) -> None:
    server = lab.activate(("udp:8443",))
    assert server.wait() == 1
    assert server.log.find("systemd gave no TCP socket that listens")


def test_all_addresses_of_a_name_are_listened_on(lab: Lab) -> None:
    """Of two machines that share a name each takes its own."""
    lab.name_hosts("vpn.example", SERVER4, SERVER6, "192.0.2.99")
    server = lab.launch(listen_host="vpn.example", udp_port=443).await_listening()
    server.log.wait_for(r"listening on \S+ port 443", times=4)
    assert server.log.find("listen-host = vpn.example: cannot listen on 192.0.2.99:443: Cannot assign")
    lab.connect(server=SERVER6)


def test_a_client_is_told_that_the_servers_address_may_change(lab: Lab) -> None:
    lab.start_server(listen_host_is_dyndns=True)
    assert lab.connect().output.find("^X-CSTP-DynDNS: true$")


def test_workers_are_locked_into_the_folder_that_is_named(lab: Lab) -> None:
    jail = lab.path("jail")
    os.mkdir(jail, 0o755)
    lab.write("jail/note", "here", mode=0o644)
    server = lab.start_server(chroot_dir=jail)
    lab.connect()
    (worker,) = server.pids_of("ocserv-worker")
    assert os.listdir(f"/proc/{worker}/root/") == ["note"]
    with pytest.raises(OSError, match="Read-only"):
        os.mkdir(f"/proc/{worker}/root/new")


@pytest.mark.parametrize(("folder", "why"), [("/nowhere", "there is no such folder"), ("/", "that is everything")])
def test_a_folder_that_locks_nobody_in_is_refused(lab: Lab, folder: str, why: str) -> None:
    server = lab.launch(chroot_dir=folder)
    assert server.wait() == 1
    assert server.log.find(f"chroot-dir = {folder}: {why}")


def test_a_reload_puts_a_balancer_before_the_server_and_sessions_go_on(lab: Lab) -> None:
    server = lab.start_server()
    before = lab.connect("bob")
    mark = server.log.mark()
    lab.configure(listen_proxy_proto=True)
    server.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration is reloaded", since=mark)
    client = lab.connect(server=Balancer(lab, "send-proxy-v2").await_up().address)
    remote = {user["Username"]: user["Remote IP"] for user in server.show("users")}
    assert remote == {"alice": client.host.address4, "bob": before.host.address4}
    assert before.reaches(GATEWAY4)


def test_a_new_secmod_knows_clients_by_their_own_addresses(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    balancer = Balancer(lab, "send-proxy").await_up()
    client = lab.connect(server=balancer.address)
    mark = server.log.mark()
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back", since=mark)
    other = lab.connect("bob", server=balancer.address)
    remote = {user["Username"]: user["Remote IP"] for user in server.show("users")}
    assert remote == {"alice": client.host.address4, "bob": other.host.address4}
