"""Accounting with a back end that is installed beside the server, and the real client."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from .environment import EXAMPLES, Environment, start
from .lab import GATEWAY4, Lab
from .processes import PATIENCE
from .server import Server
from .traffic import MEGABYTE, arrives_whole

WHOLE = MEGABYTE
"""What is sent through a tunnel, and must be found in the accounts."""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """The server and the example that writes into a database."""
    environment = Environment(tmp_path)
    environment.install(EXAMPLES / "ocserv-acct-sqlite")
    return environment


def started(lab: Lab, environment: Environment, **options: Any) -> Server:
    return start(lab, environment, acct=f'"sqlite[file={lab.path("accounts")}]"', **options)


def rows(lab: Lab) -> list[dict[str, Any]]:
    """What the back end has written."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{lab.path('accounts')}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM sessions ORDER BY started")]
    except sqlite3.OperationalError:
        return []


def await_row(lab: Lab, **wanted: Any) -> dict[str, Any]:
    """The first row that has these values; nothing tells of a database's change, so it is looked at again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for row in rows(lab):
            if all(row[name] == value for name, value in wanted.items()):
                return row
        time.sleep(0.05)
    raise AssertionError(f"no row has {wanted}: {rows(lab)}")


def test_a_session_is_accounted_from_its_tunnel_to_its_end(lab: Lab, environment: Environment) -> None:
    server = started(lab, environment)
    client = lab.connect()
    row = await_row(lab, username="alice", ended=None)
    assert row["remote_ip"] == client.host.address4
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, WHOLE)
    client.disconnect()
    server.await_disconnected("alice")
    ended = await_row(lab, sid=row["sid"], reason="user disconnected")
    assert ended["rx_bytes"] > WHOLE
    assert row["started"] < ended["ended"] < time.time()


def test_statistics_come_on_the_way(lab: Lab, environment: Environment) -> None:
    started(lab, environment, stats_report_time=1)
    client = lab.connect()
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, WHOLE)
    deadline = time.monotonic() + PATIENCE
    while rows(lab)[0]["rx_bytes"] < WHOLE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert rows(lab)[0]["ended"] is None


def test_a_reconnect_goes_on_with_the_session_and_its_sums(lab: Lab, environment: Environment) -> None:
    server = started(lab, environment)
    cookie = lab.authenticate()
    sid = ""
    for times in (1, 2):
        client = lab.resume(cookie).await_connected()
        assert arrives_whole(client.host, lab.namespace, GATEWAY4, WHOLE)
        client.kill()
        server.log.wait_for("user 'alice' disconnected", times=times)
        sid = sid or await_row(lab, username="alice")["sid"]
        assert [row["ended"] for row in rows(lab)] == [None]
    client = lab.resume(cookie).await_connected()
    client.disconnect()
    ended = await_row(lab, sid=sid, reason="user disconnected")
    assert ended["rx_bytes"] > 2 * WHOLE


def test_who_cannot_be_accounted_gets_no_tunnel(lab: Lab, environment: Environment) -> None:
    server = start(lab, environment, acct='"sqlite[file=/nowhere/accounts]"')
    client = lab.login()
    assert client.wait() != 0
    server.log.wait_for("gets no tunnel: accounting is not available: /nowhere/accounts: unable to open")
    assert server.show("status")["Active sessions"] == 0


def test_an_end_that_could_not_be_accounted_is_told_after_a_restart(lab: Lab, environment: Environment) -> None:
    server = started(lab, environment)
    client = lab.connect()
    row = await_row(lab, username="alice")
    with contextlib.closing(sqlite3.connect(lab.path("accounts"))) as other:
        other.execute("BEGIN EXCLUSIVE")
        client.disconnect()
        server.await_disconnected("alice")
        server.kill_main()
    started(lab, environment)
    assert await_row(lab, sid=row["sid"], reason="user disconnected")


def test_sessions_whose_server_was_killed_are_accounted_when_their_time_is_over(
    lab: Lab, environment: Environment
) -> None:
    server = started(lab, environment, cookie_timeout=1, stats_report_time=1)
    lab.connect()
    row = await_row(lab, username="alice")
    server.kill_main()
    server = started(lab, environment, cookie_timeout=1)
    server.log.wait_for("ended unseen")
    assert rows(lab)[0]["sid"] == row["sid"]


BROKEN = """\
from ocserv_core.plugin import Denied, hookimpl

class Backend:
    ocserv_api = (1, 0)

    def __init__(self, options, context):
        pass

    @hookimpl
    async def ocserv_session_open(self, session):
        {act}
"""


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ('raise Denied("Out of quota.")', "gets no tunnel: accounting denies: Out of quota."),
        ('raise KeyError("quota")', "gets no tunnel: accounting failed"),
    ],
)
def test_a_refusal_or_a_fault_at_the_start_refuses_the_tunnel(lab: Lab, tmp_path: Path, act: str, said: str) -> None:
    environment = Environment(tmp_path)
    environment.write("broken", BROKEN.format(act=act), group="acct")
    server = start(lab, environment, acct='"broken"')
    assert lab.login().wait() != 0
    server.log.wait_for(said)
    assert server.show("status")["Active sessions"] == 0
