"""The tunnel, over a pump that is a list of events."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import pytest

from ocserv_core.bridge.events import Closed, Deadline, Frame, Interrupted, PumpEvent, Readable, TunLost, Violation
from ocserv_core.bridge.pump import Dropped, PumpOptions
from ocserv_core.config.session import SessionConfig
from ocserv_core.ipc.messages import (
    AuthCookieReply,
    CliStats,
    ResumeReply,
    SessionInfo,
    Terminate,
    TunMtu,
    UdpSocket,
    UdpVerdict,
    UpdateLimits,
)
from ocserv_core.model import AddressPair, Cookie, DisconnectReason, Lease, SessionId, Traffic
from ocserv_core.protocol.clients import ClientClass
from ocserv_core.protocol.connect import ConnectRequest
from ocserv_core.protocol.cstp import FrameType
from ocserv_core.protocol.limits import Limits
from ocserv_core.protocol.liveness import LivenessAction, LivenessSettings
from ocserv_core.protocol.offer import Offer
from ocserv_core.worker import tunnel as tunnel_module
from ocserv_core.worker.login import Granted
from ocserv_core.worker.tunnel import Tunnel, pump_options

from .ends import Ends

SID = SessionId("sid")
MAIN, SECMOD, SIGNALS = "main", "secmod", "signals"
REQUEST = ConnectRequest(Cookie("c"), client_class=ClientClass.OPENCONNECT)
NEVER_TOLD = {FrameType.DATA, FrameType.TERMINATE}
"""Packets never come to Python; TERMINATE is the server's word, and ignored as every unknown type is."""


class FakePump:
    """Comes back with what the test wrote down, then with the client's end."""

    events: list[object]
    ends: Ends

    def __init__(
        self, session: object, tun_fd: int, page: object, *, mtu: int, watch: Sequence[int], options: PumpOptions
    ) -> None:
        self.mtu = mtu
        self.options = options
        self.dropped = Dropped()
        self.sent: list[tuple[int, bytes]] = []
        self.watched = list(watch)
        self.all_watched = [list(watch)]
        self.rekeyed = 0
        self.closed = False
        self.can_rekey = True
        self.limits: list[tuple[float, float]] = []
        self.traffic = Traffic(1, 2, 3, 4)
        self.last_rx = self.last_data_rx = self.last_data_tx = 0.0

    def run(self, _deadline: float) -> object:
        event = self.events.pop(0) if self.events else Closed(clean=True)
        names = {MAIN: self.ends.link.main.fileno(), SECMOD: self.ends.link.secmod.fileno(), SIGNALS: self.watched[1]}
        return Readable(names[event]) if isinstance(event, str) else event

    def send(self, frame_type: int, payload: bytes = b"") -> None:
        self.sent.append((frame_type, payload))

    def rekey(self) -> None:
        self.rekeyed += 1

    def flush(self, _timeout: float) -> bool:
        return True

    def limit(self, rx_per_sec: float, tx_per_sec: float) -> None:
        self.limits.append((rx_per_sec, tx_per_sec))

    def watch(self, fds: Sequence[int]) -> None:
        self.watched = list(fds)
        self.all_watched.append(self.watched)

    def close(self) -> None:
        self.closed = True


class FakeTls:
    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes, timeout: float = 30.0) -> None:
        self.sent += data


class FakeInfo:
    ciphersuite = "suite"


class Stage:
    """A tunnel and who it deals with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, reports: bool = True) -> None:
        monkeypatch.setattr(tunnel_module, "Pump", FakePump)
        self.ends = Ends()
        self.tls = FakeTls()
        FakePump.ends = self.ends
        request = REQUEST
        reply = AuthCookieReply(SID, "alice", "", Lease(), "vpns0", 0.0, bytes(32), SessionConfig())
        offer = Offer(b"HTTP/1.1 200 CONNECTED\r\n\r\n", 1400, 1450, Lease(), "new-tunnel", LivenessSettings())
        parts: tuple[Any, ...] = (self.tls, FakeInfo(), self.ends.link, Granted(request, reply, -1), offer, None)
        self.tunnel = Tunnel(*parts, reports=reports)
        pump: Any = self.tunnel._pump
        self.pump: FakePump = pump

    def play(self, *events: object) -> DisconnectReason:
        """The tunnel's life with these events; a word is the descriptor that becomes readable."""
        FakePump.events = list(events)
        return self.tunnel.run()

    def stats(self) -> list[CliStats]:
        return [said for said in self.ends.heard(self.ends.secmod) if isinstance(said, CliStats)]

    def byes(self) -> list[bytes]:
        return [payload for kind, payload in self.pump.sent if kind == FrameType.DISCONNECT]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    handler, wakeup = signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
    made = Stage(monkeypatch)
    yield made
    os.close(signal.set_wakeup_fd(wakeup))
    os.close(made.tunnel._signals)
    signal.signal(signal.SIGTERM, handler)
    made.ends.close()


