"""Behind haproxy, in a network namespace, by systemd's sockets: how the server meets its clients."""

from __future__ import annotations

import re
import socket

import pytest

from .balancer import Balancer
from .lab import GATEWAY4, SERVER4, Lab
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
    client.reconnect()
    client.await_reconnected()
    server.log.wait_for(r"the tunnel opens", since=mark)
    (user,) = server.show("users")
    assert user["Remote IP"] == client.host.address4


CHECKS = ("check", "check send-proxy-v2", "check check-ssl verify none check-send-proxy")


@pytest.mark.parametrize("check", CHECKS)
def test_a_balancer_that_looks_after_our_health_is_not_talked_of(lab: Lab, check: str) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    mark = server.log.mark()
    with Segments(lab.namespace) as segments:
        balancer = Balancer(lab, "send-proxy-v2", *check.split(), "inter", "100ms")
        segments.await_connections(balancer.host, 5)
    assert not balancer.log.find("DOWN")
    assert server.log.lines[mark:] == []


def test_who_speaks_without_a_header_is_cut_off(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    assert lab.login().wait() != 0
    server.log.wait_for("the client is cut off: it does not begin with a PROXY header")


def test_a_header_that_does_not_come_in_time_ends_the_connection(lab: Lab) -> None:
    server = lab.start_altered(
        "import ocserv_core.main.server", listen_proxy_proto=True
    )
    with lab.host().open_socket(socket.AF_INET) as slow:
        slow.connect((SERVER4, 443))
        slow.sendall(b"PROXY TCP4 ")
        assert slow.recv(1) == b""
    server.log.wait_for("the client is cut off: no PROXY header within 10 s")


def test_a_health_probe_with_half_a_header_leaves_no_word(lab: Lab) -> None:
    server = lab.start_server(listen_proxy_proto=True)
    host = lab.host()
    mark = server.log.mark()
    for half in (b"", b"PROXY", b"PROXY TCP4 203.0.113.7 ", b"\r\n\r\n\0\r\nQUIT\n\x21", b"PROXY UNKNOWN\r\n"):
        with host.open_socket(socket.AF_INET) as probe:
            probe.connect((SERVER4, 443))
            probe.sendall(half)
            probe.shutdown(socket.SHUT_WR)
            assert probe.recv(1) == b""
    assert server.log.lines[mark:] == []
