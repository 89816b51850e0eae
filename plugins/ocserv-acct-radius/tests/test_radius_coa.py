"""Requests of RFC 5176 by radclient, through the child, to sessions of the test's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest
from ocserv_acct_radius.acct import RadiusAcct
from ocserv_acct_radius.coa import _listeners
from radius_world import KEY, client_file, session

from ocserv_core.model import AddressPair
from ocserv_core.plugin import BackendContext, Lease, OptionError, Options, Session, SessionId
from tests.loop import on_loop
from tests.servers.freeradius import free_port, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")

SIDS = tuple(SessionId(f"session-of-28-characters-ab{letter}") for letter in "abc")


class Sessions:
    """Two of bob's and one of carol's, and what was done to them."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        leases = [Lease(AddressPair("198.51.100.1", f"198.51.100.{number}", 24)) for number in (7, 8, 9)]
        names = ("bob", "bob", "carol")
        self.all = [
            session({"User-Name": f"{name}@example.com"}, sid=sid, username=name, lease=lease)
            for sid, name, lease in zip(SIDS, names, leases, strict=True)
        ]

    def find(self, vhost: str) -> list[Session]:
        return [one for one in self.all if one.vhost == vhost]

    def disconnect(self, sid: SessionId, _text: str) -> None:
        self.done.append((sid, "disconnected"))

    def update(self, sid: SessionId, options: Options) -> None:
        if options.get("session-timeout") == "666":
            raise OptionError("not this one")
        self.done.append((sid, options))


class World:
    """A back end that hears requests, and radclient."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.sessions = Sessions()
        self.port = free_port()
        named = {name.replace("_", "-"): value for name, value in options.items()}
        more = {"servers": "servers"} if (folder / "servers").exists() else {}
        options = {"config": client_file(folder, 9, **more), "coa": f"127.0.0.1:{self.port}", **named}
        self.backend = RadiusAcct(options, BackendContext("default", "radius", self.sessions))

    async def ask(self, kind: str, text: str, secret: str = KEY.decode(), tries: int = 10) -> str:
        """What radclient heard: the first line of the answer and its attributes, or ""."""
        words = ["radclient", "-x", "-r", str(tries), "-t", "1", f"127.0.0.1:{self.port}", kind, secret]
        process = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        heard, _ = await process.communicate(text.encode())
        _, _, answer = heard.decode().partition("Received ")
        return answer

    @contextlib.asynccontextmanager
    async def hearing(self, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
        """Until the end of the block."""
        caplog.set_level("INFO")
        serving = asyncio.create_task(self.backend.ocserv_serve())
        try:
            await said(caplog, f"are heard on 127.0.0.1 port {self.port}")
            yield
        finally:
            serving.cancel()
            await asyncio.wait([serving])


async def said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Until the log has it: a line comes from the loop that waits here."""
    deadline = time.monotonic() + 20
    while text not in caplog.text:
        assert time.monotonic() < deadline, caplog.text
        await asyncio.sleep(0.02)


Dialogue = Callable[[World], Coroutine[object, object, None]]
Talk = Callable[..., World]


@pytest.fixture
def talk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Talk:
    """Run a dialogue with a back end that hears."""

    def run(dialogue: Dialogue, **options: str) -> World:
        world = World(tmp_path, **options)

        async def spoken() -> None:
            async with world.hearing(caplog):
                await dialogue(world)

        on_loop(spoken())
        return world

    return run


def answers(talk: Talk, kind: str, text: str, **options: str) -> tuple[str, list[tuple[str, object]]]:
    """What came of one request: what was heard, and what was done."""
    heard: list[str] = []

    async def dialogue(world: World) -> None:
        heard.append(await world.ask(kind, text))

    return heard[0] if (world := talk(dialogue, **options)) and heard else "", world.sessions.done


# ---- which sessions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f"Acct-Session-Id={SIDS[0]}", SIDS[:1]),
        ("User-Name=bob", SIDS[:2]),
        ("User-Name=carol@example.com", SIDS[2:]),
        ("Framed-IP-Address=198.51.100.8", SIDS[1:2]),
        ("User-Name=bob,Framed-IP-Address=198.51.100.8", SIDS[1:2]),
        ("User-Name=bob,NAS-Identifier=vpn.example", SIDS[:2]),
    ],
)
def test_a_session_is_ended(talk: Talk, text: str, meant: tuple[SessionId, ...]) -> None:
    heard, done = answers(talk, "disconnect", text, nas_identifier="vpn.example")
    assert heard.startswith("Disconnect-ACK")
    assert done == [(sid, "disconnected") for sid in meant]