def test_every_event_of_the_pump_has_its_handler() -> None:
    assert set(Tunnel._ON_EVENT) == set(get_args(PumpEvent))


def test_every_action_of_the_timers_has_its_handler() -> None:
    assert set(Tunnel._ON_LIVENESS) == set(LivenessAction)


def test_every_type_of_frame_has_its_handler_or_its_reason() -> None:
    assert set(Tunnel._ON_FRAME) == set(FrameType) - NEVER_TOLD


def test_the_answer_goes_out_before_any_frame(stage: Stage) -> None:
    assert stage.tls.sent == b"HTTP/1.1 200 CONNECTED\r\n\r\n"
    assert stage.pump.sent == []


def test_main_is_told_of_the_tunnel(stage: Stage) -> None:
    stage.play()
    assert stage.ends.heard(stage.ends.main) == [
        TunMtu(1400),
        SessionInfo("suite", 1400, REQUEST.client),
    ]


@pytest.mark.parametrize("payload", [b"", b"echo this"])
def test_a_probe_is_answered_with_its_own_words(stage: Stage, payload: bytes) -> None:
    stage.play(Frame(FrameType.DPD_REQUEST, payload))
    assert stage.pump.sent == [(FrameType.DPD_RESPONSE, payload)]


@pytest.mark.parametrize("kind", [FrameType.DPD_RESPONSE, FrameType.KEEPALIVE, FrameType.TERMINATE, 42])
def test_these_frames_are_not_answered(stage: Stage, kind: int) -> None:
    stage.play(Frame(kind, b""))
    assert stage.pump.sent == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xb0user", DisconnectReason.USER),
        (b"", DisconnectReason.TEMPORARY),
        (b"\x91", DisconnectReason.TEMPORARY),
        (b"\x70error", DisconnectReason.ERROR),
    ],
)
def test_a_client_s_good_bye_tells_why(stage: Stage, payload: bytes, reason: DisconnectReason) -> None:
    assert stage.play(Frame(FrameType.DISCONNECT, payload)) is reason
    assert stage.stats() == [CliStats(SID, Traffic(1, 2, 3, 4), reason)]
    assert stage.byes() == []


@pytest.mark.parametrize(
    ("event", "reason", "told"),
    [
        (Closed(clean=True), DisconnectReason.ERROR, False),
        (Closed(clean=False), DisconnectReason.ERROR, False),
        (Violation("wrong magic"), DisconnectReason.ERROR, True),
        (TunLost(77), DisconnectReason.ERROR, False),
        (Frame(FrameType.COMPRESSED, b"x"), DisconnectReason.ERROR, True),
        (SIGNALS, DisconnectReason.SERVER, True),
    ],
)
def test_each_end_has_its_reason_and_its_good_bye(
    stage: Stage, event: object, reason: DisconnectReason, *, told: bool
) -> None:
    assert stage.play(event) is reason
    assert bool(stage.byes()) is told
    assert stage.pump.closed


@pytest.mark.parametrize(
    ("action", "reason", "told"),
    [
        (LivenessAction.DPD_TIMEOUT, DisconnectReason.DPD_TIMEOUT, False),
        (LivenessAction.IDLE_TIMEOUT, DisconnectReason.IDLE_TIMEOUT, True),
        (LivenessAction.SESSION_TIMEOUT, DisconnectReason.SESSION_TIMEOUT, True),
    ],
)
def test_a_timer_that_ends_the_tunnel(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, action: LivenessAction, reason: DisconnectReason, *, told: bool
) -> None:
    monkeypatch.setattr(stage.tunnel._liveness, "on_deadline", lambda *_times: [action])
    assert stage.play(Deadline()) is reason
    assert bool(stage.byes()) is told


def test_timers_that_do_not_end_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    actions = [LivenessAction.SEND_DPD, LivenessAction.SEND_REKEY, LivenessAction.REPORT_STATS]
    monkeypatch.setattr(stage.tunnel._liveness, "on_deadline", lambda *_times: actions)
    stage.play(Deadline())
    assert (stage.pump.sent, stage.pump.rekeyed) == ([(FrameType.DPD_REQUEST, b"")], 1)
    assert [said.reason for said in stage.stats()] == [None, DisconnectReason.ERROR]


