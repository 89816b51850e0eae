"""What each process of a running server may do, and what is left of it when its clients are gone."""

from __future__ import annotations

import os
import re

import pytest

from .lab import GATEWAY4, Lab
from .server import OCSERV, Server


def _status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        pairs = (line.split(":", 1) for line in file)
        return {name: value.strip() for name, value in pairs}


def test_workers_and_nursery_are_nobody_and_can_do_nothing(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect()
    for title in ("ocserv-worker", "ocserv-nursery"):
        status = _status(server.pid_of(title))
        assert set(status["Uid"].split()) == {"65534"}
        assert status["Groups"] == ""
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == "1"


def test_workers_see_no_file_and_no_network(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect()
    worker = server.pid_of("ocserv-worker")
    assert os.listdir(f"/proc/{worker}/root/") == []
    assert os.readlink(f"/proc/{worker}/ns/net") != os.readlink(f"/proc/{server.pid}/ns/net")


@pytest.mark.parametrize(("words", "owner"), [((), 0), (("--traceable",), 65534)])
def test_nobody_s_processes_are_open_to_nobody_s_debugger_only_where_it_was_said(
    lab: Lab, words: tuple[str, ...], owner: int
) -> None:
    argv = [*OCSERV, "-f", "--log-stderr", *words, "-c", lab.configure()]
    server = lab.run_server(argv, lab.path("occtl.sock")).await_listening()
    lab.connect()
    for title in ("ocserv-worker", "ocserv-nursery"):
        assert os.stat(f"/proc/{server.pid_of(title)}/status").st_uid == owner  # proc(5): root's where not dumpable


def test_no_process_below_main_has_its_terminal_or_its_log(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect()
    log, nowhere = os.stat(f"/proc/{server.pid}/fd/2"), os.stat(os.devnull).st_rdev
    for title in ("ocserv-worker", "ocserv-nursery"):
        pid = server.pid_of(title)
        held = [os.stat(f"/proc/{pid}/fd/{fd}") for fd in _descriptors(pid)]
        assert not any(os.path.samestat(log, one) for one in held)
        assert {os.stat(f"/proc/{pid}/fd/{fd}").st_rdev for fd in (0, 1, 2)} == {nowhere}
    for title in ("ocserv-worker", "ocserv-nursery", "ocserv-sm"):
        assert os.getsid(server.pid_of(title)) != os.getsid(server.pid)


def test_a_worker_s_lines_are_written_in_its_name(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect("alice")
    client.disconnect()
    server.log.wait_for(rf"^ocserv-worker\[alice\]: {re.escape(client.host.address4)} the tunnel opens ")


def test_a_worker_holds_its_own_descriptors_alone(lab: Lab) -> None:
    server = lab.start_server()
    lab.connect("alice")
    one = len(_descriptors(server.pid_of("ocserv-worker")))
    for _ in range(3):
        lab.connect("bob")
    assert {len(_descriptors(pid)) for pid in server.pids_of("ocserv-worker")} == {one}


def test_nothing_is_left_of_clients_that_are_gone(lab: Lab) -> None:
    # Signers start when they are wanted, and secmod keeps a channel to each: they are none of the clients'.
    server = lab.start_server(sec_mod_scale=1)
    _come_and_go(lab, server, 1)
    titles = ("ocserv-main", "ocserv-sm", "ocserv-nursery")
    before = {title: len(_descriptors(server.pid_of(title))) for title in titles}
    _come_and_go(lab, server, 8)
    after = {title: len(_descriptors(server.pid_of(title))) for title in titles}
    assert after == before
    assert not server.pids_of("ocserv-worker")
    assert not server.zombies()


def _come_and_go(lab: Lab, server: Server, count: int) -> None:
    mark = server.log.mark()
    clients = [lab.login("alice") for _ in range(count)]
    for client in clients:
        assert client.await_connected().host.ping(GATEWAY4)
        client.disconnect()
    server.await_disconnected("alice", since=mark, times=count)


def _descriptors(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/fd")


def test_workers_are_who_the_configuration_says(lab: Lab) -> None:
    server = lab.start_server(run_as_user="daemon", run_as_group="12345")
    assert lab.connect().host.ping(GATEWAY4)
    for title in ("ocserv-worker", "ocserv-nursery"):
        status = _status(server.pid_of(title))
        assert set(status["Uid"].split()) == {"1"}
        assert set(status["Gid"].split()) == {"12345"}


def test_a_worker_s_memory_is_limited_unless_the_configuration_says_otherwise(lab: Lab) -> None:
    limited = lab.start_server()
    lab.connect()
    assert 64 << 20 <= int(_data_limit(limited)) < 256 << 20
    limited.stop()
    server = lab.start_server(limit_worker_memory=False, isolate_workers=False)
    assert lab.connect("bob").host.ping(GATEWAY4)
    assert _data_limit(server) == "unlimited"


def _data_limit(server: Server) -> str:
    """The worker's RLIMIT_DATA, as it is in force."""
    with open(f"/proc/{server.pid_of('ocserv-worker')}/limits", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("Max data size"))
    return line.split()[3]
