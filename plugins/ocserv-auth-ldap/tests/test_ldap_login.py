"""Logins against a real slapd: both ways to find a user, passwords, odd names, what the log says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ldap_site import ODD, Dialogue, dialogue_with, running_slapd

from ocserv_core.plugin import Denied, Prompt, Unavailable
from tests.servers.slapd import PEOPLE, SUFFIX, Slapd

TEMPLATE = f"uid={{user}},{PEOPLE}"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("ldap") / "slapd") as server:
        yield server


@pytest.fixture
def searching(slapd: Slapd, tmp_path: Path) -> Dialogue:
    """Searches, then binds."""
    return dialogue_with(slapd, folder=tmp_path)


@pytest.fixture
def direct(slapd: Slapd, tmp_path: Path) -> Dialogue:
    """Binds at once by a template."""
    return dialogue_with(slapd, folder=tmp_path, user_dn=TEMPLATE, base="", bind_dn="", bind_password="")


@pytest.fixture(params=["searching", "direct"])
def dialogue(request: pytest.FixtureRequest) -> Dialogue:
    """Both ways."""
    either: Dialogue = request.getfixturevalue(request.param)
    return either


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")


# ---- passwords ----------------------------------------------------------------------------------------------------


def test_the_right_password_lets_in(dialogue: Dialogue) -> None:
    assert dialogue.log_in("alice", "alices-password").username == "alice"


def test_a_wrong_password_is_asked_for_again(dialogue: Dialogue) -> None:
    assert dialogue.log_in("alice", "wrong", "alices-password").username == "alice"
    again = Prompt("Login failed.\nPlease enter your password.", again=True)
    assert dialogue.prompts == [Prompt("Please enter your password."), again]


def test_three_wrong_passwords_end_the_login(dialogue: Dialogue, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Denied, match=r"^Login failed\.$"):
        dialogue.log_in("alice", "wrong", "bobs-password", "x", "alices-password")
    said = "ldap: 'alice' from 192.0.2.7: wrong password (49 invalidCredentials)"
    assert [message for message in caplog.messages if "alice" in message] == [said] * 3


@pytest.mark.parametrize(
    ("password", "reason"), [("", "an empty password"), ("alices-password\0x", "a password with a NUL")]
)
def test_a_password_that_no_server_must_see_is_not_sent(
    slapd: Slapd, dialogue: Dialogue, caplog: pytest.LogCaptureFixture, password: str, reason: str
) -> None:
    since = slapd.mark()
    with pytest.raises(Denied):
        dialogue.log_in("alice", password, password, password)
    assert caplog.messages.count(f"ldap: 'alice' from 192.0.2.7: {reason}") == 3
    slapd.settle()
    assert not slapd.log.find('BIND dn="uid=', since)


def test_an_account_without_a_password_lets_nobody_in(dialogue: Dialogue, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Denied):
        dialogue.log_in("nopassword", "x", "", "y")
    # slapd says the same of it as of a wrong password.
    assert caplog.messages.count("ldap: 'nopassword' from 192.0.2.7: wrong password (49 invalidCredentials)") == 2


def test_an_unknown_user_does_not_get_in(dialogue: Dialogue) -> None:
    with pytest.raises(Denied, match=r"^Login failed\.$"):
        dialogue.log_in("mallory", "x", "y", "z")


def test_an_unknown_user_costs_a_bind_too(slapd: Slapd, searching: Dialogue, caplog: pytest.LogCaptureFixture) -> None:
    since = slapd.mark()
    with pytest.raises(Denied):
        searching.log_in("mallory", "x", "y", "z")
    slapd.log.wait_for(r'BIND dn="cn=nobody at home,', since=since, times=3)
    assert "ldap: 'mallory' from 192.0.2.7: no such user" in caplog.messages


def test_passwords_are_in_no_log(dialogue: Dialogue, caplog: pytest.LogCaptureFixture) -> None:
    dialogue.log_in("alice", "a-wrong-password", "alices-password")
    assert not any("password" in message and "wrong password" not in message for message in caplog.messages)
    assert "alices-password" not in caplog.text


# ---- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", ODD.values(), ids=ODD)
def test_an_odd_name_finds_its_own_entry(dialogue: Dialogue, uid: str) -> None:
    assert dialogue.log_in(uid, "odd-password").username == uid


@pytest.mark.parametrize(
    "name",
    [
        *("*", "alic*", "alice)(uid=*", "*)(objectClass=*", "ali\0ce", "alice\0", "\\61lice", "uid=alice", ""),
        *("{user}", f"alice,{PEOPLE}", "alice+cn=alice", "#616c696365", "\ud7ff\U0010ffff", "x" * 2000),
    ],
)
def test_what_is_typed_cannot_be_more_than_a_name(
    dialogue: Dialogue, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with pytest.raises(Denied):
        dialogue.log_in(name, "alices-password", "odd-password", "bobs-password")
    assert "cannot" not in caplog.text


@pytest.mark.parametrize("typed", ["ALICE", " alice", "alice ", "Alice"])
def test_a_name_that_the_directory_takes_for_the_same_is_the_same_user(dialogue: Dialogue, typed: str) -> None:
    assert dialogue.log_in(typed, "alices-password").username == "alice"


def test_a_user_may_be_found_by_something_else(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, filter="(|(uid={user})(mail={user}))")
    assert dialogue.log_in("alice@example.test", "alices-password").username == "alice"


def test_the_name_may_be_what_was_typed(slapd: Slapd, tmp_path: Path) -> None:
    assert (
        dialogue_with(slapd, folder=tmp_path, username="typed").log_in("Alice", "alices-password").username == "Alice"
    )


def test_the_name_may_be_another_attribute(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, username="mail")
    assert dialogue.log_in("alice", "alices-password").username == "alice@example.test"


def test_an_entry_without_the_name_lets_nobody_in(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Denied):
        dialogue_with(slapd, folder=tmp_path, username="mail").log_in("bob", "bobs-password")
    assert f"'uid=bob,{PEOPLE}' has no mail that can be read; see access rules, or username=typed" in caplog.text


def test_a_user_who_is_found_twice_does_not_get_in(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, filter="(mail={user})")
    with pytest.raises(Denied):
        dialogue.log_in("twin@example.test", "one", "two", "one")
    assert f"found more than once ('uid=twin,{PEOPLE}', 'uid=twin2,{PEOPLE}'); narrow base or filter" in caplog.text


# ---- who reads ----------------------------------------------------------------------------------------------------


def test_without_a_bind_dn_the_user_reads_himself(slapd: Slapd, direct: Dialogue) -> None:
    since = slapd.mark()
    assert direct.log_in("alice", "alices-password").groups == ("staff", "vpn")
    slapd.settle()
    assert not slapd.log.find('BIND dn="cn=admin', since)


def test_a_template_with_a_bind_dn_reads_as_that(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, user_dn=TEMPLATE, base="")
    assert dialogue.log_in("alice", "alices-password").groups == ("staff", "vpn")


def test_where_nobody_may_search_without_a_name_the_log_says_so(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, bind_dn="", bind_password="")
    with pytest.raises(Unavailable, match="failed: this may not be read; see the server's access rules"):
        dialogue.log_in("alice", "alices-password")


def test_a_base_that_is_not_there_is_told(slapd: Slapd, tmp_path: Path) -> None:
    wrong = f"ou=nowhere,{SUFFIX}"
    with pytest.raises(Unavailable, match=f"the search for users below '{wrong}' failed: there is no such entry"):
        dialogue_with(slapd, folder=tmp_path, base=wrong).log_in("alice", "alices-password")


def test_a_wrong_password_of_bind_dn_is_told(slapd: Slapd, tmp_path: Path) -> None:
    dialogue = dialogue_with(slapd, folder=tmp_path, bind_password="nonsense")
    with pytest.raises(Unavailable, match=r"the bind as 'cn=admin,.*' failed: the password is refused") as caught:
        dialogue.log_in("alice", "alices-password")
    assert "nonsense" not in str(caught.value)


def test_connections_are_used_again(slapd: Slapd, searching: Dialogue) -> None:
    searching.log_in("alice", "alices-password")
    since = slapd.mark()
    for _ in range(3):
        searching.log_in("alice", "alices-password")
    slapd.settle()
    assert slapd.log.count('BIND dn="cn=admin.*mech=SIMPLE', since) == 0
    assert slapd.log.count('BIND dn="uid=alice.*mech=SIMPLE', since) == 3
