"""Logins of the real client: passwords, groups, forms, banners, cookies in two steps."""

from __future__ import annotations

import re

from .client import Client
from .lab import GATEWAY4, Lab


def test_a_wrong_password_then_the_right_one(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.openconnect("--user", "alice", stdin=f"wrong\n{lab.passwords['alice']}\n").await_connected()
    assert client.output.count("Login failed") == 1
    assert client.host.ping(GATEWAY4)
    assert server.log.count("user 'alice' logged in") == 1


def test_three_wrong_passwords_end_the_login(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.openconnect("--user", "alice", stdin=f"one\ntwo\nthree\n{lab.passwords['alice']}\n")
    assert client.wait() != 0
    server.log.wait_for("login of 'alice' from .* failed")
    assert not server.log.find("'alice' .* is authenticated")
    assert server.show("status")["Total authentication failures"] == 1


def test_an_unknown_user_is_told_what_a_wrong_password_is_told(lab: Lab) -> None:
    lab.start_server()
    unknown = lab.openconnect("--user", "mallory", stdin="one\ntwo\nthree\n")
    known = lab.openconnect("--user", "alice", stdin="one\ntwo\nthree\n")
    assert unknown.wait() == known.wait() != 0
    assert _said(unknown) == _said(known)


def _said(client: Client) -> str:
    """What a client heard, without what is random in it."""
    return re.sub(r"webvpncontext=[^;]+", "webvpncontext=", client.output.text)


def test_the_password_file_is_read_at_each_login(lab: Lab) -> None:
    lab.start_server()
    lab.add_users({"dave": "*"})
    assert lab.connect("dave").host.ping(GATEWAY4)


def test_openconnect_chooses_a_group_of_the_list(lab: Lab) -> None:
    server = lab.start_server(select_group=("staff[Our staff]", "guests"))
    lab.connect("alice", "--authgroup", "guests")
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "guests"


def test_openconnect_chooses_a_group_by_its_label(lab: Lab) -> None:
    server = lab.start_server(select_group=("staff[Our staff]", "guests"))
    lab.connect("alice", "--authgroup", "Our staff")
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "staff"


def test_a_user_outside_of_the_group_is_refused(lab: Lab) -> None:
    server = lab.start_server(select_group=("staff", "guests"))
    client = lab.login("bob", "--authgroup", "guests")
    assert client.wait() != 0
    assert not server.log.find("user 'bob' logged in")


def test_a_group_is_chosen_by_url(lab: Lab) -> None:
    server = lab.start_server(select_group=("staff", "guests"), select_group_by_url=True)
    lab.connect("alice", url="guests")
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "guests"


def test_a_client_without_xml_logs_in(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect("alice", "--no-xmlpost")
    assert client.host.ping(GATEWAY4)


def test_a_client_without_xml_tries_again(lab: Lab) -> None:
    lab.start_server()
    words = ("--no-xmlpost", "--user", "alice")
    client = lab.openconnect(*words, stdin=f"wrong\n{lab.passwords['alice']}\n").await_connected()
    assert client.output.count("Login failed") == 1
    assert client.host.ping(GATEWAY4)


def test_a_client_without_xml_chooses_a_group(lab: Lab) -> None:
    server = lab.start_server(select_group=("staff", "guests"))
    lab.connect("alice", "--no-xmlpost", "--authgroup", "guests")
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "guests"


def test_a_client_that_reuses_no_connection_logs_in(lab: Lab) -> None:
    lab.start_server()
    assert lab.connect("alice", "--no-http-keepalive").host.ping(GATEWAY4)


def test_the_banners_are_shown(lab: Lab) -> None:
    lab.start_server(banner="Welcome inside", pre_login_banner="Who is there")
    client = lab.connect()
    assert client.environment["CISCO_BANNER"] == "Welcome inside"
    assert client.output.find("Who is there")


def test_a_login_and_its_tunnel_are_two_processes(lab: Lab) -> None:
    lab.start_server()
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    assert client.host.ping(GATEWAY4)


def test_a_cookie_that_was_never_given_out_opens_nothing(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.resume("webvpn=" + "A" * 43)
    assert client.wait() != 0
    server.log.wait_for("the cookie opens no tunnel: unknown cookie")


def test_a_password_hash_of_every_kind_lets_its_user_in(lab: Lab) -> None:
    hashes = {
        "des": "abJnggxhB/yWI",
        "md5": "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
        "sha256": "$5$saltsalt$gOjOtoMpVhru2uyjeJSEc/JaLQWOXMNmlOnj6T4AtC.",
        "sha512": "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
        "yescrypt": "$y$j75$saltsaltsalt$EJVmvLaWqQibNwAKXpgavjVqkjgw4EyKMKuwMa4X504",
        "bcrypt": "$2b$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu",
        "argon2id": "$argon2id$v=19$m=1024,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$k/CHwIHWN/DMFIpEWqAKaG0QDKyrb3t8OfGqTiLnC3E",
    }
    lab.write("passwd", "".join(f"{name}:*:{stored}\n" for name, stored in hashes.items()))
    server = lab.start_server()
    for name in hashes:
        assert lab.login(name, "--authenticate", password="password").wait() == 0, name
        assert lab.login(name, "--authenticate", password="passwore").wait() != 0, name
    for stored in hashes.values():
        assert stored not in server.log.text
