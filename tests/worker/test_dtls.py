"""The DTLS side of a tunnel, with a pump and sessions that do what the test says."""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ocserv_core.bridge.dtls import DtlsFailed, Legacy, Psk
from ocserv_core.bridge.events import DtlsClosed, Frame, Handshake, Hello, TooBig
from ocserv_core.protocol.cstp import FrameType
from ocserv_core.protocol.dtls import LEGACY_SUITES, LegacyPlan, PskPlan
from ocserv_core.protocol.limits import Limits
from ocserv_core.worker import dtls as dtls_module
from ocserv_core.worker.dtls import DtlsSide, DtlsTerms
from ocserv_core.worker.link import UdpArrival

ID = bytes(range(32))


def hello(random: int = 1, session_id: bytes = ID) -> bytes:
    """A ClientHello, as far as anybody looks before GnuTLS does."""
    body = b"\xfe\xfd" + bytes([random]) * 32 + bytes([len(session_id)]) + session_id + b"\0\0\2\0\xa9\1\0\0\0"
    fragment = b"\1" + len(body).to_bytes(3, "big") + bytes(5) + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xff" + bytes(8) + len(fragment).to_bytes(2, "big") + fragment


OFFERED = 1434
LINK = 1500
GCM = 37


class FakeSession:
    """Its handshake takes `rounds` datagrams."""

    rounds = 2
    made: list[FakeSession]

    def __init__(self, sock: socket.socket, terms: Psk | Legacy, mtu: int) -> None:
        self.socket = sock
        self.terms = terms
        self.heard: list[bytes] = []
        self.timeout = 1.0
        self.overhead = GCM
        self.last_rx = 0.0
        self.ciphersuite = "suite"
        self.closed = False
        FakeSession.made.append(self)

    @property
    def established(self) -> bool:
        return len(self.heard) >= self.rounds

    def handshake(self, datagram: bytes = b"") -> bool:
        if datagram:
            self.heard.append(datagram)
        return self.established

    def close(self) -> None:
        self.closed = True


def fail(_session: FakeSession, _datagram: bytes) -> bool:
    raise DtlsFailed("it failed")


class FakePump:
    def __init__(self) -> None:
        self.sessions: dict[int, FakeSession] = {}
        self.active: int | None = None
        self.mtu = OFFERED
        self.sent: list[tuple[int, int, bytes]] = []
        self.used = True
        self.errno = 0
        self.opens = False

    def attach(self, session: FakeSession) -> int | None:
        slot = next((n for n in (0, 1) if n not in self.sessions), None)
        if slot is not None:
            self.sessions[slot] = session
        return slot

    def detach(self, slot: int) -> FakeSession:
        if self.active == slot:
            self.active = None
        return self.sessions.pop(slot)

    def adopt(self, sock: socket.socket, datagram: bytes) -> int | None:
        if not self.opens:
            return None
        self.sessions[0].socket = sock
        return 0

    def deactivate(self) -> None:
        self.active = None

    def use_datagrams(self, use: bool) -> None:
        self.used = use

    def send_datagram(self, slot: int, kind: int, payload: bytes = b"") -> int:
        self.sent.append((slot, kind, payload))
        return self.errno