def test_an_interruption_is_nothing(stage: Stage) -> None:
    assert stage.play(Interrupted(), Frame(FrameType.DISCONNECT, b"\xb0")) is DisconnectReason.USER


def test_main_s_order_ends_it_with_a_good_bye(stage: Stage) -> None:
    stage.ends.main.send(Terminate(DisconnectReason.SERVER, "maintenance"))
    assert stage.play(MAIN) is DisconnectReason.SERVER
    assert b"maintenance" in stage.byes()[0]


def test_who_shall_come_back_hears_no_good_bye(stage: Stage) -> None:
    stage.ends.main.send(Terminate(DisconnectReason.SERVER, reconnect=True))
    assert stage.play(MAIN) is DisconnectReason.SERVER
    assert stage.byes() == []


def test_without_main_the_client_hears_no_good_bye(stage: Stage) -> None:
    stage.ends.main.close()
    assert stage.play(MAIN) is DisconnectReason.SERVER
    assert stage.byes() == []


def test_a_secmod_that_dies_is_watched_no_more_and_the_tunnel_goes_on(stage: Stage) -> None:
    old = stage.ends.link.secmod.fileno()
    stage.ends.secmod.close()
    assert stage.play(SECMOD, Frame(FrameType.DISCONNECT, b"\xb0")) is DisconnectReason.USER
    assert old not in stage.pump.watched


def test_a_new_secmod_is_watched_and_told(stage: Stage) -> None:
    stage.ends.secmod.close()
    new = stage.ends.new_secmod()
    stage.play(SECMOD, MAIN, Frame(FrameType.DISCONNECT, b"\xb0"))
    assert stage.ends.link.secmod.fileno() in stage.pump.watched
    assert stage.ends.heard(new) == [CliStats(SID, Traffic(1, 2, 3, 4), DisconnectReason.USER)]
    new.close()


def test_rates_that_a_back_end_has_changed_hold_in_the_pump(stage: Stage) -> None:
    stage.ends.main.send(UpdateLimits(60, None, 0, 1000, 2000))
    stage.play(MAIN, Frame(FrameType.DISCONNECT, b"\xb0"))
    assert stage.pump.limits == [(1000, 2000)]


def test_rates_that_were_changed_before_the_tunnel_began_hold_too(stage: Stage) -> None:
    stage.ends.main.send(UpdateLimits(60, None, 0, 1000, 2000))
    stage.ends.main.send(ResumeReply(None))
    stage.ends.link.fetch("default", b"id")
    stage.play(Frame(FrameType.DISCONNECT, b"\xb0"))
    assert stage.pump.limits == [(1000, 2000)]


def test_a_client_sends_from_its_addresses_and_from_the_networks_behind_it() -> None:
    lease = Lease(AddressPair("198.51.100.1", "198.51.100.7", 24), AddressPair("2001:db8::1", "2001:db8::7", 128))
    config = SessionConfig(iroutes=("203.0.113.0/24", "2001:db8:9::/48"))
    reply = AuthCookieReply(SID, "alice", "", lease, "vpns0", 0.0, bytes(32), config)
    offer = Offer(b"", 1400, 1450, lease, "new-tunnel", LivenessSettings())
    granted = Granted(REQUEST, reply, -1)
    options = pump_options(granted, offer, Limits(), latency=False, mtu_discovery=False)
    assert options.networks is not None
    assert list(map(str, options.networks)) == [
        "198.51.100.7/32",
        "2001:db8::7/128",
        "203.0.113.0/24",
        "2001:db8:9::/48",
    ]


def test_without_dtls_no_datagram_is_opened(stage: Stage) -> None:
    fd = os.memfd_create("flow")
    stage.ends.main.send(UdpSocket(b"record", hello=False, search=3), [fd])
    os.close(fd)
    stage.play(MAIN, Frame(FrameType.DISCONNECT, b"\xb0"))
    assert UdpVerdict(3, opened=False) in stage.ends.heard(stage.ends.main)
    assert not stage.ends.link.arrivals


def test_a_new_secmod_that_came_before_the_tunnel_is_used(stage: Stage) -> None:
    stage.ends.secmod.close()
    new = stage.ends.new_secmod()
    stage.ends.main.send(ResumeReply(None))
    stage.ends.link.fetch("default", b"id")
    stage.play(Frame(FrameType.DISCONNECT, b"\xb0"))
    assert [type(said) for said in stage.ends.heard(new)] == [CliStats]
    new.close()


def test_without_reports_secmod_hears_nothing_of_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, reports=False)
    stage.tunnel.run()
    assert stage.stats() == []
