"""`plain[passwd=FILE,otp=FILE]`: its dialogue, and what an unknown user costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocserv_core.builtin import plain
from ocserv_core.builtin.plain import TRIES, PlainAuth
from ocserv_core.model import ClientInfo, Identity
from ocserv_core.plugin import BackendContext, Denied, Login, OptionError, Prompt, Unavailable
from ocserv_core.system.crypt import hash_password, verify

HASH = hash_password(b"right", "$5$saltsaltsaltsalt")
FILE = f"""\
# written by hand
alice:staff,admins:{HASH}
bob:*:{HASH}
locked:*:!{HASH}
empty:*:
"""

Check = Callable[[bytes, str], bool]


class Dialogue:
    """A login and the user's answers; what was asked, and how often a hash was made."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
        self.path = path
        self.path.write_text(FILE)
        self.backend = PlainAuth({"passwd": str(path), **options}, BackendContext("default", "plain"))
        self.prompts: list[Prompt] = []
        self.checked: list[str] = []
        monkeypatch.setattr(plain, "verify", self._verify)

    def _verify(self, password: bytes, stored: str) -> bool:
        self.checked.append(stored)
        return verify(password, stored)

    def log_in(self, username: str, *answers: str) -> Identity:
        """Denied, or the identity. The answers must suffice."""
        left = list(answers)

        def ask(prompt: Prompt) -> str:
            self.prompts.append(prompt)
            return left.pop(0)

        return self.backend.ocserv_authenticate(Login(username, "", "default", "192.0.2.1", ClientInfo()), ask)


@pytest.fixture
def dialogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dialogue:
    return Dialogue(tmp_path / "ocpasswd", monkeypatch)


def test_the_right_password_lets_in(dialogue: Dialogue) -> None:
    assert dialogue.log_in("alice", "right").username == "alice"


def test_the_first_group_is_the_user_s_own(dialogue: Dialogue) -> None:
    assert dialogue.log_in("alice", "right") == Identity("alice", "staff", ("staff", "admins"))


def test_a_user_may_have_no_group(dialogue: Dialogue) -> None:
    assert dialogue.log_in("bob", "right") == Identity("bob")


def test_the_question_is_the_c_server_s(dialogue: Dialogue) -> None:
    dialogue.log_in("alice", "right")
    assert dialogue.prompts == [Prompt("Please enter your password.")]


def test_after_a_wrong_answer_the_same_question_says_so(dialogue: Dialogue) -> None:
    dialogue.log_in("alice", "wrong", "right")
    assert dialogue.prompts[1] == Prompt("Login failed.\nPlease enter your password.", again=True)


def test_the_third_answer_may_still_be_right(dialogue: Dialogue) -> None:
    assert dialogue.log_in("alice", "wrong", "wrong", "right").username == "alice"


def test_after_three_wrong_answers_the_login_is_over(dialogue: Dialogue) -> None:
    with pytest.raises(Denied, match=r"^Login failed\.$"):
        dialogue.log_in("alice", "1", "2", "3", "right")
    assert len(dialogue.prompts) == TRIES


@pytest.mark.parametrize("username", ["nobody", "locked", "empty", "", "Alice"])
@pytest.mark.parametrize("password", ["right", ""])
def test_who_has_no_usable_password_does_not_get_in(dialogue: Dialogue, username: str, password: str) -> None:
    with pytest.raises(Denied):
        dialogue.log_in(username, password, password, password)


