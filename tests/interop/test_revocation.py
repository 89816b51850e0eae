"""Revocation lists while the server runs: replaced, too old, damaged."""

from __future__ import annotations

import os
import signal

import pytest

from .authority import CN, DAY, Authority
from .lab import Lab
from .server import Server
from .test_certificate import present


@pytest.fixture
def ca(lab: Lab) -> Authority:
    return Authority(lab)


def start(lab: Lab, ca: Authority) -> Server:
    """With a list, crl.pem, of nobody."""
    return lab.start_server(auth="certificate", cert_user_oid=CN, ca_cert=ca.file, crl=ca.revoke())


def test_a_newer_list_is_read_without_a_reload(lab: Lab, ca: Authority) -> None:
    zoe, bob = ca.issue("zoe"), ca.issue("bob")
    server = start(lab, ca)
    tunnel = present(lab, zoe).await_connected()
    ca.revoke(zoe)
    server.send_signal(signal.SIGUSR2)
    server.log.wait_for(r"the revocation list '.*crl.pem' was read again")
    assert present(lab, zoe).wait() != 0
    assert server.log.wait_for("certificate is not valid: .*revoked")
    present(lab, bob).await_connected()
    assert tunnel.running


def test_a_list_that_is_the_same_is_not_read_again(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca)
    server.send_signal(signal.SIGUSR2)
    server.log.wait_for("SIGUSR2: revocation lists are looked at")
    present(lab, ca.issue("zoe")).await_connected()
    assert not server.log.find("was read again")
    assert len(server.pids_of("ocserv-nursery")) == 1


def test_a_reload_reads_it_too(lab: Lab, ca: Authority) -> None:
    zoe = ca.issue("zoe")
    server = start(lab, ca)
    ca.revoke(zoe)
    assert server.occtl("reload").returncode == 0
    assert present(lab, zoe).wait() != 0
    assert server.log.wait_for("certificate is not valid: .*revoked")


@pytest.mark.parametrize("by", ["reload", "signal"])
def test_a_list_that_cannot_be_read_leaves_the_one_before_in_force(lab: Lab, ca: Authority, by: str) -> None:
    zoe, bob = ca.issue("zoe"), ca.issue("bob")
    ca.revoke(zoe)
    server = lab.start_server(auth="certificate", cert_user_oid=CN, ca_cert=ca.file, crl=ca.revoke(zoe))
    lab.write("crl.pem", "half a list")
    if by == "reload":
        assert server.occtl("reload").returncode == 1
    else:
        server.send_signal(signal.SIGUSR2)
        server.log.wait_for(r"the newer revocation list '.*crl.pem' is not used, the one before stays in force:")
    assert server.log.wait_for(r"ocserv.conf:\d+: vhost default: crl: ")
    present(lab, bob).await_connected()
    assert present(lab, zoe).wait() != 0
    assert server.log.wait_for("certificate is not valid: .*revoked")


def test_a_list_that_is_gone_at_reload(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca)
    os.unlink(lab.path("crl.pem"))
    answer = server.occtl("reload")
    assert answer.returncode == 1
    assert "crl.pem': No such file or directory" in answer.stdout + answer.stderr
    present(lab, ca.issue("zoe")).await_connected()


def test_a_list_that_is_too_old_is_an_error_line_and_still_holds(lab: Lab, ca: Authority) -> None:
    zoe = ca.issue("zoe")
    file = ca.revoke(zoe, lasts=-DAY / 24)
    server = lab.start_server(auth="certificate", cert_user_oid=CN, ca_cert=ca.file, crl=file)
    assert server.log.wait_for(r"crl '.*crl.pem' \(vhost default\) is too old, its next update was due 20\d\d-")
    present(lab, ca.issue("bob")).await_connected()
    assert present(lab, zoe).wait() != 0
    server.send_signal(signal.SIGUSR2)
    server.log.wait_for("is too old", times=2)


def test_a_newer_list_ends_the_complaint(lab: Lab, ca: Authority) -> None:
    file = ca.revoke(lasts=-DAY / 24)
    server = lab.start_server(auth="certificate", cert_user_oid=CN, ca_cert=ca.file, crl=file)
    ca.revoke()
    server.send_signal(signal.SIGUSR2)
    server.log.wait_for("was read again")
    assert server.log.count("is too old") == 1
