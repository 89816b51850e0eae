"""FreeRADIUS behind the server, with the real client."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ..servers.freeradius import FreeRadius, missing
from .lab import GATEWAY4, Lab, Option
from .processes import PATIENCE
from .server import Server
from .traffic import MEGABYTE, arrives_whole

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")

PASSWORD = "bobs-password"
PORTS = (1812, 1813)


@dataclasses.dataclass
class World:
    """A lab whose users are FreeRADIUS's; `options` are what stands in the brackets beside the file."""

    lab: Lab
    options: str = ""

    def __post_init__(self) -> None:
        self.servers: list[FreeRadius] = []

    def freeradius(self, *replies: str, address: str = "127.0.0.1") -> FreeRadius:
        """One that knows bob, and what it replies."""
        users = f'bob Cleartext-Password := "{PASSWORD}"\n' + (f"\t{', '.join(replies)}\n" if replies else "")
        folder = Path(self.lab.path(f"radius{len(self.servers)}"))
        radius = FreeRadius(folder, users, namespace=self.lab.namespace, ports=PORTS, address=address)
        self.servers.append(radius)
        return radius.start()

    def server(self, file: str, *, acct: bool = False, **options: Option) -> Server:
        """Ours, which asks the servers of that file."""
        back_end = f'"radius[config={file}{self.options}]"'
        return self.lab.start_server(auth=back_end, **({"acct": back_end} if acct else {}), **options)


@pytest.fixture
def world(lab: Lab) -> Iterator[World]:
    world = World(lab)
    try:
        yield world
    finally:
        for server in world.servers:
            server.stop()


