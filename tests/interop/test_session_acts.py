"""What a back end may do to sessions that are up, with the real client."""

from __future__ import annotations

from pathlib import Path

import pytest

from .environment import Environment, start
from .lab import GATEWAY4, Lab

ACTS = """\
from ocserv_core.plugin import OptionError, hookimpl

class Backend:
    ocserv_api = (1, 0)

    def __init__(self, options, context):
        self._sessions = context.sessions
        self._acted = False

    @hookimpl
    async def ocserv_session_open(self, session):
        pass

    @hookimpl
    async def ocserv_session_stats(self, session):
        if not self._acted:
            self._acted = True
            (found,) = self._sessions.find("default")
            assert found.sid == session.sid
            {act}
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def acts(environment: Environment, act: str) -> str:
    """A back end that does this at the first statistics; its name in quotes."""
    environment.write("acting", ACTS.format(act=act), group="acct")
    return '"acting"'


def test_it_ends_a_session_for_good(lab: Lab, environment: Environment) -> None:
    act = 'self._sessions.disconnect(session.sid, "out of quota")'
    server = start(lab, environment, acct=acts(environment, act), stats_report_time=1)
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    client.wait()
    assert server.await_disconnected("alice") == "server disconnected"
    assert server.log.find("is ended by a back end: out of quota")
    assert lab.resume(cookie).wait() != 0


def test_it_ends_a_session_s_time(lab: Lab, environment: Environment) -> None:
    act = 'self._sessions.update(session.sid, {"session-timeout": "1"})'
    server = start(lab, environment, acct=acts(environment, act), stats_report_time=1)
    client = lab.connect()
    client.wait()
    assert server.await_disconnected("alice") == "session timeout"


def test_other_rates_hold_at_once_and_after_a_reconnect(lab: Lab, environment: Environment) -> None:
    act = 'self._sessions.update(session.sid, {"rx-data-per-sec": "1000", "tx-data-per-sec": "2000"})'
    server = start(lab, environment, acct=acts(environment, act), stats_report_time=1)
    cookie = lab.authenticate()
    client = lab.resume(cookie).await_connected()
    server.log.wait_for("is changed by a back end: rx-data-per-sec, tx-data-per-sec")
    assert client.host.ping(GATEWAY4)
    for _ in range(2):
        (user,) = server.show("user", "alice")
        assert (user["Limit RX"], user["Limit TX"]) == ("1000 bytes/s", "2.0 kB/s")
        client.kill()
        server.await_disconnected("alice")
        client = lab.resume(cookie).await_connected()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('{"mtu": "1300"}', "mtu cannot change while a session is up"),
        ('{"idle-timeout": "soon"}', "idle-timeout: "),
    ],
)
def test_what_cannot_be_is_refused(lab: Lab, environment: Environment, options: str, said: str) -> None:
    act = f"self._sessions.update(session.sid, {options})"
    server = start(lab, environment, acct=acts(environment, act), stats_report_time=1)
    client = lab.connect()
    server.log.wait_for(f"OptionError: .*{said}")
    assert client.host.ping(GATEWAY4)
