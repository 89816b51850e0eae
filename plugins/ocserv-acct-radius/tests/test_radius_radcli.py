"""The configuration file of the RADIUS client, and the file `servers`."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocserv_acct_radius.radcli import RadcliFile, Server, read_radcli

from ocserv_core.plugin import OptionError

AS_DEBIAN_HAS_IT = """\
# General settings
auth_order\tradius,local
login_tries\t4
login_timeout\t60
nologin /etc/nologin
issue\t/etc/radcli/issue

authserver \tlocalhost
acctserver \tlocalhost
servers\t\tservers
dictionary \t/etc/radcli/dictionary
login_radius\t/usr/sbin/login.radius
seqfile\t\t/var/run/radius.seq
mapfile\t\t/etc/radcli/port-id-map
default_realm
radius_timeout\t10
radius_retries\t3
radius_deadtime\t0
bindaddr *
login_local\t/bin/login
"""


def read(folder: Path, text: str, servers: str = "localhost\tsecret-of-localhost\n") -> RadcliFile:
    (folder / "servers").write_text(servers)
    (folder / "client.conf").write_text(text)
    return read_radcli(str(folder / "client.conf"))


def fault(folder: Path, text: str, servers: str = "localhost secret\n") -> str:
    with pytest.raises(OptionError) as refused:
        read(folder, text, servers)
    return str(refused.value).replace(f"{folder}/", "")


def test_a_file_as_it_is_on_many_machines(tmp_path: Path) -> None:
    found = read(tmp_path, AS_DEBIAN_HAS_IT)
    assert found.auth_servers == (Server("localhost", 1812, b"secret-of-localhost"),)
    assert found.acct_servers == (Server("localhost", 1813, b"secret-of-localhost"),)
    assert (found.timeout, found.retries, found.deadtime) == (10.0, 3, 0.0)
    assert (found.default_realm, found.bind_address, found.nas_identifier) == ("", "", "")


def test_servers_have_ports_and_secrets_of_their_own(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "authserver localhost:1645, 192.0.2.1:1812:one:two\t[2001:db8::1]:99:three [::1]\nservers servers\n",
        "localhost x\n::1 x\n",
    )
    assert found.auth_servers == (
        Server("localhost", 1645, b"x"),
        Server("192.0.2.1", 1812, b"one:two"),
        Server("2001:db8::1", 99, b"three"),
        Server("::1", 1812, b"x"),
    )


def test_a_secret_is_found_by_the_address_that_a_name_has(tmp_path: Path) -> None:
    assert read(tmp_path, "authserver localhost\nservers servers\n", "127.0.0.1 x\n").auth_servers[0].secret == b"x"


def test_a_pair_of_hosts_shares_a_secret(tmp_path: Path) -> None:
    text = "servers servers\nauthserver 192.0.2.2\n"
    assert read(tmp_path, text, "192.0.2.1/192.0.2.2 x\n").auth_servers[0].secret == b"x"


def test_what_may_stand_there_beside(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "nas-identifier vpn.example\ndefault_realm @example.com\nbindaddr 192.0.2.9\nnas-ip 192.0.2.8\n"
        "require-message-authenticator no\nserv-type udp\nradius_deadtime 30\n",
    )
    assert (found.nas_identifier, found.default_realm) == ("vpn.example", "example.com")
    assert (found.bind_address, found.nas_ip) == ("192.0.2.9", "192.0.2.8")
    assert (found.require_message_authenticator, found.deadtime) == (False, 30.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("radius_timeout ten\n", "client.conf:1: 'ten' is not a number from 1 to 600"),
        ("\n# x\nradius_retries 101\n", "client.conf:3: '101' is not a number from 0 to 100"),
        ("athserver localhost\n", "client.conf:1: 'athserver' is not known here; there are servers, authserver"),
        ("bindaddr eth0\n", "client.conf:1: 'eth0' is not an IP address"),
        ("authserver [::1\n", "client.conf:1: a '[' is not closed"),
        ("authserver :1812\n", "client.conf:1: a server has no name"),
        ("authserver localhost:0:x\n", "client.conf:1: '0' is not a number from 1 to 65535"),
        ("serv-type dtls\n", "client.conf:1: RADIUS over dtls is not supported"),
        ("radius_retries 1\nradius_retries 2\n", "client.conf:2: radius_retries stands in line 1 already"),
        ("authserver 192.0.2.7\nservers servers\n", "client.conf:1: there is no secret for 192.0.2.7"),
        ("servers nothing\n", "client.conf:1: servers: cannot read nothing: No such file"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in fault(tmp_path, text)


def test_every_fault_is_told(tmp_path: Path) -> None:
    told = fault(tmp_path, "radius_timeout x\nradius_retries y\n")
    assert "client.conf:1" in told
    assert "client.conf:2" in told


def test_a_line_without_a_secret_is_a_fault(tmp_path: Path) -> None:
    assert "servers:2: there is no secret" in fault(tmp_path, "servers servers\n", "# x\nlocalhost\n")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read .*: No such file"):
        read_radcli(str(tmp_path / "client.conf"))


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    found = read(tmp_path, "authserver localhost:1:hidden-one\nservers servers\n", "192.0.2.1 hidden-two\n")
    assert "hidden" not in repr(found)
    assert "hidden" not in repr(found.secrets)
