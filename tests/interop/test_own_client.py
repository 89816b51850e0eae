"""The project's own client, on this server and on the C server: what the load of benchmarks is made with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys

import pytest

from .lab import GATEWAY4, POOL4, SERVER4, Lab
from .network import Host
from .processes import Watched
from .traffic import MEGABYTE, arrives_whole

OCSERV = "/usr/sbin/ocserv"

C_CONFIG = """\
auth = "plain[passwd={folder}/passwd]"
tcp-port = 443
udp-port = 443
server-cert = {cert}
server-key = {key}
run-as-user = nobody
run-as-group = nogroup
socket-file = {folder}/c.sock
device = vpnc
ipv4-network = {pool}
max-clients = 4
max-same-clients = 2
rate-limit-ms = 0
auth-timeout = 40
cookie-timeout = 300
keepalive = 300
dpd = 90
use-utmp = false
use-occtl = false
isolate-workers = true
tls-priorities = "NORMAL:%SERVER_PRECEDENCE:%COMPAT"
"""


class Own:
    """One such client on a host, connected when it is made."""

    def __init__(self, lab: Lab, host: Host, channel: str) -> None:
        words = [
            *(sys.executable, "-m", "ocserv_core.testing.client", "--user=alice", "--passwd-on-stdin"),
            *(f"--channel={channel}", f"--servercert={lab.pin}", "--interface=own0", f"https://{SERVER4}/"),
        ]
        self.host = host
        self._process = Watched(f"own client on {host.name}", host.argv(*words), stdin=f"{lab.passwords['alice']}\n")
        self._times = 0
        self.address, self.mtu, self.line = self.await_up()

    def await_up(self) -> tuple[str, int, str]:
        self._times += 1
        line = self._process.output.wait_for(r"^up own0 (\S+) (\d+) (\w+) (\S+)$", times=self._times)
        return line[1], int(line[2]), line[0]

    def reconnect(self) -> tuple[str, int, str]:
        self._process.send_signal(signal.SIGUSR2)
        return self.await_up()

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait()

    def destroy(self) -> None:
        self._process.destroy()


def _packets_go_both_ways(lab: Lab, client: Own) -> None:
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, 20 * MEGABYTE)
    assert arrives_whole(lab.namespace, client.host, client.address, 20 * MEGABYTE)


@pytest.mark.parametrize(("channel", "mtu"), [("dtls", 1434), ("tls", 1418)])
def test_this_server_serves_it(lab: Lab, channel: str, mtu: int) -> None:
    server = lab.start_server(udp_port=443)
    client = Own(lab, lab.host(), channel)
    try:
        assert client.line == f"up own0 {client.address} {mtu} {channel} AES-256-GCM"
        _packets_go_both_ways(lab, client)
        assert client.end() == 0
        assert server.await_disconnected("alice") == "user disconnected"
    finally:
        client.destroy()


def test_it_comes_back_with_its_cookie_and_its_address(lab: Lab) -> None:
    lab.start_server(udp_port=443)
    client = Own(lab, lab.host(), "dtls")
    try:
        for _ in range(3):
            address, _, line = client.reconnect()
            assert address == client.address
            assert re.search("dtls AES-256-GCM$", line)
            assert arrives_whole(client.host, lab.namespace, GATEWAY4, MEGABYTE)
    finally:
        client.destroy()


@pytest.mark.skipif(shutil.which(OCSERV) is None, reason="the C server is not installed")
@pytest.mark.parametrize("channel", ["dtls", "tls"])
def test_the_c_server_serves_it(lab: Lab, channel: str) -> None:
    text = C_CONFIG.format(folder=lab.folder, cert=lab.cert_file, key=lab.key_file, pool=POOL4)
    # Its workers, without privileges, look for the security module's socket there.
    os.chmod(lab.folder, 0o711)
    words = [OCSERV, "--foreground", "--debug=1", "--config", lab.write("c.conf", text)]
    server = Watched("the C server", lab.namespace.argv(*words))
    try:
        server.output.wait_for("initialized ocserv|listening")
        client = Own(lab, lab.host(), channel)
        try:
            _packets_go_both_ways(lab, client)
            assert client.end() == 0
        finally:
            client.destroy()
    finally:
        server.destroy()
