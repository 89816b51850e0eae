"""How the server starts: in the background, by a quickstart, beside another; and when it does not."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from .lab import GATEWAY4, Lab, Option
from .network import ip
from .processes import PATIENCE, Family, await_gone
from .server import OCSERV

# ---- in the background


def test_in_the_background_the_command_ends_when_the_server_is_up(lab: Lab) -> None:
    pid_file, log = lab.path("pid"), lab.path("log")
    words = [*OCSERV, "-c", lab.configure(sec_mod_scale=1), "--log-stderr", "-p", pid_file]
    try:
        # A file, since the server keeps its standard error open: a pipe would not end with the command.
        with open(log, "wb") as file:
            command = subprocess.run(lab.namespace.argv(*words), stdout=file, stderr=file, timeout=PATIENCE)
        assert command.returncode == 0, _content(log)
        pid = int(_content(pid_file))
        assert lab.connect().host.ping(GATEWAY4)
        family = Family(pid)
        assert len(family.members()) == 4
        os.kill(pid, signal.SIGTERM)
        await_gone([pid], 6)
        assert not family.members()
        assert not os.path.exists(pid_file)
    finally:
        for left in ip("netns", "pids", lab.namespace.name).split():
            os.kill(int(left), signal.SIGKILL)


def _content(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_in_the_background_the_command_tells_why_the_server_is_not_up(lab: Lab) -> None:
    lab.start_server()
    own = {"occtl_socket_file": lab.path("occtl2.sock"), "socket_file": lab.path("second.sock")}
    command = lab.namespace.run(*OCSERV, "-c", lab.configure("second.conf", **own), "--log-stderr")
    assert command.returncode == 1
    assert "443" in command.stderr


# ---- its command line


def test_debug_sets_the_log_level_where_the_file_has_none(lab: Lab) -> None:
    argv = [*OCSERV, "-f", "-d", "4", "-c", lab.configure(log_level=())]
    server = lab.run_server(argv, lab.path("occtl.sock")).await_listening()
    lab.connect()
    server.log.wait_for(r"HTTP POST /auth")


def test_the_file_s_log_level_goes_before_debug(lab: Lab) -> None:
    argv = [*OCSERV, "-f", "-d", "9", "-c", lab.configure(log_level=0)]
    server = lab.run_server(argv, lab.path("occtl.sock")).await_listening()
    lab.connect().disconnect()
    server.stop()
    assert not server.log.find("HTTP |TLS: ")


# ---- quickstart


def test_the_line_of_a_quickstart_connects(lab: Lab) -> None:
    folder = lab.path("quickstart")
    server = lab.run_server([*OCSERV, "--quickstart", folder], os.path.join(folder, "occtl.socket"))
    line = server.log.wait_for(r"openconnect --user=(\S+) --servercert (\S+) (https://\S+)   # password: (\S+)")
    server.await_listening()
    script = ["--script", lab.path("script"), "--passwd-on-stdin", "--non-inter"]
    words = [f"--user={line[1]}", "--servercert", line[2], *script, line[3]]
    pools = {"LAB_NETWORK4": "192.168.217.0/24", "LAB_NETWORK6": "fd00::/8"}
    client = lab.run_client(words, stdin=f"{line[4]}\n", environment=pools)
    client.await_connected()
    assert client.host.ping("192.168.217.1")
    server.stop()


def test_a_second_quickstart_keeps_what_the_first_one_made(lab: Lab) -> None:
    folder = lab.path("quickstart")
    lines = []
    for _ in range(2):
        server = lab.run_server([*OCSERV, "--quickstart", folder], os.path.join(folder, "occtl.socket"))
        server.await_listening()
        lines.append(server.log.wait_for("openconnect .*password: .*")[0])
        server.stop()
    assert lines[0] == lines[1]


def test_a_quickstart_that_cannot_serve_promises_no_connection(lab: Lab) -> None:
    folder = lab.path("quickstart")
    first = lab.run_server([*OCSERV, "--quickstart", folder], os.path.join(folder, "occtl.socket"))
    first.await_listening()
    second = lab.run_server([*OCSERV, "--quickstart", folder], os.path.join(folder, "other.socket"))
    second.log.wait_for("another server .* uses the state folder")
    assert not second.log.find("openconnect --user")
    first.stop()


# ---- --test-config


def test_test_config_says_nothing_of_a_good_file(lab: Lab) -> None:
    command = lab.namespace.run(*OCSERV, "-t", "-c", lab.configure())
    assert (command.returncode, command.stdout + command.stderr) == (0, "")


def test_test_config_beside_a_running_server_leaves_it_alone(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect()
    assert lab.namespace.run(*OCSERV, "-t", "-c", lab.path("ocserv.conf")).returncode == 0
    assert client.host.ping(GATEWAY4)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("run_as_user", "mallory"),
        ("run_as_group", "mallory"),
        ("run_as_user", "root"),
        ("tls_priorities", "NONSENSE"),
        ("ocsp_response", "/dev/null"),
        ("dh_params", "/nowhere/dh.pem"),
        ("server_key", "/nowhere/key.pem"),
        ("server_cert", "/nowhere/cert.pem"),
        ("auth", '"plain[passwrd=/x]"'),
    ],
)
def test_test_config_finds_what_only_secmod_and_workers_can(lab: Lab, option: str, value: str) -> None:
    command = lab.namespace.run(*OCSERV, "-t", "-c", lab.configure(**{option: value}))
    assert command.returncode == 1
    assert re.search(r"ocserv\.conf:\d+: ", command.stderr), command.stderr


# ---- a second server


@pytest.mark.parametrize(
    ("shared", "complaint"),
    [
        ("tcp-port", "443"),
        ("occtl-socket-file", "occtl.sock"),
        ("socket-file", "ocserv.sock.d"),
    ],
)
def test_a_second_server_on_the_same_is_refused_and_the_first_unharmed(lab: Lab, shared: str, complaint: str) -> None:
    first = lab.start_server()
    client = lab.connect("alice")
    own: dict[str, Option] = {
        "tcp-port": 444,
        "occtl-socket-file": lab.path("occtl2.sock"),
        "socket-file": lab.path("second.sock"),
    }
    del own[shared]
    second = lab.launch("second.conf", **own)
    assert second.wait() == 1
    second.log.wait_end()
    assert len(second.log.lines) == 1, second.log.text
    assert complaint in second.log.text
    assert client.host.ping(GATEWAY4)
    assert first.show("status")["Server PID"] == first.pid
    assert lab.connect("bob").host.ping(GATEWAY4)


def test_a_udp_port_that_another_server_has_is_one_clear_line(lab: Lab) -> None:
    first = lab.start_server(udp_port=4433)
    assert first.log.wait_for(r"listening on 0\.0\.0\.0 port 4433 \(UDP\)")
    own: dict[str, Option] = {
        "tcp-port": 444,
        "udp-port": 4433,
        "occtl-socket-file": lab.path("occtl2.sock"),
        "socket-file": lab.path("second.sock"),
    }
    second = lab.launch("second.conf", **own)
    assert second.wait() == 1
    second.log.wait_end()
    assert len(second.log.lines) == 1, second.log.text
    assert f"port 4433 is in use (UDP 0.0.0.0:4433); ocserv-main (pid {first.pid}) has it" in second.log.text


def test_a_wrong_configuration_does_not_start(lab: Lab) -> None:
    server = lab.launch(idle_timeout="soon")
    assert server.wait() == 1
    assert server.log.find(r"ocserv\.conf:\d+: .*idle-timeout")


def test_a_key_that_is_not_the_certificates_does_not_start(lab: Lab) -> None:
    other = Lab()
    try:
        server = lab.launch(server_key=other.key_file)
        assert server.wait() == 1
        assert server.log.find(r"ocserv\.conf:\d+: .*key")
    finally:
        other.close()


def test_without_a_tun_device_it_does_not_start(lab: Lab) -> None:
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"]
    server = lab.run_server([*hidden, *OCSERV, "-f", "--log-stderr", "-c", lab.configure()], lab.path("occtl.sock"))
    assert server.wait() == 1
    server.log.wait_end()
    assert len(server.log.lines) == 1, server.log.text
    assert "/dev/net/tun" in server.log.text