@pytest.mark.parametrize(
    ("kind", "text", "cause"),
    [
        ("disconnect", "User-Name=dave", "Session-Context-Not-Found"),
        ("disconnect", "User-Name=carol,Framed-IP-Address=198.51.100.8", "Session-Context-Not-Found"),
        ("disconnect", "NAS-Port=1", "Missing-Attribute"),
        ("disconnect", "User-Name=bob,NAS-Identifier=other", "NAS-Identification-Mismatch"),
        ("disconnect", "User-Name=bob,Service-Type=Authorize-Only", "Unsupported-Service"),
        ("disconnect", "User-Name=bob,Filter-Id=x", "Unsupported-Attribute"),
        ("disconnect", "User-Name=bob,Attr-8=0x0102", "Unsupported-Attribute"),
        ("coa", "User-Name=bob", "Missing-Attribute"),
        ("coa", "User-Name=bob,Session-Timeout=60,Filter-Id=x", "Unsupported-Attribute"),
        ("coa", "User-Name=bob,Session-Timeout=666", "Invalid-Attribute-Value"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_cause(talk: Talk, kind: str, text: str, cause: str) -> None:
    heard, done = answers(talk, kind, text, nas_identifier="vpn.example")
    assert heard.startswith("Disconnect-NAK" if kind == "disconnect" else "CoA-NAK")
    assert f"Error-Cause = {cause}" in heard
    assert done == []


def test_times_and_rates_are_changed(talk: Talk) -> None:
    text = f"Acct-Session-Id={SIDS[0]},Session-Timeout=60,Idle-Timeout=0,WISPr-Bandwidth-Max-Down=8000000"
    heard, done = answers(talk, "coa", text)
    assert heard.startswith("CoA-ACK")
    options = {"session-timeout": "60", "idle-timeout": "0", "tx-data-per-sec": "1000000"}
    assert done == [(SIDS[0], options)]


def test_a_proxy_state_comes_back(talk: Talk) -> None:
    heard, _ = answers(talk, "disconnect", "User-Name=carol,Proxy-State=0x7879")
    assert "Proxy-State = 0x7879" in heard


# ---- who may ask, and when ----------------------------------------------------------------------------------------


def test_another_secret_is_dropped_and_told(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue(world: World) -> None:
        assert await world.ask("disconnect", "User-Name=bob", secret="other", tries=1) == ""
        await said(caplog, "radius: CoA of 127.0.0.1 dropped: its authenticator is wrong: is the secret the same?")

    assert talk(dialogue).sessions.done == []


def test_a_stranger_is_dropped_and_told(talk: Talk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue(world: World) -> None:
        assert await world.ask("disconnect", "User-Name=bob", tries=1) == ""
        await said(caplog, "radius: CoA of 127.0.0.1 dropped: it is none of the clients that may ask")

    (tmp_path / "servers").write_text(f"127.0.0.2 {KEY.decode()}\n")
    assert talk(dialogue, coa_client="127.0.0.2").sessions.done == []


def test_a_client_without_a_secret_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"coa-client=192\.0\.2\.99: it has no secret"):
        World(tmp_path, coa_client="192.0.2.99")


@pytest.mark.parametrize("off", [-400, 400])
def test_a_request_of_another_time_is_dropped(talk: Talk, caplog: pytest.LogCaptureFixture, off: int) -> None:
    async def dialogue(world: World) -> None:
        text = f"User-Name=carol,Event-Timestamp={int(time.time()) + off}"
        assert await world.ask("disconnect", text, tries=1) == ""
        await said(caplog, "more than coa-window allows (300 s)")

    assert talk(dialogue).sessions.done == []


def test_a_request_of_this_moment_is_taken(talk: Talk) -> None:
    assert answers(talk, "disconnect", f"User-Name=carol,Event-Timestamp={int(time.time()) - 10}")[1]


def test_the_window_is_an_option(talk: Talk) -> None:
    text = f"User-Name=carol,Event-Timestamp={int(time.time()) - 86400}"
    assert answers(talk, "disconnect", text, coa_window="0")[1]


def test_a_time_may_be_required(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue(world: World) -> None:
        assert await world.ask("disconnect", "User-Name=carol", tries=1) == ""
        await said(caplog, "it has no Event-Timestamp")

    assert talk(dialogue, coa_require_timestamp="true").sessions.done == []


def test_who_asks_again_by_the_same_packet_hears_the_same_and_nothing_is_done_twice(talk: Talk) -> None:
    from pyrad.packet import CoAPacket, DisconnectRequest

    packet = CoAPacket(DisconnectRequest, 7, KEY)
    packet[1] = [b"carol"]
    octets = packet.RequestPacket()

    async def dialogue(world: World) -> None:
        heard = [await one_answer(octets, world.port) for _ in range(2)]
        assert heard[0] == heard[1]

    assert len(talk(dialogue).sessions.done) == 1


async def one_answer(octets: bytes, port: int) -> bytes:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    class Once(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _address: object) -> None:
            answer.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Once, remote_addr=("127.0.0.1", port))
    transport.sendto(octets)
    try:
        return await asyncio.wait_for(answer, 10)
    finally:
        transport.close()


def test_noise_ends_nothing(talk: Talk) -> None:
    async def dialogue(world: World) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", world.port)
        )
        for length in range(1, 60):
            transport.sendto(os.urandom(length))
        transport.close()
        assert (await world.ask("disconnect", "User-Name=carol")).startswith("Disconnect-ACK")

    talk(dialogue)


# ---- the child ----------------------------------------------------------------------------------------------------


def child_of(world: World) -> int:
    child = _listeners["127.0.0.1", world.port]._child
    assert child is not None
    return child.pid


def check_rights(process: Path) -> None:
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert status["NoNewPrivs"].strip() == "1"
    assert KEY not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == {"65534"}
        assert int(status["CapEff"], 16) == 0
        assert (process / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()


def test_the_child_has_no_rights(talk: Talk) -> None:
    async def dialogue(world: World) -> None:
        await world.ask("disconnect", "User-Name=carol")
        pid = child_of(world)
        check_rights(Path(f"/proc/{pid}"))

    talk(dialogue)


def test_a_child_that_dies_is_followed_by_another(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue(world: World) -> None:
        os.kill(child_of(world), signal.SIGKILL)
        await said(caplog, "the process that hears CoA has ended: ")
        caplog.clear()
        await said(caplog, f"are heard on 127.0.0.1 port {world.port}")
        assert (await world.ask("disconnect", "User-Name=carol")).startswith("Disconnect-ACK")

    talk(dialogue)


def test_two_vhosts_share_an_address(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = World(tmp_path), World(tmp_path)
    second.port = first.port
    other = BackendContext("other", "radius", second.sessions)
    second.sessions.all = [session(sid=SIDS[2], username="zoe", vhost="other")]
    options = {"config": client_file(tmp_path, 9), "coa": f"127.0.0.1:{first.port}"}
    second.backend = RadiusAcct(options, other)

    async def dialogue() -> None:
        async with first.hearing(caplog), second.hearing(caplog):
            assert (await first.ask("disconnect", "User-Name=zoe")).startswith("Disconnect-ACK")
            assert (await first.ask("disconnect", "User-Name=carol")).startswith("Disconnect-ACK")

    on_loop(dialogue())
    assert second.sessions.done == [(SIDS[2], "disconnected")]


def test_a_port_that_is_taken_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path)

    async def dialogue() -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", world.port)
        )
        serving = asyncio.create_task(world.backend.ocserv_serve())
        await said(caplog, f"cannot hear CoA on 127.0.0.1 port {world.port}: Address already in use; next try in 5 s")
        serving.cancel()
        await asyncio.wait([serving])
        transport.close()

    on_loop(dialogue())


def test_without_the_option_nothing_is_heard(tmp_path: Path) -> None:
    backend = RadiusAcct({"config": client_file(tmp_path, 9)}, BackendContext("default", "radius"))
    on_loop(backend.ocserv_serve())