@pytest.mark.parametrize(
    ("username", "reason"),
    [
        ("alice", "wrong password"),
        ("nobody", "no such user"),
        ("locked", "the user is locked, or has no password"),
        ("empty", "the user is locked, or has no password"),
    ],
)
def test_the_log_says_why_and_not_with_what(
    dialogue: Dialogue, caplog: pytest.LogCaptureFixture, username: str, reason: str
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(Denied):
        dialogue.log_in(username, "secret", "secret", "secret")
    assert caplog.messages == [f"plain: '{username}' from 192.0.2.1: {reason}"] * TRIES


def test_a_file_that_is_not_there_is_told_at_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PlainAuth({"passwd": str(tmp_path / "nothing")}, BackendContext("default", "plain"))
    assert caplog.messages == [f"plain: cannot read {tmp_path}/nothing; until it can be read, nobody can log in"]


def test_an_empty_password_is_wrong(dialogue: Dialogue) -> None:
    with pytest.raises(Denied):
        dialogue.log_in("alice", "", "", "")


@pytest.mark.parametrize("username", ["alice", "nobody", "locked", "empty"])
def test_every_answer_is_checked_against_one_hash(dialogue: Dialogue, username: str) -> None:
    with pytest.raises(Denied):
        dialogue.log_in(username, "1", "2", "3")
    assert len(dialogue.checked) == TRIES


@pytest.mark.parametrize("username", ["nobody", "empty"])
def test_who_has_no_hash_costs_a_real_one(dialogue: Dialogue, username: str) -> None:
    with pytest.raises(Denied):
        dialogue.log_in(username, "1", "2", "3")
    # crypt(3) refuses what is no hash at once; one that it takes gives another hash of the same length.
    assert [len(hash_password(b"1", stored)) for stored in dialogue.checked] == [len(HASH)] * TRIES


@pytest.mark.parametrize("text", ["", "x:*:\n", "x:*:!\n"])
def test_a_file_without_a_hash_lets_nobody_in_at_the_same_cost(dialogue: Dialogue, text: str) -> None:
    dialogue.path.write_text(text)
    with pytest.raises(Denied):
        dialogue.log_in("x", "1", "2", "3")
    assert [stored[:3] for stored in dialogue.checked] == ["$5$"] * TRIES


def test_the_file_is_read_at_each_login(dialogue: Dialogue) -> None:
    dialogue.log_in("alice", "right")
    dialogue.path.write_text("")
    with pytest.raises(Denied):
        dialogue.log_in("alice", "right", "right", "right")


def test_a_file_that_cannot_be_read_lets_nobody_in_and_is_told(
    dialogue: Dialogue, caplog: pytest.LogCaptureFixture
) -> None:
    dialogue.path.unlink()
    with pytest.raises(Denied):
        dialogue.log_in("alice", "right", "right", "right")
    assert caplog.messages[0] == f"plain: cannot read {dialogue.path}: No such file or directory"


def test_a_byte_that_is_no_utf8_spoils_its_own_line_alone(dialogue: Dialogue) -> None:
    dialogue.path.write_bytes(b"caf\xe9:gr\xfcn:x\n" + FILE.encode())
    assert dialogue.log_in("alice", "right").username == "alice"


def test_the_groups_of_the_file_are_offered(dialogue: Dialogue) -> None:
    assert dialogue.backend.ocserv_groups() == ("staff", "admins")


def test_groups_can_be_sent_whatever_the_file_holds(dialogue: Dialogue) -> None:
    dialogue.path.write_bytes(b"a:gr\xfcn:x\n")
    assert [name.encode() for name in dialogue.backend.ocserv_groups()]


NEITHER = "passwd=FILE is missing, the file that ocpasswd writes; or otp=FILE, an OATH users file"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "passwd=FILE is missing, the file that ocpasswd writes; or otp=FILE, an OATH users file"),
        (
            {"passwd": "", "otp": ""},
            "passwd=FILE is missing, the file that ocpasswd writes; or otp=FILE, an OATH users file",
        ),
        ({"passwd": "/f", "pam": "/g"}, "unknown option 'pam'; there are passwd=FILE and otp=FILE"),
    ],
)
def test_options_are_checked(options: dict[str, str], says: str) -> None:
    with pytest.raises(OptionError) as caught:
        PlainAuth(options, BackendContext("default", "plain"))
    assert str(caught.value) == says


# ---- one-time passwords -------------------------------------------------------------------------------------------

SECRET = "3132333435363738393031323334353637383930"
CODES = ("755224", "287082", "359152")
"""The first of that secret (RFC 4226, appendix D)."""

OTP = Prompt("Please enter your OTP password.")


@pytest.fixture
def otp_file(tmp_path: Path) -> Path:
    path = tmp_path / "users.oath"
    path.write_text(f"HOTP alice - {SECRET}\nHOTP empty - {SECRET}\nHOTP other - {SECRET}\n")
    return path


@pytest.fixture
def both(tmp_path: Path, otp_file: Path, monkeypatch: pytest.MonkeyPatch) -> Dialogue:
    """With passwords and one-time passwords."""
    return Dialogue(tmp_path / "ocpasswd", monkeypatch, otp=str(otp_file))


@pytest.fixture
def otp_alone(tmp_path: Path, otp_file: Path, monkeypatch: pytest.MonkeyPatch) -> Dialogue:
    """With one-time passwords only."""
    return Dialogue(tmp_path / "ocpasswd", monkeypatch, passwd="", otp=str(otp_file))