def await_record(radius: FreeRadius, status: str, times: int = 1) -> Mapping[str, str]:
    """The n-th record of that kind; nothing tells of a file's change, so it is looked at again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = [record for record in radius.records if record.get("Acct-Status-Type") == status]
        if len(found) >= times:
            return found[times - 1]
        time.sleep(0.05)
    raise AssertionError(f"no {status}: {radius.records}")


# ---- logins -------------------------------------------------------------------------------------------------------


def test_a_login(world: World) -> None:
    radius = world.freeradius()
    server = world.server(radius.radiusclient())
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    assert client.host.ping(GATEWAY4)
    assert server.log.find("'bob' from .* is authenticated by radius")
    assert PASSWORD not in server.log.text


def test_a_wrong_password_then_the_right_one(world: World) -> None:
    radius = world.freeradius()
    world.server(radius.radiusclient())
    client = world.lab.openconnect("--user", "bob", stdin=f"wrong\n{PASSWORD}\n").await_connected()
    assert client.output.count("This is not your password") == 1


def test_three_wrong_passwords_end_the_login(world: World) -> None:
    radius = world.freeradius()
    server = world.server(radius.radiusclient())
    client = world.lab.openconnect("--user", "bob", stdin=f"one\ntwo\nthree\n{PASSWORD}\n")
    assert client.wait() != 0
    server.log.wait_for("login of 'bob' from .* failed")
    assert server.show("status")["Total authentication failures"] == 1


def test_a_challenge(world: World) -> None:
    radius = world.freeradius()
    world.server(radius.radiusclient())
    client = world.lab.openconnect("--user", "otp-zoe", stdin="first\n123456\n").await_connected()
    assert client.output.find("Enter your code")


def test_a_wrong_answer_to_a_challenge(world: World) -> None:
    radius = world.freeradius()
    server = world.server(radius.radiusclient())
    assert world.lab.openconnect("--user", "otp-zoe", stdin="first\n654321\n").wait() != 0
    server.log.wait_for("login of 'otp-zoe' from .* failed")


def test_a_server_that_is_dead_costs_a_while_and_no_login(world: World) -> None:
    radius = world.freeradius(address="127.0.0.2")
    world.lab.namespace.nft(
        "add table ip dead\n"
        "add chain ip dead input { type filter hook input priority 0; }\n"
        "add rule ip dead input ip daddr 127.0.0.9 drop\n"
    )
    file = radius.radiusclient(
        authserver="127.0.0.9:1812:x,127.0.0.2", radius_timeout=1, radius_retries=1, radius_deadtime=60
    )
    server = world.server(file)
    world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    assert server.log.find("radius: no answer of 127.0.0.9:1812: sent 2 times in 2 s")
    world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    assert server.log.count("radius: no answer of 127.0.0.9:1812") == 1


def test_where_no_server_answers_the_user_is_told_to_come_back(world: World) -> None:
    radius = world.freeradius()
    server = world.server(radius.radiusclient())
    radius.stop()
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n")
    assert client.wait() != 0
    assert "The server is busy, please try again later." in client.output.text
    assert server.log.find("back end 'radius' is not available: no RADIUS server answers .*Connection refused")
    assert server.show("status")["Total authentication failures"] == 0


def test_class_gives_the_group(world: World) -> None:
    radius = world.freeradius('Class := "OU=guests;staff"')
    server = world.server(radius.radiusclient(), select_group=("staff", "guests"))
    world.lab.openconnect("--user", "bob", "--authgroup", "staff", stdin=f"{PASSWORD}\n").await_connected()
    (user,) = server.show("user", "bob")
    assert user["Groupname"] == "staff"


def test_a_group_that_class_does_not_have_is_refused(world: World) -> None:
    radius = world.freeradius('Class := "OU=staff"')
    server = world.server(radius.radiusclient(), select_group=("staff", "guests"))
    client = world.lab.openconnect("--user", "bob", "--authgroup", "guests", stdin=f"{PASSWORD}\n")
    assert client.wait() != 0
    assert not server.log.find("user 'bob' logged in")


def test_a_fault_of_the_file_is_told_with_its_line(world: World) -> None:
    file = world.lab.write("client.conf", "authserver 127.0.0.1\n")
    server = world.lab.launch(auth=f'"radius[config={file}]"')
    server.log.wait_for(f"{file}:1: there is no secret for 127.0.0.1")
    assert server.wait() != 0


# ---- the configuration of a user ----------------------------------------------------------------------------------


def test_routes_and_dns_come_from_the_reply(world: World) -> None:
    radius = world.freeradius(
        'Framed-Route += "203.0.113.0/24 0.0.0.0 1"',
        'Framed-Route += "not a route"',
        "MS-Primary-DNS-Server := 203.0.113.53",
        "Framed-IP-Address := 198.51.100.66",
        "Session-Timeout := 7200",
    )
    world.options = ",groupconfig=true"
    server = world.server(radius.radiusclient())
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    environment = client.environment
    assert (environment["CISCO_SPLIT_INC"], environment["CISCO_SPLIT_INC_0_ADDR"]) == ("1", "203.0.113.0")
    assert environment["INTERNAL_IP4_DNS"] == "203.0.113.53"
    assert client.address4 == "198.51.100.66"
    assert server.log.find("radius: Framed-Route of 'bob' is left out")


def test_without_groupconfig_they_do_not(world: World) -> None:
    radius = world.freeradius("MS-Primary-DNS-Server := 203.0.113.53")
    world.server(radius.radiusclient())
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    assert "INTERNAL_IP4_DNS" not in client.environment


# ---- accounting ---------------------------------------------------------------------------------------------------


def test_a_session_is_accounted_from_start_to_stop(world: World) -> None:
    radius = world.freeradius('Class := "OU=staff"')
    server = world.server(radius.radiusclient(), acct=True, stats_report_time=1)
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    start = await_record(radius, "Start")
    assert arrives_whole(client.host, world.lab.namespace, GATEWAY4, MEGABYTE)
    interim = await_record(radius, "Interim-Update", 2)
    client.disconnect()
    stop = await_record(radius, "Stop")
    assert start["User-Name"] == "bob"
    assert start["Framed-IP-Address"] == interim["Framed-IP-Address"] == stop["Framed-IP-Address"] == client.address4
    assert start["Calling-Station-Id"] == client.host.address4
    assert len({record["Acct-Session-Id"] for record in radius.records}) == 1
    assert stop["Class"] == "0x" + b"OU=staff".hex()
    assert stop["Acct-Terminate-Cause"] == "User-Request"
    assert MEGABYTE < int(stop["Acct-Input-Octets"]) < 2 * MEGABYTE
    assert int(interim["Acct-Input-Octets"]) <= int(stop["Acct-Input-Octets"])
    server.await_disconnected("bob")


def test_the_server_says_how_often_it_wants_to_hear(world: World) -> None:
    radius = world.freeradius("Acct-Interim-Interval := 1")
    world.options = ",groupconfig=true"
    world.server(radius.radiusclient(), acct=True)
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    assert int(await_record(radius, "Interim-Update", 2)["Acct-Session-Time"]) > 0
    assert client.running


def test_a_reconnect_is_the_same_session(world: World) -> None:
    radius = world.freeradius()
    world.server(radius.radiusclient(), acct=True)
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    assert arrives_whole(client.host, world.lab.namespace, GATEWAY4, MEGABYTE)
    client.host.take_address(77)
    client.send_signal(signal.SIGUSR2)
    client.await_reconnected()
    assert arrives_whole(client.host, world.lab.namespace, GATEWAY4, MEGABYTE)
    client.disconnect()
    stop = await_record(radius, "Stop")
    assert int(stop["Acct-Input-Octets"]) > 2 * MEGABYTE
    assert [record["Acct-Status-Type"] for record in radius.records].count("Start") == 1
    assert {record["Acct-Session-Id"] for record in radius.records} == {stop["Acct-Session-Id"]}


def test_without_a_start_there_is_no_tunnel(world: World) -> None:
    radius = world.freeradius()
    file = radius.radiusclient(acctserver="127.0.0.1:1899")
    server = world.server(file, acct=True)
    world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n")
    server.log.wait_for("127.0.0.1:1899: Connection refused")
    assert not server.log.find("user 'bob' logged in")


def test_an_end_while_the_server_is_dead_is_accounted_when_it_is_back(world: World) -> None:
    radius = world.freeradius()
    server = world.server(radius.radiusclient(), acct=True)
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    radius.stop()
    client.disconnect()
    server.log.wait_for("'radius' is not available for accounting")
    radius.start()
    stop = await_record(radius, "Stop")
    assert int(stop["Acct-Delay-Time"]) > 0


# ---- CoA and Disconnect -------------------------------------------------------------------------------------------

COA = ",coa=127.0.0.1:3799,coa-client=127.0.0.1"


def radclient(world: World, kind: str, text: str) -> str:
    """What it heard."""
    secret = world.servers[0].secret
    return world.lab.namespace.run("radclient", "-x", "127.0.0.1:3799", kind, secret, stdin=text).stdout


def test_a_disconnect_request_ends_the_session(world: World) -> None:
    radius = world.freeradius()
    world.options = COA
    server = world.server(radius.radiusclient(), acct=True)
    server.log.wait_for("CoA and Disconnect are heard on 127.0.0.1 port 3799")
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    sid = await_record(radius, "Start")["Acct-Session-Id"]
    assert "Session-Context-Not-Found" in radclient(world, "disconnect", "User-Name=zoe")
    assert "Received Disconnect-ACK" in radclient(world, "disconnect", f"Acct-Session-Id={sid}")
    assert client.wait() != 0
    assert server.await_disconnected("bob") == "server disconnected"
    assert await_record(radius, "Stop")["Acct-Terminate-Cause"] == "Admin-Reset"


def test_a_coa_request_changes_the_session_s_time(world: World) -> None:
    radius = world.freeradius()
    world.options = COA
    server = world.server(radius.radiusclient(), acct=True)
    server.log.wait_for("CoA and Disconnect are heard")
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    text = f"User-Name=bob,Framed-IP-Address={client.address4},Session-Timeout=1"
    assert "Received CoA-ACK" in radclient(world, "coa", text)
    assert server.await_disconnected("bob") == "session timeout"
    assert await_record(radius, "Stop")["Acct-Terminate-Cause"] == "Session-Timeout"


def test_after_a_reload_requests_are_heard_as_before(world: World) -> None:
    radius = world.freeradius()
    world.options = COA
    server = world.server(radius.radiusclient(), acct=True)
    server.log.wait_for("CoA and Disconnect are heard")
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    assert server.occtl("reload").returncode == 0
    server.log.wait_for("CoA and Disconnect are heard", times=2)
    assert "Received Disconnect-ACK" in radclient(world, "disconnect", "User-Name=bob")
    assert client.wait() != 0


def test_when_secmod_dies_requests_are_heard_again(world: World) -> None:
    radius = world.freeradius()
    world.options = COA
    server = world.server(radius.radiusclient(), acct=True)
    server.log.wait_for("CoA and Disconnect are heard")
    client = world.lab.openconnect("--user", "bob", stdin=f"{PASSWORD}\n").await_connected()
    server.kill_one("ocserv-sm")
    server.log.wait_for("CoA and Disconnect are heard", times=2)
    assert "Received Disconnect-ACK" in radclient(world, "disconnect", "User-Name=bob")
    assert client.wait() != 0
