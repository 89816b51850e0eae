"""sec-mod-scale: the real client's handshakes are signed by processes behind secmod."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.tokens import PIN, Token, needs_softhsm, url_of

from .certificates import pin_of
from .lab import GATEWAY4, Lab
from .processes import await_gone
from .server import Server


def await_signers(server: Server, times: int = 2, *, since: int = 0) -> list[int]:
    """Until so many have told that they are ready; the pids of those that run."""
    server.log.wait_for("a signer is ready", since=since, times=times)
    return server.pids_of("ocserv-signer")


def test_two_signers_serve_clients_and_are_told_as_instances(lab: Lab) -> None:
    server = lab.start_server(sec_mod_scale=2)
    assert len(await_signers(server)) == 2
    for user in ("alice", "bob"):
        assert lab.connect(user).host.ping(GATEWAY4)
    assert server.show("status")["Sec-mod instance count"] == 2
    server.stop()


def test_one_is_secmod_itself(lab: Lab) -> None:
    server = lab.start_server(sec_mod_scale=1)
    assert lab.connect().host.ping(GATEWAY4)
    assert server.pids_of("ocserv-signer") == []
    assert server.show("status")["Sec-mod instance count"] == 1


def test_a_signer_that_is_killed_is_started_again(lab: Lab) -> None:
    server = lab.start_server(sec_mod_scale=2)
    first, second = await_signers(server)
    os.kill(first, signal.SIGKILL)
    assert lab.connect("alice").host.ping(GATEWAY4)
    pids = await_signers(server, 3)
    assert second in pids
    assert first not in pids
    assert lab.connect("bob").host.ping(GATEWAY4)


def test_signers_end_with_secmod_and_the_next_one_has_its_own(lab: Lab) -> None:
    server = lab.start_server(sec_mod_scale=2)
    old = await_signers(server)
    server.kill_one("ocserv-sm")
    await_gone(old)
    server.log.wait_for("secmod is back")
    assert set(await_signers(server, 4)).isdisjoint(old)
    assert lab.connect().host.ping(GATEWAY4)


def test_a_reload_gives_new_keys_to_new_signers(lab: Lab) -> None:
    server = lab.start_server(sec_mod_scale=2)
    old = await_signers(server)
    subprocess.run(("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", lab.key_file), check=True)
    request = ("openssl", "req", "-x509", "-new", "-key", lab.key_file, "-subj", "/CN=renewed", "-days", "9")
    subprocess.run((*request, "-out", lab.cert_file), check=True, capture_output=True, timeout=30)
    lab.pin = pin_of(lab.cert_file)
    assert server.occtl("reload").returncode == 0
    assert lab.connect("alice").host.ping(GATEWAY4)
    assert set(await_signers(server, 4)).isdisjoint(old)
    await_gone(old)
    seen = lab.host().run("openssl", "s_client", "-connect", "192.0.2.1:443").stdout
    assert re.search(r"subject=CN ?= ?renewed", seen)
    assert lab.connect("bob").host.ping(GATEWAY4)


@needs_softhsm
def test_signers_use_a_token(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = Token(tmp_path)
    for name, value in token.environment.items():
        monkeypatch.setenv(name, value)
    token.add("key", lab.key_file)
    Path(lab.key_file).unlink()
    server = lab.start_server(sec_mod_scale=2, server_key=url_of("key"), key_pin=PIN, log_level=9)
    assert len(await_signers(server)) == 2
    assert lab.connect().host.ping(GATEWAY4)
    assert PIN not in server.log.text


@needs_softhsm
def test_signers_that_cannot_use_their_token_do_not_try_until_it_is_locked(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = Token(tmp_path)
    for name, value in token.environment.items():
        monkeypatch.setenv(name, value)
    token.add("key", lab.key_file)
    server = lab.start_server(sec_mod_scale=2, server_key=url_of("key"), key_pin=PIN)
    first, second = await_signers(server)
    Path(token.environment["SOFTHSM2_CONF"]).write_text("directories.tokendir = /nowhere\n")
    for pid in (first, second):
        os.kill(pid, signal.SIGKILL)
    server.log.wait_for("a signer cannot use its keys, and is not started again: there is no such token")
    assert lab.connect().host.ping(GATEWAY4)
    assert server.pids_of("ocserv-signer") == []