def test_after_the_password_a_one_time_password_is_asked_for(both: Dialogue) -> None:
    assert both.log_in("alice", "right", CODES[0]) == Identity("alice", "staff", ("staff", "admins"))
    assert both.prompts == [Prompt("Please enter your password."), OTP]


def test_after_wrong_passwords_it_is_not(both: Dialogue) -> None:
    with pytest.raises(Denied):
        both.log_in("alice", "1", "2", "3")
    assert OTP not in both.prompts


def test_a_second_password_may_be_right(both: Dialogue) -> None:
    assert both.log_in("alice", "wrong", "right", CODES[0]).username == "alice"


FULL_WIDTH = "\uff17\uff15\uff15\uff12\uff12\uff14"
"""The first code in other digits."""


@pytest.mark.parametrize("code", ["000000", "", CODES[0] + "0", CODES[0][1:], "right", FULL_WIDTH])
def test_a_wrong_code_ends_the_login(both: Dialogue, caplog: pytest.LogCaptureFixture, code: str) -> None:
    caplog.set_level("INFO")
    with pytest.raises(Denied, match=r"^Login failed\.$"):
        both.log_in("alice", "right", code, CODES[0])
    assert caplog.messages == ["plain: 'alice' from 192.0.2.1: wrong one-time password"]


def test_a_code_works_once(both: Dialogue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    both.log_in("alice", "right", CODES[0])
    with pytest.raises(Denied):
        both.log_in("alice", "right", CODES[0])
    assert caplog.messages == ["plain: 'alice' from 192.0.2.1: a one-time password that was used"]
    assert both.log_in("alice", "right", CODES[1]).username == "alice"


def test_a_user_without_a_token_is_asked_and_does_not_get_in(both: Dialogue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with pytest.raises(Denied):
        both.log_in("bob", "right", CODES[0])
    assert caplog.messages == ["plain: 'bob' from 192.0.2.1: no one-time password is configured for this user"]


def test_a_user_with_an_empty_hash_is_asked_for_a_one_time_password_alone(both: Dialogue) -> None:
    assert both.log_in("empty", CODES[0]) == Identity("empty")
    assert both.prompts == [OTP]


def test_without_a_token_an_empty_hash_lets_nobody_in(both: Dialogue, otp_file: Path) -> None:
    otp_file.write_text("")
    with pytest.raises(Denied):
        both.log_in("empty", "", CODES[0], "x")
    assert OTP not in both.prompts


@pytest.mark.parametrize("username", ["locked", "other", "nobody"])
def test_a_token_does_not_unlock_who_has_no_password(both: Dialogue, username: str) -> None:
    with pytest.raises(Denied):
        both.log_in(username, CODES[0], CODES[0], CODES[0])
    assert OTP not in both.prompts


def test_one_time_passwords_may_be_all_that_there_is(otp_alone: Dialogue) -> None:
    assert otp_alone.log_in("other", CODES[0]) == Identity("other")
    assert otp_alone.prompts == [OTP]
    assert otp_alone.backend.ocserv_groups() == ()


def test_then_who_has_no_token_does_not_get_in(otp_alone: Dialogue) -> None:
    with pytest.raises(Denied):
        otp_alone.log_in("bob", CODES[0])


def test_while_the_otp_file_is_gone_nobody_knows(both: Dialogue, otp_file: Path) -> None:
    otp_file.unlink()
    with pytest.raises(Unavailable, match=f"^cannot read {otp_file}: No such file or directory$"):
        both.log_in("alice", "right", CODES[0])


def test_an_otp_file_that_is_not_there_is_told_at_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PlainAuth({"otp": f"{tmp_path}/nowhere/users"}, BackendContext("default", "plain"))
    folder = f"plain: the folder of {tmp_path}/nowhere/users cannot be written; until it can, nobody can log in by a"
    assert caplog.messages == [
        f"plain: cannot read {tmp_path}/nowhere/users; until it can be read, nobody can log in",
        f"{folder} one-time password",
    ]


def test_no_code_and_no_secret_is_in_the_log(both: Dialogue, otp_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    otp_file.write_text(f"HOTP alice - {SECRET}\nHOTQ alice - {SECRET}\nHOTP alice - {SECRET}x\n")
    both.log_in("alice", "right", CODES[0])
    assert caplog.messages
    assert SECRET not in caplog.text
    assert CODES[0] not in caplog.text
