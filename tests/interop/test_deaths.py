"""kill -9 to each process of the server: what dies with it, what goes on, what comes back."""

from __future__ import annotations

import os
import signal

from .hostile import TlsClient
from .lab import GATEWAY4, GATEWAY6, Lab
from .processes import await_gone
from .traffic import Echo, connected


def test_a_dead_worker_ends_its_client_alone_and_that_one_comes_back(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False)
    alice = lab.connect("alice")
    worker = server.pid_of("ocserv-worker")
    bob = lab.connect("bob")
    addresses = alice.addresses
    with connected(bob.host, lab.namespace, GATEWAY4) as (near, far):
        os.kill(worker, signal.SIGKILL)
        alice.await_reconnected()
        assert Echo(near, far).exchange()
    assert alice.addresses == addresses
    assert alice.reaches(GATEWAY4)
    assert not bob.output.find("reconnect")


def test_a_worker_that_crashes_takes_the_nursery_s_address_layout_with_it(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False)
    alice = lab.connect("alice")
    (worker,), nursery = server.pids_of("ocserv-worker"), server.pid_of("ocserv-nursery")
    bob = lab.connect("bob")
    with connected(bob.host, lab.namespace, GATEWAY4) as (near, far):
        os.kill(worker, signal.SIGSEGV)
        server.log.wait_for(rf"worker {worker} .* crashed: SIGSEGV")
        await_gone([nursery])
        alice.await_reconnected()
        assert Echo(near, far).exchange()
    assert lab.connect("carol").host.ping(GATEWAY4)
    assert server.pid_of("ocserv-nursery") != nursery
    bob.disconnect()
    assert server.await_disconnected("bob") == "user disconnected"


def test_secmod_dies_and_tunnels_go_on(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    with connected(client.host, lab.namespace, GATEWAY4) as (near, far):
        echo = Echo(near, far)
        assert echo.exchange()
        server.kill_one("ocserv-sm")
        assert echo.exchange()
        server.log.wait_for("secmod is back")
        assert echo.exchange()
    assert not client.output.find("reconnect")


def test_secmod_dies_and_a_new_login_works(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect("alice")
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    assert lab.connect("bob").host.ping(GATEWAY4)


def test_secmod_dies_and_a_cookie_is_still_good(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False)
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    client.kill()
    server.await_disconnected("alice")
    assert lab.resume(cookie).await_connected().addresses == client.addresses


def test_secmod_dies_and_the_end_of_a_tunnel_is_still_told(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect()
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    client.disconnect()
    assert server.await_disconnected("alice") == "user disconnected"


def test_secmod_dies_in_the_middle_of_a_login_which_begins_again_at_the_form(lab: Lab) -> None:
    server = lab.start_server()
    client = TlsClient(lab.host())
    asked = client.post_reply("<username>alice</username>")
    assert 'type="password"' in asked.body
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    again = client.post_reply(f"<password>{lab.passwords['alice']}</password>")
    assert again.status == 200
    assert 'name="username"' in again.body
    assert client.login("alice", lab.passwords["alice"])
    client.close()


def test_secmod_that_dies_three_times_in_a_minute_ends_the_server(lab: Lab) -> None:
    server = lab.start_server()
    for times in (1, 2):
        server.kill_one("ocserv-sm")
        server.log.wait_for("secmod is back", times=times)
    server.kill_one("ocserv-sm")
    assert server.wait() == 1
    server.log.wait_end(5)
    assert not server.processes()


def test_the_nursery_dies_and_tunnels_go_on(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    with connected(client.host, lab.namespace, GATEWAY4) as (near, far):
        echo = Echo(near, far)
        server.kill_one("ocserv-nursery")
        assert echo.exchange()
        assert lab.connect("bob").host.ping(GATEWAY4)
        assert echo.exchange()
    assert not client.output.find("reconnect")


def test_a_worker_whose_nursery_died_is_still_accounted(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    server.kill_one("ocserv-nursery")
    client.disconnect()
    assert server.await_disconnected("alice") == "user disconnected"


def test_main_dies_and_nothing_of_the_server_is_left(lab: Lab) -> None:
    server = lab.start_server(sec_mod_scale=2)
    lab.connect("alice")
    server.log.wait_for("a signer is ready", times=2)
    others = [pid for pid in server.processes() if pid != server.pid]
    assert len(others) == 5
    server.kill_main()
    await_gone(others, 5)
    server.log.wait_end(5)
    assert not server.processes()


def test_main_dies_and_the_client_comes_back_to_the_next_one(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False)
    client = lab.connect("alice")
    addresses = client.addresses
    server.kill_main()
    server.log.wait_end(5)
    lab.start_server(predictable_ips=False)
    client.await_reconnected(40)
    assert client.addresses == addresses
    assert client.reaches(GATEWAY4)
    assert client.reaches(GATEWAY6)


def test_a_cookie_outlives_an_orderly_restart_of_the_server(lab: Lab) -> None:
    server = lab.start_server()
    cookie = lab.authenticate()
    server.stop()
    lab.start_server()
    assert lab.resume(cookie).await_connected().host.ping(GATEWAY4)


def test_a_persistent_cookie_keeps_its_addresses_over_a_restart(lab: Lab) -> None:
    server = lab.start_server(predictable_ips=False, persistent_cookies=True)
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    server.stop()
    client.wait()
    lab.start_server(predictable_ips=False, persistent_cookies=True)
    assert lab.resume(cookie).await_connected().addresses == client.addresses


def test_with_the_store_in_memory_cookies_die_with_the_server(lab: Lab) -> None:
    server = lab.start_server(session_store="memory")
    cookie = lab.authenticate()
    server.stop()
    again = lab.start_server(session_store="memory")
    assert lab.resume(cookie).wait() != 0
    again.log.wait_for("the cookie opens no tunnel: unknown cookie")


def test_a_store_that_is_garbage_is_told_and_the_server_goes_on(lab: Lab) -> None:
    lab.start_server().stop()
    store = os.path.join(lab.path("ocserv.sock.d"), "sessions.sqlite")
    assert os.path.exists(store)
    with open(store, "wb") as file:
        file.write(b"no database" * 1000)
    server = lab.start_server()
    assert lab.connect().host.ping(GATEWAY4)
    assert server.log.find("sessions.sqlite")
