"""What a reload reads again, and what it leaves alone: files that were renewed on disk, tunnels, restart-only options.

Revocation lists have a file of their own, test_revocation.py; the signal and the nurseries, test_signals.py.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from ..bridge.pki import DAY, issue, ocsp_response
from .authority import CN, Authority
from .certificates import make_certificate, pin_of
from .lab import GATEWAY4, Lab
from .network import SERVER4
from .test_certificate import present
from .traffic import pinging


def served(lab: Lab, *words: str) -> str:
    """What openssl shows of the server, its certificate in PEM among it."""
    return lab.host().run("openssl", "s_client", *words, "-connect", f"{SERVER4}:443").stdout


def stapled(lab: Lab) -> str:
    """When the OCSP response was said that a client gets."""
    shown = re.search(r"This Update: (.*)", served(lab, "-status"))
    assert shown is not None
    return shown[1]


def content(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


def test_a_renewed_certificate_and_its_key_are_served(lab: Lab) -> None:
    server = lab.start_server()
    before, old_pin = content(lab.cert_file), lab.pin
    running = lab.connect()
    assert before in served(lab)
    make_certificate(lab.folder, "P-384")
    assert server.occtl("reload").returncode == 0
    shown = served(lab)
    assert content(lab.cert_file) in shown
    assert before not in shown
    assert running.host.ping(GATEWAY4)
    lab.pin = pin_of(lab.cert_file)
    assert lab.connect("bob").host.ping(GATEWAY4)
    lab.pin = old_pin
    assert lab.login("carol").wait() != 0


def test_a_certificate_without_its_new_key_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    server = lab.start_server()
    before = content(lab.cert_file)
    _, other = make_certificate(str(tmp_path), "ECDSA")
    lab.write("cert.pem", content(other) + "\n")
    answer = server.occtl("reload")
    assert answer.returncode == 1
    assert "ocserv.conf:" in answer.stderr
    assert before in served(lab)
    assert lab.connect().host.ping(GATEWAY4)


def test_a_new_ocsp_response_is_stapled(lab: Lab, tmp_path: Path) -> None:
    authority = issue("CA", ca=True)
    leaf = issue("vpn.example", by=authority)
    files = {"cert.pem": leaf.pem, "key.pem": leaf.key_pem, "ocsp.der": ocsp_response(leaf, authority)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    certificate, key, response = (str(tmp_path / name) for name in files)
    server = lab.start_server(server_cert=certificate, server_key=key, ocsp_response=response)
    before = stapled(lab)
    (tmp_path / "ocsp.der").write_bytes(ocsp_response(leaf, authority, age=DAY / 2))
    assert stapled(lab) == before
    assert server.occtl("reload").returncode == 0
    assert stapled(lab) != before


def test_an_authority_that_was_added_to_the_file_is_believed(lab: Lab) -> None:
    ca, other = Authority(lab), Authority(lab, "other")
    zoe, yves = ca.issue("zoe"), other.issue("yves")
    server = lab.start_server(auth="certificate", cert_user_oid=CN, ca_cert=ca.file)
    running = present(lab, zoe).await_connected()
    assert present(lab, yves).wait() != 0
    lab.write("ca.pem", ca.pem + other.pem)
    assert server.occtl("reload").returncode == 0
    assert present(lab, yves).await_connected().host.ping(GATEWAY4)
    assert running.host.ping(GATEWAY4)


def test_what_waits_for_the_next_start_is_told(lab: Lab) -> None:
    server = lab.start_server()
    lab.configure(tcp_port=444, sec_mod_scale=3, banner="after")
    answer = server.occtl("reload")
    assert (answer.returncode, answer.stdout) == (0, "Server scheduled to reload\n")
    assert answer.stderr.splitlines() == [
        "'tcp-port' has changed; it takes effect at the next start",
        "'sec-mod-scale' has changed; it takes effect at the next start",
    ]
    assert lab.connect().environment["CISCO_BANNER"] == "after"


@pytest.mark.parametrize("good", [True, False])
def test_reloads_cost_running_tunnels_no_packet(lab: Lab, good: bool) -> None:
    server = lab.start_server(udp_port=443)
    clients = [lab.connect(user) for user in ("alice", "bob", "carol")]
    clients[0].await_dtls()
    with contextlib.ExitStack() as stack:
        pings = [stack.enter_context(pinging(client.host, GATEWAY4)) for client in clients]
        for number in range(4):
            lab.configure(udp_port=443, banner=f"the {number}." if good else "", dpd=90 if good else "soon")
            assert server.occtl("reload").returncode == (0 if good else 1)
            for one in pings:
                one.await_more(5)
        for one in pings:
            one.stop()
        assert [one.missing for one in pings] == [[], [], []]
    assert not any(client.output.find("reconnect") for client in clients)
    assert lab.connect("alice").environment.get("CISCO_BANNER", "") == ("the 3." if good else "")
