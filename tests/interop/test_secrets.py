"""What must never be in the log, nor in the memory of a process that has no need of it."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .hostile import TlsClient
from .lab import GATEWAY4, Lab
from .server import Server


def test_the_log_at_its_highest_level_has_no_secret(lab: Lab) -> None:
    server = lab.start_server(log_level=9)
    mistyped = "mistyped-but-nearly-right"
    lab.openconnect("--user", "alice", stdin=f"{mistyped}\n{lab.passwords['alice']}\n").await_connected()
    cookie = lab.authenticate("bob")
    lab.resume(cookie).await_connected()
    lab.login("carol", "--no-xmlpost").await_connected()
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    server.stop()
    log = server.log.text
    assert "alice" in log
    for secret in [mistyped, *lab.passwords.values(), cookie.removeprefix("webvpn="), *_hashes(lab), *_key_texts(lab)]:
        assert secret not in log


def _hashes(lab: Lab) -> list[str]:
    with open(lab.path("passwd"), encoding="utf-8") as file:
        return [line.strip().split(":")[2] for line in file]


def _key_texts(lab: Lab) -> list[str]:
    """The private number as a log might show it."""
    with open(lab.key_file, "rb") as file:
        pem = file.read()
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    return [
        *pem.decode().splitlines()[1:-1],
        str(number),
        f"{number:x}",
        base64.b64encode(number.to_bytes(32)).decode(),
    ]


# ---- memory


@pytest.fixture
def rsa_lab() -> Iterator[Lab]:
    lab = Lab(certificate="RSA")
    try:
        yield lab
    finally:
        lab.close()


def test_the_keys_primes_are_in_the_memory_of_secmod_and_its_signers_alone(rsa_lab: Lab) -> None:
    server = rsa_lab.start_server(sec_mod_scale=2)
    server.log.wait_for("a signer is ready", times=2)
    client = rsa_lab.connect("alice")
    in_login = TlsClient(rsa_lab.host())
    assert client.host.ping(GATEWAY4)
    needles = _primes(rsa_lab)
    assert _holders(server, needles) == {"ocserv-sm", "ocserv-signer"}
    assert len(server.pids_of("ocserv-worker")) == 2
    in_login.close()


def test_the_keys_primes_stay_there_after_a_reload_and_a_restart_of_it(rsa_lab: Lab) -> None:
    server = rsa_lab.start_server(sec_mod_scale=2)
    server.log.wait_for("a signer is ready", times=2)
    rsa_lab.connect("alice")
    assert server.occtl("reload").returncode == 0
    server.log.wait_for("a signer is ready", times=4)
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    server.log.wait_for("a signer is ready", times=6)
    rsa_lab.connect("bob")
    assert _holders(server, _primes(rsa_lab)) == {"ocserv-sm", "ocserv-signer"}


def _primes(lab: Lab) -> list[bytes]:
    """Both primes in both orders of bytes, and what the file looks like."""
    with open(lab.key_file, "rb") as file:
        pem = file.read()
    key = load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    big = [prime.to_bytes(128) for prime in (numbers.p, numbers.q)]
    return [*big, *(prime[::-1] for prime in big), *pem.splitlines()[5:10]]


def _holders(server: Server, needles: list[bytes]) -> set[str]:
    """The titles of the processes in whose memory one of these is."""
    pattern = re.compile(b"|".join(map(re.escape, needles)))
    processes = server.processes()
    assert {"ocserv-main", "ocserv-sm", "ocserv-signer", "ocserv-nursery", "ocserv-worker"} == set(processes.values())
    return {title for pid, title in processes.items() if any(pattern.search(part) for part in _memory(pid))}


def _memory(pid: int) -> Iterator[bytes]:
    """Every mapping of a process that can be read."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as file:
        ranges = [line.split()[0].split("-") for line in file if line.split()[1].startswith("r")]
    read = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in ranges:
            with contextlib.suppress(OSError, OverflowError):  # vvar, vsyscall
                memory.seek(int(start, 16))
                part = memory.read(int(end, 16) - int(start, 16))
                read += len(part)
                yield part
    assert read > 1 << 20, f"hardly anything of {pid} could be read"
