from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from ocserv_core.cli import ocpasswd, quickstart
from ocserv_core.config.build import read_config
from ocserv_core.errors import StartError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vpn"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_start_keeps_everything(folder: Path) -> None:
    first, made = quickstart.prepare(str(folder)), files(folder)
    assert quickstart.prepare(str(folder)) == first
    assert files(folder) == made


def test_everything_is_root_s_alone(folder: Path) -> None:
    quickstart.prepare(str(folder))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})


def test_the_configuration_is_read_without_a_warning(folder: Path) -> None:
    ready = quickstart.prepare(str(folder))
    reading = read_config(Path(ready.config_file).read_text(), ready.config_file, strict=True)
    assert reading.warnings == ()
    assert reading.config.server.tcp_port == reading.config.server.udp_port == ready.port


def test_the_configuration_routes_only_its_own_network_and_names_no_resolver(folder: Path) -> None:
    ready = quickstart.prepare(str(folder))
    options = read_config(Path(ready.config_file).read_text(), ready.config_file).config.vhosts[0].options
    networks = {options.ipv4_network, options.ipv6_network} - {""}
    assert (set(options.routes), options.dns) == (networks, ())


def test_every_path_is_absolute_wherever_it_was_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    ready = quickstart.prepare("vpn")
    server = read_config(Path(ready.config_file).read_text(), ready.config_file).config.server
    assert ready.config_file == str(folder / "ocserv.conf")
    assert {Path(server.socket_file).parent, Path(server.occtl_socket_file).parent} == {folder}


def test_the_pin_is_the_certificate_s_and_the_key_fits_it(folder: Path) -> None:
    ready = quickstart.prepare(str(folder))
    certificate = x509.load_pem_x509_certificate((folder / "server-cert.pem").read_bytes())
    key = load_pem_private_key((folder / "server-key.pem").read_bytes(), None)
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == info
    assert ready.pin == "pin-sha256:" + base64.b64encode(hashlib.sha256(info).digest()).decode()


def test_the_certificate_is_for_this_machine(folder: Path) -> None:
    quickstart.prepare(str(folder))
    certificate = x509.load_pem_x509_certificate((folder / "server-cert.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"127.0.0.1", "::1"} <= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert names.get_values_for_type(x509.DNSName)


def test_a_tls_library_takes_certificate_and_key(folder: Path) -> None:
    quickstart.prepare(str(folder))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server-cert.pem", folder / "server-key.pem")


def test_one_line_says_how_to_connect(folder: Path) -> None:
    ready = quickstart.prepare(str(folder))
    assert ready.line() == (
        f"openconnect --user=vpn --servercert {ready.pin} https://{ready.host}:{ready.port}"
        f"   # password: {ready.password}"
    )


def test_a_password_that_was_changed_is_not_printed(folder: Path) -> None:
    quickstart.prepare(str(folder))
    ocpasswd.set_password(str(folder / "ocpasswd"), b"vpn", b"*", b"another one")
    ready = quickstart.prepare(str(folder))
    assert (ready.password, ready.line().endswith("# password: the one that you set")) == ("", True)


def test_the_port_is_that_of_the_file(folder: Path) -> None:
    config = Path(quickstart.prepare(str(folder)).config_file)
    config.write_text("tcp-port = 8443 # moved\n")
    assert quickstart.prepare(str(folder)).port == 8443


def test_a_port_that_is_taken_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as closed:
        ports = taken.getsockname()[1], closed.getsockname()[1]
        closed.close()
        monkeypatch.setattr(quickstart, "PORTS", ports)
        assert quickstart.prepare(str(folder)).port == ports[1]


def test_a_port_that_is_taken_by_udp_alone_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("0.0.0.0", 0)) as free, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        ports = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        monkeypatch.setattr(quickstart, "PORTS", ports)
        assert quickstart.prepare(str(folder)).port == ports[1]


@pytest.mark.parametrize("name", ["a#b", 'a"b', "a]b", "x" * 100])
def test_a_folder_that_cannot_be_named_in_the_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError):
        quickstart.prepare(str(tmp_path / name))
    assert not (tmp_path / name / "ocserv.conf").exists()


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "vpn").touch()
    with pytest.raises(StartError, match="vpn: File exists"):
        quickstart.prepare(str(tmp_path / "vpn"))
