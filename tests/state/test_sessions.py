"""A session's life: granted, opened, closed, reopened, and how long its cookie lives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ocserv_core.model import (
    AddressPair,
    CertificateFacts,
    ClientInfo,
    Cookie,
    DisconnectReason,
    Identity,
    Lease,
    SessionId,
    Traffic,
)
from ocserv_core.state.sessions import (
    CLOSE_RULES,
    CloseOutcome,
    CookiePolicy,
    Delete,
    Put,
    Refusal,
    Session,
    SessionTable,
    build_cookie,
    build_sid,
)

NOW = 10_000.0
POLICY = CookiePolicy(timeout=300)
PERSISTENT = CookiePolicy(timeout=300, persistent=True)
COOKIE, SID = Cookie("cookie-of-alice"), SessionId("alice")
HOME, CAFE = "192.0.2.7", "198.51.100.7"
CLIENT = ClientInfo(user_agent="Open AnyConnect VPN Agent v9.01")


def granted(table: SessionTable, **changes: Any) -> Session:
    """alice logs in at home."""
    words: dict[str, Any] = {
        "sid": SID,
        "cookie": COOKIE,
        "vhost": "default",
        "method": "plain",
        "identity": Identity("alice", "staff"),
        "client": CLIENT,
        "ip": HOME,
        "now": NOW,
        "policy": POLICY,
    }
    return table.grant(**{**words, **changes})


def opened(table: SessionTable, **changes: Any) -> Session | Refusal:
    """She opens a tunnel with worker 1."""
    words: dict[str, Any] = {
        "cookie": COOKIE,
        "vhost": "default",
        "worker": 1,
        "ip": HOME,
        "client": CLIENT,
        "now": NOW,
        "policy": POLICY,
    }
    return table.open(**{**words, **changes})


def closed(table: SessionTable, **changes: Any) -> CloseOutcome:
    """Worker 1 ends."""
    words: dict[str, Any] = {
        "sid": SID,
        "worker": 1,
        "reason": DisconnectReason.ERROR,
        "traffic": Traffic(),
        "now": NOW,
        "policy": POLICY,
    }
    outcome = table.close(**{**words, **changes})
    assert outcome is not None
    return outcome


@pytest.fixture
def table() -> SessionTable:
    """alice is logged in."""
    table = SessionTable()
    granted(table)
    return table


class TestWords:
    def test_a_cookie_is_43_characters(self) -> None:
        assert len(build_cookie(bytes(32))) == 43

    def test_a_session_id_is_28_characters(self) -> None:
        assert len(build_sid(bytes(21))) == 28

    def test_the_cookie_itself_is_not_kept(self, table: SessionTable) -> None:
        assert COOKIE.encode() not in msgspec.msgpack.encode(table.get(SID))


class TestOpen:
    def test_with_its_cookie(self, table: SessionTable) -> None:
        session = opened(table)
        assert isinstance(session, Session)
        assert (session.identity.username, session.in_use, session.opened_once) == ("alice", 1, True)

    def test_not_with_another(self, table: SessionTable) -> None:
        assert opened(table, cookie=Cookie("guessed")) is Refusal.UNKNOWN

    def test_not_at_another_vhost(self, table: SessionTable) -> None:
        assert opened(table, vhost="other") is Refusal.OTHER_VHOST

    def test_within_the_slack(self, table: SessionTable) -> None:
        assert isinstance(opened(table, now=NOW + 314), Session)

    def test_not_after_it(self, table: SessionTable) -> None:
        assert opened(table, now=NOW + 315) is Refusal.EXPIRED

    def test_from_elsewhere(self, table: SessionTable) -> None:
        session = opened(table, ip=CAFE)
        assert isinstance(session, Session)
        assert (session.login_ip, session.last_ip) == (HOME, CAFE)

    def test_not_from_elsewhere_under_deny_roaming(self, table: SessionTable) -> None:
        assert opened(table, ip=CAFE, policy=CookiePolicy(300, deny_roaming=True)) is Refusal.ROAMED

    def test_asked_again_it_is_answered_the_same(self, table: SessionTable) -> None:
        assert opened(table) == opened(table)

    def test_a_second_connection_takes_over(self, table: SessionTable) -> None:
        opened(table)
        session = opened(table, worker=2)
        assert isinstance(session, Session)
        assert session.in_use == 2

    def test_never_expires_while_in_use(self, table: SessionTable) -> None:
        opened(table)
        assert isinstance(opened(table, worker=2, now=NOW + 1_000_000), Session)

    def test_the_first_login_stays_the_beginning(self, table: SessionTable) -> None:
        session = opened(table, now=NOW + 100)
        assert isinstance(session, Session)
        assert session.created == NOW


class TestCertificates:
    OWN, OTHER = CertificateFacts("alice"), CertificateFacts("mallory")

    @pytest.fixture
    def table(self) -> SessionTable:
        """alice logged in with a certificate."""
        table = SessionTable()
        granted(table, certificate=self.OWN)
        return table

    def test_with_the_same_users(self, table: SessionTable) -> None:
        assert isinstance(opened(table, certificate=self.OWN), Session)

    @pytest.mark.parametrize("certificate", [None, OTHER])
    def test_not_without_it(self, table: SessionTable, certificate: CertificateFacts | None) -> None:
        assert opened(table, certificate=certificate) is Refusal.OTHER_CERTIFICATE

    def test_without_it_under_cisco_client_compat(self, table: SessionTable) -> None:
        assert isinstance(opened(table, policy=CookiePolicy(300, same_certificate=False)), Session)

    def test_a_password_session_may_show_one(self) -> None:
        table = SessionTable()
        granted(table)
        assert isinstance(opened(table, certificate=self.OWN), Session)


R = DisconnectReason
RENEWED, KEPT, DELETED = NOW + 100 + 315, NOW + 315, None

# ipc-and-state, part 3; opened at NOW, closed at NOW + 100
LIFE_AFTER_CLOSE = [
    (R.SERVER, False, DELETED),
    (R.SERVER, True, RENEWED),
    (R.SESSION_TIMEOUT, False, DELETED),
    (R.SESSION_TIMEOUT, True, RENEWED),
    (R.USER, False, DELETED),
    (R.USER, True, KEPT),
    (R.TEMPORARY, False, RENEWED),
    (R.TEMPORARY, True, RENEWED),
    (R.IDLE_TIMEOUT, False, RENEWED),
    (R.IDLE_TIMEOUT, True, RENEWED),
    (R.DPD_TIMEOUT, False, RENEWED),
    (R.DPD_TIMEOUT, True, RENEWED),
    (R.ERROR, False, RENEWED),
    (R.ERROR, True, RENEWED),
    (R.UNSPECIFIED, False, RENEWED),
    (R.UNSPECIFIED, True, RENEWED),
]


class TestClose:
    @pytest.mark.parametrize(("reason", "persistent", "expires"), LIFE_AFTER_CLOSE)
    def test_the_reason_decides_on_the_cookie(
        self, table: SessionTable, reason: R, persistent: bool, expires: float | None
    ) -> None:
        opened(table)
        outcome = closed(table, reason=reason, now=NOW + 100, policy=PERSISTENT if persistent else POLICY)
        session = table.get(SID)
        assert (session.expires if session else None) == expires
        assert outcome.ended is (expires is None)
        assert outcome.cookie_lives is (expires is not None)

    def test_every_reason_has_its_rule(self) -> None:
        assert set(CLOSE_RULES) == set(DisconnectReason)

    def test_a_persistent_cookie_lives_15_seconds_at_least(self, table: SessionTable) -> None:
        opened(table)
        closed(table, reason=R.USER, now=NOW + 1000, policy=PERSISTENT)
        session = table.get(SID)
        assert session is not None
        assert session.expires == NOW + 1015

    def test_nothing_happens_while_another_connection_is_open(self, table: SessionTable) -> None:
        opened(table)
        opened(table, worker=2)
        outcome = closed(table, reason=R.SERVER)
        assert outcome.cookie_lives
        assert outcome.session.workers == (2,)

    def test_repeated_it_changes_nothing(self, table: SessionTable) -> None:
        opened(table)
        closed(table, reason=R.DPD_TIMEOUT, traffic=Traffic(1, 2, 3, 4))
        again = closed(table, reason=R.ERROR, traffic=Traffic(1, 2, 3, 4))
        assert again.reason is R.DPD_TIMEOUT
        assert again.session.totals == Traffic(1, 2, 3, 4)

    def test_of_an_unknown_session(self, table: SessionTable) -> None:
        words = {"worker": 1, "reason": R.USER, "traffic": Traffic(), "now": NOW, "policy": POLICY}
        assert table.close(SessionId("unknown"), **words) is None  # type: ignore[arg-type]  # the words are of many types

    def test_traffic_of_all_connections_is_added(self, table: SessionTable) -> None:
        opened(table)
        closed(table, traffic=Traffic(1, 2, 3, 4))
        opened(table, worker=2)
        assert closed(table, worker=2, traffic=Traffic(10, 20, 30, 40)).session.totals == Traffic(11, 22, 33, 44)

    def test_whatever_workers_count_the_totals_can_be_stored(self, table: SessionTable) -> None:
        for worker in range(200):
            opened(table, worker=worker)
            closed(table, worker=worker, traffic=Traffic(*[2**56] * 4))
        session = table.get(SID)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(session), type=Session) == session

    def test_the_workers_word_goes_before_not_knowing(self, table: SessionTable) -> None:
        opened(table)
        table.note_word(SID, 1, R.USER)
        assert closed(table, reason=R.UNSPECIFIED).reason is R.USER

    def test_mains_knowledge_goes_before_the_workers_word(self, table: SessionTable) -> None:
        opened(table)
        table.note_word(SID, 1, R.USER)
        assert closed(table, reason=R.SERVER).reason is R.SERVER

    def test_the_word_of_a_connection_that_was_replaced_is_its_own(self, table: SessionTable) -> None:
        opened(table)
        opened(table, worker=2)
        table.note_word(SID, 1, R.SERVER)
        closed(table, reason=R.UNSPECIFIED)
        assert closed(table, worker=2, reason=R.UNSPECIFIED).reason is R.UNSPECIFIED


class TestLogOut:
    def test_before_a_tunnel_the_cookie_lives_15_seconds(self, table: SessionTable) -> None:
        assert table.log_out(SID, NOW, POLICY) is None
        assert isinstance(opened(table, now=NOW + 14), Session)
        assert table.sweep(NOW + 15) == []

    def test_and_no_longer(self, table: SessionTable) -> None:
        table.log_out(SID, NOW, POLICY)
        assert opened(table, now=NOW + 15) is Refusal.EXPIRED

    def test_in_a_tunnel_its_close_decides(self, table: SessionTable) -> None:
        opened(table)
        assert table.log_out(SID, NOW, POLICY) == table.get(SID)
        assert isinstance(opened(table, worker=2, now=NOW + 200), Session)

    def test_after_a_tunnel_the_session_is_over(self, table: SessionTable) -> None:
        opened(table)
        closed(table, reason=R.TEMPORARY)
        assert table.log_out(SID, NOW + 1, POLICY) is None
        assert table.get(SID) is None

    def test_after_a_tunnel_a_persistent_cookie_lives_as_after_a_bye(self, table: SessionTable) -> None:
        opened(table)
        closed(table, reason=R.TEMPORARY, policy=PERSISTENT)
        table.log_out(SID, NOW + 1, PERSISTENT)
        session = table.get(SID)
        assert session is not None
        assert session.expires == NOW + 315

    def test_of_nobody(self, table: SessionTable) -> None:
        assert table.log_out(SessionId("unknown"), NOW, POLICY) is None


class TestLiving:
    def test_while_its_time_lasts(self, table: SessionTable) -> None:
        assert [table.living(COOKIE, now) is not None for now in (NOW + 314, NOW + 315)] == [True, False]

    def test_while_it_is_used(self, table: SessionTable) -> None:
        opened(table)
        assert table.living(COOKIE, NOW + 1_000_000) == table.get(SID)

    def test_not_when_it_is_revoked(self, table: SessionTable) -> None:
        opened(table)
        table.revoke(SID)
        assert table.living(COOKIE, NOW) is None

    def test_not_one_that_was_guessed(self, table: SessionTable) -> None:
        assert table.living(Cookie("guessed"), NOW) is None


class TestRevoke:
    def test_a_session_that_is_not_used_is_gone(self, table: SessionTable) -> None:
        table.revoke(SID)
        assert table.get(SID) is None
        assert opened(table) is Refusal.UNKNOWN

    def test_one_in_use_opens_nothing_more(self, table: SessionTable) -> None:
        opened(table)
        table.revoke(SID)
        assert opened(table, worker=2) is Refusal.REVOKED

    @pytest.mark.parametrize("reason", list(DisconnectReason))
    def test_and_is_over_with_its_connection(self, table: SessionTable, reason: R) -> None:
        opened(table)
        table.revoke(SID)
        outcome = closed(table, reason=reason, policy=PERSISTENT)
        assert (outcome.ended, outcome.cookie_lives, table.get(SID)) == (True, False, None)

    def test_an_unknown_one(self, table: SessionTable) -> None:
        assert table.revoke(SessionId("unknown")) is None


class TestSweep:
    def test_ends_what_is_over(self, table: SessionTable) -> None:
        assert [session.sid for session in table.sweep(NOW + 315)] == [SID]
        assert len(table) == 0

    def test_leaves_what_is_in_use(self, table: SessionTable) -> None:
        opened(table)
        assert table.sweep(NOW + 1_000_000) == []

    def test_rows_leave_out_what_is_over(self, table: SessionTable) -> None:
        assert [len(table.rows(now)) for now in (NOW + 314, NOW + 315)] == [1, 0]


class TestRestart:
    def test_what_main_still_carries_goes_on(self, table: SessionTable) -> None:
        opened(table)
        again = SessionTable(table.rows(NOW))
        assert again.reconcile({SID}, NOW + 1000, lambda vhost: POLICY) == []
        assert again.sweep(NOW + 10_000) == []

    def test_what_main_does_not_carry_was_closed_unseen(self, table: SessionTable) -> None:
        opened(table)
        (session,) = table.reconcile((), NOW + 1000, lambda vhost: POLICY)
        assert (session.in_use, session.expires) == (0, NOW + 1315)

    def test_its_cookie_opens_a_tunnel_again(self, table: SessionTable) -> None:
        opened(table)
        table.reconcile((), NOW + 1000, lambda vhost: POLICY)
        assert isinstance(opened(table, worker=1, now=NOW + 1200), Session)

    def test_a_worker_says_what_it_carries(self, table: SessionTable) -> None:
        table.attach(SID, 5)
        assert closed(table, worker=5, reason=R.USER).ended

    def test_a_worker_of_an_unknown_session_makes_none(self, table: SessionTable) -> None:
        table.attach(SessionId("unknown"), 5)
        assert table.get(SessionId("unknown")) is None

    def test_a_revoked_session_stays_revoked(self, table: SessionTable) -> None:
        opened(table)
        table.revoke(SID)
        again = SessionTable(table.rows(NOW))
        assert opened(again, worker=2) is Refusal.REVOKED


class TestAccounting:
    """What the table knows for accounting: traffic over all connections, and ends that wait to be heard of."""

    def test_a_session_stays_in_the_store_until_its_end_was_heard_of(self, table: SessionTable) -> None:
        opened(table)
        table.note_accounted(SID)
        closed(table, traffic=Traffic(7, 8, 1, 1), reason=DisconnectReason.USER, now=NOW + 60)
        (over,) = table.take_ended()
        assert (over.ending, over.traffic, over.last_reason) == (True, Traffic(7, 8, 1, 1), DisconnectReason.USER)
        assert over.last_seen == NOW + 60
        assert table.take_changes() == [Put(over)]
        assert table.get(SID) is None
        table.forget(SID)
        assert table.take_changes() == [Delete(SID)]

    def test_one_that_is_not_accounted_is_deleted(self, table: SessionTable) -> None:
        opened(table)
        closed(table, reason=DisconnectReason.USER)
        assert (table.take_ended(), table.take_changes()) == ([], [Delete(SID)])

    def test_after_a_restart_ends_are_told_and_open_nothing(self, table: SessionTable) -> None:
        opened(table)
        table.note_accounted(SID)
        closed(table, reason=DisconnectReason.USER)
        (put,) = table.take_changes()
        assert isinstance(put, Put)
        again = SessionTable([put.session])
        assert again.take_ended() == [put.session]
        assert again.may_open(COOKIE, vhost="default", ip=HOME, now=NOW, policy=POLICY) is Refusal.UNKNOWN

    def test_traffic_is_of_all_connections_and_never_becomes_less(self, table: SessionTable) -> None:
        opened(table)
        table.note_traffic(SID, 1, Traffic(100, 10, 2, 1))
        opened(table, worker=2)
        table.note_traffic(SID, 2, Traffic(5, 5, 1, 1))
        session = table.note_traffic(SID, 1, Traffic(90, 20, 2, 1))
        assert session is not None
        assert session.traffic == Traffic(105, 25, 3, 2)
        closing = closed(table, traffic=Traffic(120, 30, 4, 2))
        assert closing.session.traffic == Traffic(125, 35, 5, 3)

    def test_of_a_connection_that_is_not_open_nothing_is_noted(self, table: SessionTable) -> None:
        opened(table)
        assert table.note_traffic(SID, 9, Traffic(1, 1, 1, 1)) is None

    def test_what_ended_unseen_has_carried_what_it_told(self, table: SessionTable) -> None:
        opened(table)
        table.note_traffic(SID, 1, Traffic(100, 10, 2, 1))
        (lost,) = table.reconcile((), NOW + 5, lambda _vhost: POLICY)
        assert (lost.traffic, lost.running, lost.last_seen) == (Traffic(100, 10, 2, 1), {}, NOW + 5)

    def test_it_has_started_when_its_first_tunnel_was_opened(self, table: SessionTable) -> None:
        first = opened(table, now=NOW + 3, local_ip="192.0.2.1")
        assert isinstance(first, Session)
        assert (first.started, first.local_ip) == (NOW + 3, "192.0.2.1")
        second = opened(table, worker=2, now=NOW + 9)
        assert isinstance(second, Session)
        assert second.started == NOW + 3


class TestStore:
    def test_only_the_last_change_is_written(self, table: SessionTable) -> None:
        opened(table)
        table.note_lease(SID, Lease(AddressPair("192.0.2.1", "192.0.2.7", 24)))
        (change,) = table.take_changes()
        assert change == Put(table.get(SID))  # type: ignore[arg-type]  # it is there

    def test_what_is_gone_is_deleted(self, table: SessionTable) -> None:
        table.sweep(NOW + 315)
        assert table.take_changes() == [Delete(SID)]

    def test_changes_are_handed_over_once(self, table: SessionTable) -> None:
        table.take_changes()
        assert table.take_changes() == []

    def test_what_does_not_change_is_not_written(self, table: SessionTable) -> None:
        opened(table)
        table.take_changes()
        opened(table)
        table.note_lease(SID, Lease())
        assert table.take_changes() == []

    def test_a_session_comes_back_as_it_was(self, table: SessionTable) -> None:
        opened(table)
        table.note_word(SID, 1, R.USER)
        session = table.get(SID)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(session), type=Session) == session


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, the table, its index of cookies and its store agree."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SessionTable()
        self.store: dict[SessionId, Session] = {}
        self.now = NOW
        self.worker = 0

    sids = st.sampled_from([SessionId(name) for name in "abc"])

    @rule(sid=sids)
    def grant(self, sid: SessionId) -> None:
        if self.table.get(sid) is None:
            granted(self.table, sid=sid, cookie=Cookie(sid), now=self.now)

    @rule(sid=sids)
    def open(self, sid: SessionId) -> None:
        self.worker += 1
        before = self.table.get(sid)
        answer = opened(self.table, cookie=Cookie(sid), worker=self.worker, now=self.now)
        if isinstance(answer, Session):
            assert before is not None
            assert not before.revoked
            assert before.workers or before.expires > self.now

    @rule(sid=sids, reason=st.sampled_from(DisconnectReason), persistent=st.booleans())
    def close(self, sid: SessionId, reason: R, persistent: bool) -> None:
        session = self.table.get(sid)
        if session is not None and session.workers:
            policy = PERSISTENT if persistent else POLICY
            closed(self.table, sid=sid, worker=session.workers[0], reason=reason, now=self.now, policy=policy)

    @rule(sid=sids)
    def revoke(self, sid: SessionId) -> None:
        self.table.revoke(sid)

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for session in self.table.sweep(self.now):
            assert not session.workers

    @invariant()
    def store_and_cookies_agree_with_the_table(self) -> None:
        for change in self.table.take_changes():
            if isinstance(change, Put):
                self.store[change.session.sid] = change.session
            else:
                self.store.pop(change.sid, None)
        assert self.store == {sid: self.table.get(sid) for sid in self.store}
        assert len(self.store) == len(self.table)
        for sid, session in self.store.items():
            assert self.table.by_cookie(Cookie(sid)) == session


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