class Stage:
    """One side, its pump, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        FakeSession.made = []
        FakeSession.rounds = 2
        self.now = 1000.0
        self.changes = 0
        self.established = 0
        self.pump = FakePump()
        self.sockets: list[socket.socket] = []
        self.patch = monkeypatch
        monkeypatch.setattr(dtls_module, "DtlsSession", FakeSession)
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def side(self, plan: Any = None, **options: Any) -> DtlsSide:
        terms = {
            "plan": plan or PskPlan("NORMAL", GCM),
            "session_id": ID,
            "secret": bytes(32),
            "data_mtu": OFFERED,
            "link_mtu": LINK,
            "inner_ipv6": True,
            "dpd": 0.0,
            "limits": Limits(),
            "mtu_discovery": False,
        }
        pump: Any = self.pump
        told = {"on_established": self._on_established, "on_change": self._on_change}
        return DtlsSide(pump, DtlsTerms(**{**terms, **options}), **told)

    def _on_established(self) -> None:
        self.established += 1

    def _on_change(self) -> None:
        self.changes += 1

    def arrival(self, datagram: bytes = hello(), *, hello: bool = True, search: int = 0) -> UdpArrival:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return UdpArrival(sock.detach(), datagram, hello, search)

    def establish(self, side: DtlsSide) -> int:
        """A new session, until its client has spoken: its slot."""
        side.on_arrival(self.arrival())
        slot = next(slot for slot, session in self.pump.sessions.items() if session is FakeSession.made[-1])
        side.on_event(Handshake(slot, b"finished"))
        self.pump.active = slot
        return slot


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(monkeypatch)
    yield stage
    for session in FakeSession.made:
        session.socket.close()


# ---- handshakes -------------------------------------------------------------------------------------------------


def test_a_hello_begins_a_session_that_its_datagrams_complete(stage: Stage) -> None:
    side = stage.side()
    assert side.on_arrival(stage.arrival(hello()))
    assert not stage.pump.sessions[0].established
    side.on_event(Handshake(0, b"finished"))
    assert stage.pump.sessions[0].heard == [hello(), b"finished"]
    assert (side.ciphersuite, stage.changes) == ("suite", 1)


def test_psk_and_legacy_are_agreed_on_as_planned(stage: Stage) -> None:
    stage.side().on_arrival(stage.arrival())
    legacy = stage.side(LegacyPlan(LEGACY_SUITES[0]), secret=bytes(48))
    legacy.on_arrival(stage.arrival())
    psk, old = (session.terms for session in FakeSession.made)
    assert isinstance(psk, Psk)
    assert isinstance(old, Legacy)
    assert (old.version, old.kx) == ("DTLS1.2", "ECDHE-RSA")


def test_a_new_handshake_leaves_the_session_in_use_alone(stage: Stage) -> None:
    side = stage.side()
    old = stage.pump.sessions[stage.establish(side)]
    side.on_arrival(stage.arrival())
    assert not old.closed
    assert len(stage.pump.sessions) == 2


def test_of_two_handshakes_only_the_newer_goes_on(stage: Stage) -> None:
    side = stage.side()
    used = stage.establish(side)
    side.on_arrival(stage.arrival())
    given_up = FakeSession.made[-1]
    side.on_arrival(stage.arrival())
    assert given_up.closed
    assert not stage.pump.sessions[used].closed
    assert FakeSession.made[-1] in stage.pump.sessions.values()


def test_a_third_session_takes_the_place_of_the_one_that_is_not_used(stage: Stage) -> None:
    side = stage.side()
    first = stage.pump.sessions[stage.establish(side)]
    second = stage.pump.sessions[stage.establish(side)]
    stage.establish(side)
    assert (first.closed, second.closed) == (True, False)


def test_a_handshake_that_fails_takes_only_itself_away(stage: Stage) -> None:
    side = stage.side()
    used = stage.establish(side)
    stage.patch.setattr(FakeSession, "handshake", fail)
    side.on_arrival(stage.arrival())
    assert list(stage.pump.sessions) == [used]


def test_a_handshake_is_gone_on_with_when_its_time_is_over(stage: Stage) -> None:
    side = stage.side()
    side.on_arrival(stage.arrival())
    assert side.next_deadline() == stage.now + 1.0
    stage.now += 1.0
    side.on_deadline(stage.now)
    assert side.next_deadline() == stage.now + 1.0


def test_a_hello_on_a_session_s_socket_begins_anew_there(stage: Stage) -> None:
    side = stage.side()
    slot = stage.establish(side)
    side.on_event(Hello(slot, hello(2)))
    first, second = FakeSession.made
    assert second.socket is first.socket


def test_hellos_on_a_session_s_socket_are_not_followed_all_the_time(stage: Stage) -> None:
    side = stage.side()
    slot = stage.establish(side)
    for _ in range(5):
        side.on_event(Hello(slot, hello(2)))
    assert len(FakeSession.made) == 2
    stage.now += dtls_module.HELLO_INTERVAL
    side.on_event(Hello(slot, hello(2)))
    assert len(FakeSession.made) == 3


def test_a_hello_that_does_not_know_the_id_begins_nothing(stage: Stage) -> None:
    side = stage.side()
    slot = stage.establish(side)
    for stranger in (hello(2, bytes(32)), b"\x16\xfe\xff" + bytes(10) + b"\1", b"\x16"):
        side.on_event(Hello(slot, stranger))
    assert len(FakeSession.made) == 1


def test_a_repeated_hello_goes_to_its_handshake_and_another_begins_anew(stage: Stage) -> None:
    side = stage.side()
    FakeSession.rounds = 5
    side.on_arrival(stage.arrival(hello(1)))
    side.on_event(Handshake(0, hello(1)))
    assert FakeSession.made[0].heard == [hello(1), hello(1)]
    side.on_event(Handshake(0, hello(2)))
    assert FakeSession.made[0].closed
    assert FakeSession.made[1].heard == [hello(2)]


def test_a_new_session_that_has_not_been_used_yet_gives_way_to_nobody(stage: Stage) -> None:
    side = stage.side()
    used = stage.establish(side)
    stage.establish(side)
    stage.pump.active = used
    new = FakeSession.made[-1]
    side.on_arrival(stage.arrival(hello(3)))
    assert not new.closed
    stage.now += dtls_module.UNHEARD
    side.on_arrival(stage.arrival(hello(3)))
    assert new.closed


def test_the_old_session_goes_when_the_new_one_was_in_use_for_a_while(stage: Stage) -> None:
    side = stage.side()
    old = stage.pump.sessions[stage.establish(side)]
    new = stage.pump.sessions[stage.establish(side)]
    side.on_deadline(stage.now + dtls_module.RETIREMENT - 1)
    assert not old.closed
    side.on_deadline(stage.now + dtls_module.RETIREMENT)
    assert (old.closed, new.closed) == (True, False)
    assert math.isinf(side.next_deadline())


def test_the_old_session_stays_as_long_as_the_new_one_is_not_used(stage: Stage) -> None:
    side = stage.side()
    used = stage.establish(side)
    stage.establish(side)
    stage.pump.active = used
    side.on_deadline(stage.now + dtls_module.RETIREMENT)
    assert len(stage.pump.sessions) == 2


def test_a_session_that_the_client_closes_goes(stage: Stage) -> None:
    side = stage.side()
    session = stage.pump.sessions[slot := stage.establish(side)]
    side.on_event(DtlsClosed(slot))
    assert session.closed
    assert not stage.pump.sessions


def test_the_end_of_the_last_session_is_told(stage: Stage) -> None:
    side = stage.side()
    slots = [stage.establish(side), stage.establish(side)]
    side.on_event(DtlsClosed(slots[0]))
    assert (side.ciphersuite, stage.changes) == ("suite", 2)
    side.on_event(DtlsClosed(slots[1]))
    assert (side.ciphersuite, stage.changes) == ("", 3)


# ---- addresses ----------------------------------------------------------------------------------------------------


def test_a_record_that_the_keys_open_moves_the_session(stage: Stage) -> None:
    side = stage.side()
    session = stage.pump.sessions[stage.establish(side)]
    before = session.socket
    stage.pump.opens = True
    assert side.on_arrival(stage.arrival(b"record", hello=False, search=7))
    assert session.socket is not before
    before.close()


@pytest.mark.parametrize(
    ("limits", "level", "option", "value"),
    [
        (Limits(socket_priority=5), socket.SOL_SOCKET, socket.SO_PRIORITY, 5),
        (Limits(tos=0x48), socket.IPPROTO_IP, socket.IP_TOS, 0x48),
    ],
    ids=["priority", "tos"],
)
def test_net_priority_holds_on_the_first_socket_and_on_those_after_it(
    stage: Stage, limits: Limits, level: int, option: int, value: int
) -> None:
    side = stage.side(limits=limits)
    session = stage.pump.sessions[stage.establish(side)]
    first = session.socket
    stage.pump.opens = True
    side.on_arrival(stage.arrival(b"record", hello=False, search=7))
    assert session.socket is not first
    assert [sock.getsockopt(level, option) for sock in (first, session.socket)] == [value, value]
    first.close()


def test_a_record_of_somebody_else_is_not_ours(stage: Stage) -> None:
    side = stage.side()
    stage.establish(side)
    arrival = stage.arrival(b"record", hello=False, search=7)
    assert not side.on_arrival(arrival)
    with pytest.raises(OSError, match="Bad file descriptor"):
        socket.socket(fileno=arrival.fd)


# ---- packets without data -----------------------------------------------------------------------------------------


def test_a_probe_is_answered_in_full_where_it_came(stage: Stage) -> None:
    side = stage.side()
    slot = stage.establish(side)
    side.on_frame(Frame(FrameType.DPD_REQUEST, b"p" * 1000, slot))
    assert stage.pump.sent == [(slot, FrameType.DPD_RESPONSE, b"p" * 1000)]


@pytest.mark.parametrize("kind", [FrameType.DPD_RESPONSE, FrameType.KEEPALIVE, FrameType.TERMINATE, 42])
def test_these_are_not_answered(stage: Stage, kind: int) -> None:
    side = stage.side()
    slot = stage.establish(side)
    side.on_frame(Frame(kind, b"", slot))
    assert stage.pump.sent == []


def test_a_disconnect_by_dtls_ends_dtls(stage: Stage) -> None:
    side = stage.side()
    slot = stage.establish(side)
    side.on_frame(Frame(FrameType.DISCONNECT, b"", slot))
    assert not stage.pump.sessions


# ---- whether it lives ---------------------------------------------------------------------------------------------


def test_a_silent_client_is_asked_and_then_left_to_tls(stage: Stage) -> None:
    side = stage.side(dpd=10.0)
    slot = stage.establish(side)
    stage.now += 20.0
    side.on_deadline(stage.now)
    assert stage.pump.sent == [(slot, FrameType.DPD_REQUEST, b"")]
    stage.now += 10.0
    side.on_deadline(stage.now)
    assert stage.pump.active is None
    assert stage.pump.sessions


def test_one_that_is_heard_again_is_watched_again(stage: Stage) -> None:
    side = stage.side(dpd=10.0)
    slot = stage.establish(side)
    stage.now += 30.0
    side.on_deadline(stage.now)
    assert math.isinf(side.next_deadline())
    stage.pump.active = slot
    side.on_deadline(stage.now)
    assert side.next_deadline() == stage.now + 20.0


# ---- MTU ----------------------------------------------------------------------------------------------------------


def test_a_longer_record_lowers_the_mtu_and_a_shorter_does_not_raise_it(stage: Stage) -> None:
    side = stage.side()
    for overhead, mtu in ((29, OFFERED), (65, 1406)):
        side.on_arrival(stage.arrival())
        FakeSession.made[-1].overhead = overhead
        side.on_event(Handshake(next(s for s, x in stage.pump.sessions.items() if x is FakeSession.made[-1]), b"done"))
        assert stage.pump.mtu == mtu


def test_without_discovery_the_kernel_s_word_changes_nothing(stage: Stage) -> None:
    side = stage.side()
    stage.establish(side)
    side.on_event(TooBig(1300))
    assert stage.pump.mtu == OFFERED


def test_with_discovery_it_is_followed_and_told(stage: Stage) -> None:
    side = stage.side(mtu_discovery=True)
    stage.establish(side)
    before = stage.changes
    side.on_event(TooBig(1400))
    assert stage.pump.mtu == 1334
    assert stage.changes == before + 1


def test_only_a_new_session_is_told_as_one(stage: Stage) -> None:
    side = stage.side(mtu_discovery=True)
    slot = stage.establish(side)
    side.on_event(TooBig(1400))
    side.on_event(DtlsClosed(slot))
    assert stage.established == 1
    stage.establish(side)
    assert stage.established == 2


def test_a_probe_is_as_long_as_it_asks(stage: Stage) -> None:
    side = stage.side(mtu_discovery=True)
    slot = stage.establish(side)
    side.on_deadline(stage.now)
    assert stage.pump.sent == [(slot, FrameType.DPD_REQUEST, bytes(OFFERED))]


def test_a_path_too_narrow_is_left_to_tls(stage: Stage) -> None:
    side = stage.side(mtu_discovery=True)
    stage.establish(side)
    side.on_event(TooBig(1200))
    assert not stage.pump.used
    assert stage.pump.mtu == 1280


def test_a_probe_that_the_kernel_refuses_is_heard_of(stage: Stage) -> None:
    side = stage.side(mtu_discovery=True)
    stage.establish(side)
    stage.pump.errno = errno.EMSGSIZE
    stage.patch.setattr(dtls_module, "path_mtu", lambda _sock: 1400)
    side.on_deadline(stage.now)
    assert stage.pump.mtu == 1334
