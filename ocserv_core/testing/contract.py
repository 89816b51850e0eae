"""What every back end must do, as test classes: an author subclasses one and says what the back end is.

class TestVoucher(AuthContract):
    factory = VoucherAuth
    right, wrong = ["winter-2027"], ["spring-1999"]

    @pytest.fixture
    def options(self, tmp_path):
        (tmp_path / "vouchers").write_text("winter-2027")
        return {"file": str(tmp_path / "vouchers")}
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import pytest

from ..errors import ConfigError
from ..model import DisconnectReason, Identity, Traffic
from ..plugin.backends import Denied
from .dialogue import Stage, a_session

ODD_NAMES = ["", "*", ")(uid=*", "a,b=c", "a\\b", "../../etc/passwd", "a b", "é" * 31, "\u202eevil", "%s%n", "'; --"]
"""User names that a worker may pass on: text without control characters, of 63 bytes at most."""

AT_ONCE = 8


class _Contract:
    """What is the same for each kind. `name`: of its entry point, for a back end that is loaded by it once more."""

    group: ClassVar[str]
    factory: ClassVar[type]
    name: ClassVar[str] = "tested"

    @pytest.fixture
    def options(self) -> Mapping[str, str]:
        """What stands in the brackets of the configuration; override it where the back end needs any."""
        return {}

    @pytest.fixture
    def stage(self, options: Mapping[str, str]) -> Iterator[Stage]:
        """The back end, loaded."""
        with Stage(self.group, self.factory, options, self.name) as stage:
            yield stage

    def test_an_unknown_option_is_refused_by_its_name(self, options: Mapping[str, str]) -> None:
        """OptionError, so that the server says file and line."""
        with pytest.raises(ConfigError) as refusal:
            Stage(self.group, self.factory, {**options, "no-such-option": "1"}).close()
        assert "cannot be set up" not in str(refusal.value), f"raise OptionError, not {refusal.value.__cause__!r}"


class AuthContract(_Contract):
    """An authentication back end. `right`: the answers with which `username` gets in, in the order of the questions;
    `wrong`: answers with which he does not. Choose such as stand in no other text: they are searched for in the log."""

    group = "ocserv.auth"
    username: ClassVar[str] = "alice"
    right: ClassVar[Sequence[str]]
    wrong: ClassVar[Sequence[str]]

    def test_the_right_answers_let_in(self, stage: Stage) -> None:
        """In the order of the questions."""
        login = stage.log_in(self.username).answer_all(self.right)
        assert login.identity.username

    def test_wrong_answers_are_denied(self, stage: Stage) -> None:
        """Denied, and not Unavailable: it is the user's failure."""
        login = stage.log_in(self.username).answer_all(self.wrong)
        assert login.denied

    def test_empty_answers_are_denied(self, stage: Stage) -> None:
        """Many servers take an empty password for an anonymous bind."""
        login = stage.log_in(self.username).answer_all([""])
        assert login.denied

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_odd_name_is_no_fault(self, stage: Stage, name: str) -> None:
        """It is what a stranger may send."""
        login = stage.log_in(name).answer_all(self.wrong)
        assert login.fault is None
        assert login.over

    def test_no_answer_is_told_to_anybody(self, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
        """Not to the log, not in an exception, not on the object."""
        caplog.set_level(logging.DEBUG)
        for answers in (self.right, self.wrong):
            login = stage.log_in(self.username).answer_all(answers)
            told = f"{caplog.text} {login.outcome!r}"
            assert not [answer for answer in filter(None, answers) if answer in told], (
                "it is in the log, or in an error"
            )
        kept = repr(vars(stage.instance.plugin.implementation))
        assert not [answer for answer in filter(None, self.wrong) if answer in kept], "it is kept on the object"

    def test_who_gives_up_leaves_nothing_behind(self, stage: Stage) -> None:
        """The next login finds everything free."""
        given_up = stage.log_in(self.username)
        if not given_up.over:
            given_up.cancel()
        assert stage.log_in(self.username).answer_all(self.right).identity
        stage.settle()
        assert (stage.instance.working, stage.instance.waiting) == (0, 0)

    def test_logins_at_once_do_not_mix(self, stage: Stage) -> None:
        """Every second one is wrong."""
        logins = [stage.log_in(self.username) for _ in range(AT_ONCE)]
        for number, login in enumerate(logins):
            login.answer_all(self.wrong if number % 2 else self.right)
        outcomes = [
            login.fault is None and (number % 2 == 0) == isinstance(login.outcome, Identity)
            for number, login in enumerate(logins)
        ]
        assert all(outcomes), [login.outcome for login in logins]

    def test_its_work_ends_within_its_own_deadline(self, stage: Stage) -> None:
        """Else the server would cut it off."""
        stage.log_in(self.username).answer_all(self.right)
        assert stage.instance.counters.busiest < stage.instance.limits.deadline


class AcctContract(_Contract):
    """An accounting back end."""

    group = "ocserv.acct"

    def test_a_session_is_accounted_to_its_end(self, stage: Stage) -> None:
        """Start, statistics, end."""
        session = a_session()
        stage.open(session)
        stage.report(session, Traffic(1, 2, 3, 4))
        stage.end(session, Traffic(10, 20, 30, 40))
        assert stage.instance.counters.failed == 0

    def test_what_is_told_twice_does_no_harm(self, stage: Stage) -> None:
        """After a crash the server tells it again."""
        session = a_session()
        for _ in range(2):
            stage.open(session)
        for _ in range(2):
            stage.end(session, Traffic(10, 20, 30, 40))
        assert stage.instance.counters.failed == 0

    @pytest.mark.parametrize("reason", DisconnectReason)
    def test_any_reason_of_an_end_is_taken(self, stage: Stage, reason: DisconnectReason) -> None:
        """There may be more of them one day."""
        session = a_session()
        stage.open(session)
        stage.end(session, Traffic(), reason)

    def test_more_bytes_than_32_bits_hold_are_taken(self, stage: Stage) -> None:
        """Sums go up to 2**62."""
        session = a_session()
        stage.open(session)
        stage.end(session, Traffic(2**40, 2**41, 2**33, 2**34))

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_odd_name_is_no_fault(self, stage: Stage, name: str) -> None:
        """It is what a stranger may send; a session may be refused, as any, and then has no end."""
        session = a_session(name)
        try:
            stage.open(session)
        except Denied:
            return
        stage.end(session, Traffic())


class ConfigContract(_Contract):
    """A configuration back end."""

    group = "ocserv.config"

    def test_what_it_says_can_be_read(self, stage: Stage) -> None:
        """As the file of a user."""
        stage.configure(a_session())

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_odd_name_is_no_fault(self, stage: Stage, name: str) -> None:
        """It is what a stranger may send."""
        stage.configure(a_session(name, group=name))
