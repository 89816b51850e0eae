"""occtl against the real server with real clients."""

from __future__ import annotations

from .lab import GATEWAY4, GATEWAY6, Lab


def test_show_status(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect()
    status = server.show("status")
    assert status["Status"] == "online"
    assert status["Server PID"] == server.pid
    assert status["Sec-mod PID"] == server.pid_of("ocserv-sm")
    assert status["Active sessions"] == 1


def test_show_status_counts_sessions_that_ended(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect()
    client.disconnect()
    server.await_disconnected("alice")
    status = server.show("status")
    assert (status["Active sessions"], status["Total sessions"], status["Sessions handled"]) == (0, 1, 1)


def test_show_users(lab: Lab) -> None:
    server = lab.start_server()
    assert server.show("users") == []
    client = lab.connect()
    (user,) = server.show("users")
    assert user["ID"] == server.pid_of("ocserv-worker")
    assert user["Username"] == "alice"
    assert user["Groupname"] == "staff"
    assert user["State"] == "connected"
    assert user["Remote IP"] == client.host.address4
    assert (user["IPv4"], user["P-t-P IPv4"]) == (client.address4, GATEWAY4)
    assert (user["IPv6"], user["P-t-P IPv6"]) == (client.address6, GATEWAY6)
    assert user["MTU"] == str(client.mtu)
    assert "AES" in user["TLS ciphersuite"]


def test_show_users_as_text_has_a_line_for_each(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect("alice")
    lab.connect("bob")
    lines = server.occtl("show", "users").stdout.splitlines()
    assert len(lines) == 3
    assert "alice" in lines[1] + lines[2]
    assert "bob" in lines[1] + lines[2]


def test_show_user_and_show_id(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect("alice")
    lab.connect("bob")
    (by_name,) = server.show("user", "bob")
    (by_id,) = server.show("id", str(by_name["ID"]))
    assert by_id["Username"] == by_name["Username"] == "bob"
    assert server.occtl("show", "user", "nobody").returncode == 2


def test_show_user_counts_the_bytes_of_this_moment(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect()
    assert client.host.ping(GATEWAY4, size=1000)
    (user,) = server.show("user", "alice")
    assert int(user["RX"]) >= 1028
    assert int(user["TX"]) >= 1028


def test_disconnect_user_ends_all_of_that_user_alone(lab: Lab) -> None:
    server = lab.start_server()
    first, second, other = lab.connect("alice"), lab.connect("alice"), lab.connect("bob")
    assert server.occtl("disconnect", "user", "alice").returncode == 0
    for client in (first, second):
        client.wait()
        assert client.output.find("Received server disconnect: .*administrator")
    assert other.host.ping(GATEWAY4)
    assert [user["Username"] for user in server.show("users")] == ["bob"]


def test_disconnect_user_that_is_not_there_fails(lab: Lab) -> None:
    server = lab.start_server()
    assert server.occtl("disconnect", "user", "nobody").returncode != 0


def test_disconnect_id_ends_that_connection_and_its_cookie(lab: Lab) -> None:
    server = lab.start_server()
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    other = lab.connect("alice")
    (number,) = (user["ID"] for user in server.show("users") if user["Remote IP"] == client.host.address4)
    assert server.occtl("disconnect", "id", str(number)).returncode == 0
    client.wait()
    assert other.host.ping(GATEWAY4)
    assert lab.resume(cookie).wait() != 0


def test_reload_takes_a_good_file(lab: Lab) -> None:
    server = lab.start_server(banner="before")
    lab.configure(banner="after")
    assert server.occtl("reload").returncode == 0
    assert lab.connect().environment["CISCO_BANNER"] == "after"


def test_reload_of_a_broken_file_fails_and_shows_the_line(lab: Lab) -> None:
    server = lab.start_server(banner="before")
    lab.configure(banner="after", idle_timeout="soon")
    answer = server.occtl("reload")
    assert answer.returncode == 1
    assert "ocserv.conf:" in answer.stdout + answer.stderr
    server.log.wait_for(r"ocserv\.conf:\d+: .*idle-timeout")
    assert lab.connect().environment["CISCO_BANNER"] == "before"


def test_stop_ends_everything(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect()
    assert server.occtl("stop").returncode == 0
    assert server.wait() == 0
    assert client.wait() != 0
    assert client.output.find("Received server disconnect")
    assert not server.processes()


def test_any_number_may_listen_to_who_comes_and_goes(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect("bob")
    first, second = server.listen_to_events(), server.listen_to_events()
    for listener in (first, second):
        listener.output.wait_for("bob")
        listener.output.wait_for("^Press 'q' or CTRL.C to quit$")
    alice = lab.connect("alice")
    came = rf"^default: connected user 'alice' \(\d+\) from {alice.host.address4} with IP {alice.address4} "
    alice.disconnect()
    for listener in (first, second):
        listener.output.wait_for(came)
        listener.output.wait_for(r"^default: disconnect user 'alice' .*\(reason: user disconnected, time: ")


def test_a_terminated_session_is_gone_with_its_tunnel(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    (session,) = server.show("sessions", "all")
    done = server.occtl("terminate", "session", session["Full session"][:8])
    assert done.stdout == f"session '{session['Session']}' was terminated\n"
    assert server.await_disconnected("alice") == "server disconnected"
    assert client.wait() != 0
    assert server.show("sessions", "all") == []
