"""What is asked for beside the login: fixed URLs that clients probe, the profile, more than a connection may."""

from __future__ import annotations

import hashlib
import os

import pytest

from .hostile import TlsClient, ends
from .lab import GATEWAY4, Lab

PROFILE = '<?xml version="1.0"?>\n<AnyConnectProfile>\n<!-- as the administrator wrote it -->\n</AnyConnectProfile>\n'

NO_UPDATES = '<?xml version="1.0" encoding="UTF-8"?>\n<vpn rev="1.0">\n</vpn>\n'
PAGE = "<html></html>\n"
FIXED = {
    "/+CSCOT+/translation-table?textdomain=AnyConnect&type=manifest": ("text/xml", NO_UPDATES),
    "/+CSCOT+/oem-customization?app=AnyConnect&type=manifest&platform=win": ("text/xml", NO_UPDATES),
    "/VPNManifest.xml": ("text/xml", NO_UPDATES),
    "/1/VPNManifest.xml": ("text/xml", NO_UPDATES),
    "/1/index.html": ("text/html", PAGE),
    "/1/Linux": ("text/html", PAGE),
    "/1/Linux_64": ("text/html", PAGE),
    "/1/Windows": ("text/html", PAGE),
    "/1/Windows_ARM64": ("text/html", PAGE),
    "/1/Darwin_i386": ("text/html", PAGE),
    "/1/binaries/update.txt": ("text/plain", "0,0,0000\n"),
    "/1/binaries/vpndownloader.sh": ("application/x-shellscript", "#!/bin/sh\n\nexit 0\n"),
    "/logout": ("text/html", PAGE),
}


def test_each_fixed_url_has_its_answer_and_the_login_goes_on(lab: Lab) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    for url, (content_type, body) in FIXED.items():
        answer = client.get(url)
        assert (answer.status, answer.body) == (200, body), url
        assert answer.headers["content-type"].startswith(content_type)
    assert client.login("alice", lab.passwords["alice"])
    client.close()


@pytest.mark.parametrize("url", ["/", "/auth", "/VPN"])
def test_the_form_is_where_old_clients_look_for_it(lab: Lab, url: str) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    answer = client.get(url)
    assert answer.status == 200
    assert 'name="username"' in answer.body
    client.close()


@pytest.mark.parametrize("url", ["/+CSCOE+/logon.html", "/cert.pem", "/guests"])
def test_what_is_not_there_is_not_found_and_ends_the_connection(lab: Lab, url: str) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    assert client.get(url).status == 404
    assert ends(client.socket)
    client.close()


def test_openconnect_downloads_the_profile(lab: Lab) -> None:
    lab.start_server(user_profile=lab.write("profile.xml", PROFILE))
    ours = lab.write("ours.xml", "an old one")
    assert lab.connect("alice", "--xmlconfig", ours).host.ping(GATEWAY4)
    with open(ours, encoding="utf-8") as file:
        assert file.read() == PROFILE


def test_a_profile_may_be_named_as_the_workers_folder_has_it(lab: Lab) -> None:
    """The C server's sample has it so: its workers open the file, when they are in there."""
    os.mkdir(lab.path("jail"), 0o755)
    lab.write("jail/profile.xml", PROFILE)
    lab.start_server(chroot_dir=lab.path("jail"), user_profile="profile.xml")
    ours = lab.write("ours.xml", "an old one")
    lab.connect("alice", "--xmlconfig", ours)
    with open(ours, encoding="utf-8") as file:
        assert file.read() == PROFILE


def test_the_profile_is_for_who_is_logged_in(lab: Lab) -> None:
    lab.start_server(user_profile=lab.write("profile.xml", PROFILE))
    stranger = TlsClient(lab.host())
    assert stranger.get("/profiles/profile.xml").status in (401, 503)
    stranger.close()
    client = TlsClient(lab.host())
    cookie = client.login("alice", lab.passwords["alice"])
    answer = client.get("/profiles/profile.xml", f"Cookie: webvpn={cookie}")
    assert (answer.status, answer.body) == (200, PROFILE)
    client.close()


def test_the_certificate_s_hash_is_that_of_the_certificate_shown(lab: Lab) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    shown = client.socket.getpeercert(binary_form=True)
    assert shown is not None
    client.post_reply("<username>alice</username>")
    answer = client.post_reply(f"<password>{lab.passwords['alice']}</password>")
    digest = hashlib.sha1(shown).hexdigest().upper()
    assert f"<server-cert-hash>{digest}</server-cert-hash>" in answer.body
    assert f"&sh:{digest}" in answer.head
    client.close()


def test_the_seventeenth_request_of_a_connection_is_one_too_many(lab: Lab) -> None:
    lab.start_server()
    client = TlsClient(lab.host())
    assert [client.get("/logout").status for _ in range(17)] == [200] * 16 + [429]
    assert ends(client.socket)
    client.close()


# ---- camouflage, and phones ---------------------------------------------------------------------------------------


def test_openconnect_comes_in_by_the_secret_of_a_camouflaged_server(lab: Lab) -> None:
    lab.start_server(camouflage="true", camouflage_secret="s3cret", camouflage_realm="intranet")
    stranger = TlsClient(lab.host())
    answer = stranger.get("/")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="intranet"')
    assert ends(stranger.socket)
    stranger.close()
    lost = lab.login("alice")
    assert lost.wait() != 0
    assert lab.connect("alice", url="?s3cret").host.ping(GATEWAY4)


def test_a_phone_gets_its_cookie_and_connects_with_it(lab: Lab) -> None:
    lab.start_server(cisco_svc_client_compat="true", udp_port="443")
    client = TlsClient(lab.host())
    assert "Set-Cookie: webvpnlogin=1; secure" in client.get("/svc").head
    answer = client.post(f"username=alice&password={lab.passwords['alice']}", "/svc")
    cookie = answer.headers["set-cookie"].partition(";")[0].removeprefix("webvpn=")
    assert (answer.status, answer.body) == (200, "")
    client.close()
    assert lab.resume(cookie).await_connected().host.ping(GATEWAY4)
