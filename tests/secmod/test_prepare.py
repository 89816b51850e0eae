"""A configuration is ready as a whole, or every reason is told why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ocserv_core.config.build import read_config
from ocserv_core.config.tree import ServerConfig
from ocserv_core.errors import ConfigErrors
from ocserv_core.plugin import hookimpl
from ocserv_core.secmod.prepare import prepare

from . import pki


def configuration(folder: Path, more: str = "", pin: bytes | None = None) -> ServerConfig:
    """One vhost with a key, a certificate and a password file; what is added begins in line 8."""
    key, certificate = pki.write_pair(folder, "p256", pin)
    (folder / "ocpasswd").write_text("alice:staff:$5$salt$x\n")
    text = f"""\
auth = plain[passwd={folder}/ocpasswd]
tcp-port = 443
socket-file = {folder}/socket
server-cert = {certificate}
server-key = {key}
device = vpns
ipv4-network = 192.0.2.0/24
"""
    return read_config(text + more, "o.conf").config


def faults(config: ServerConfig) -> list[str]:
    """Everything that is wrong with it."""
    with pytest.raises(ConfigErrors) as caught:
        prepare(1, config)
    return [str(error) for error in caught.value.errors]


def test_a_configuration_is_made_ready(tmp_path: Path) -> None:
    prepared = prepare(3, configuration(tmp_path))
    assert (prepared.generation, list(prepared.vhosts)) == (3, ["default"])
    assert prepared.vhosts["default"].keys.sign(0, "ECDSA-SHA256", bytes(32))


def test_each_key_has_the_end_point_of_its_certificate(tmp_path: Path) -> None:
    ready = prepare(1, configuration(tmp_path)).vhosts["default"]
    certificate = x509.load_pem_x509_certificate((tmp_path / "p256-cert.pem").read_bytes())
    assert ready.end_points == (certificate.fingerprint(hashes.SHA256()),)
    assert (ready.end_point(0), ready.end_point(1), ready.end_point(-1)) == (ready.end_points[0], b"", b"")


def test_the_hosts_of_kkdcp_have_their_addresses(tmp_path: Path) -> None:
    ready = prepare(1, configuration(tmp_path, "kkdcp = /K R tcp@[::1]:88\nkkdcp = /K S udp@127.0.0.1:88\n"))
    assert [route.address for route in ready.vhosts["default"].proxies] == ["::1", "127.0.0.1"]


def test_a_host_of_kkdcp_without_an_address_is_told_at_its_line(tmp_path: Path) -> None:
    (said,) = faults(configuration(tmp_path, "kkdcp = /K R tcp@127.0.0.1:88\nkkdcp = /K S udp@no-host.invalid:88\n"))
    assert said.startswith("o.conf:9: kkdcp: the host 'no-host.invalid' has no address: ")


def test_groups_are_looked_up_only_where_they_are_wanted(tmp_path: Path) -> None:
    assert prepare(1, configuration(tmp_path)).groups() == {}
    wanted = configuration(tmp_path, "auto-select-group = true\n")
    assert prepare(1, wanted).groups() == {"default": ("staff",)}


def test_a_login_without_a_limit_has_one_nevertheless(tmp_path: Path) -> None:
    assert prepare(1, configuration(tmp_path, "auth-timeout = 0\n")).vhosts["default"].auth_timeout == 86400.0


def test_a_pin_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1234\n")
    prepare(1, configuration(tmp_path, f"pin-file = {tmp_path}/pin\n", b"1234"))


def test_a_pin_in_the_configuration_goes_before_the_file(tmp_path: Path) -> None:
    prepare(1, configuration(tmp_path, "pin-file = /nowhere\nkey-pin = 1234\n", b"1234"))


def test_a_pin_file_that_is_not_there_is_told_at_its_line(tmp_path: Path) -> None:
    said = faults(configuration(tmp_path, "pin-file = /nowhere\n", b"1234"))
    assert said == ["o.conf:8: cannot read the pin-file '/nowhere': No such file or directory"]


def test_a_back_end_that_is_not_installed_is_told_at_its_line(tmp_path: Path) -> None:
    (said,) = faults(configuration(tmp_path, "enable-auth = oidc\n"))
    assert said.startswith("o.conf:8: the auth back end 'oidc' is not installed")


def test_a_store_that_is_not_there_is_told_at_its_line(tmp_path: Path) -> None:
    (said,) = faults(configuration(tmp_path, "session-store = valkey\n"))
    assert said == "o.conf:8: the session store 'valkey' is not installed; there are sqlite and memory"


def test_options_of_a_store_are_told_at_their_line(tmp_path: Path) -> None:
    (said,) = faults(configuration(tmp_path, "session-store = sqlite[file=/s]\n"))
    assert said == "o.conf:8: the session store 'sqlite' has no options; write session-store = sqlite"


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    config = configuration(tmp_path, "session-store = valkey\nenable-auth = oidc\n")
    (tmp_path / "p256-key.pem").unlink()
    assert [said.split(":")[1] for said in faults(config)] == ["8", "5", "9"]


def test_groups_that_a_back_end_cannot_tell_are_told_at_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @hookimpl
    def fail(_self: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("ocserv_core.builtin.plain.PlainAuth.ocserv_groups", fail)
    prepared = prepare(1, configuration(tmp_path, "auto-select-group = true\n"))
    with pytest.raises(ConfigErrors, match=r"^o\.conf:1: plain: cannot tell its groups: RuntimeError\('a bug'\)$"):
        prepared.groups()
