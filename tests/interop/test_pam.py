"""Logins by PAM with the real client: real modules, in an /etc of the test's own."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.servers.pam import MOODS, UNIX, UNIX_AND_OTP, Pam, otp

from .client import Client
from .lab import GATEWAY4, Lab
from .processes import await_gone
from .server import OCSERV, Server

PERMIT = "account required pam_permit.so\n"


@pytest.fixture
def pam(lab: Lab) -> Pam:
    """In the lab's folder, so that it goes with it."""
    return Pam(Path(lab.folder))


def start(lab: Lab, pam: Pam, auth: str = "pam", *vhost_lines: str, **options: str | int) -> Server:
    """The server with that /etc; vhost_lines stand at the configuration's end."""
    config = lab.configure(auth=f'"{auth}"', **options)
    with open(config, "a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in vhost_lines)
    argv = [*OCSERV, "-f", "--log-stderr", "-c", config]
    return lab.run_server(pam.argv(*argv), lab.path("occtl.sock")).await_listening()


def log_in(lab: Lab, user: str, *answers: str, words: tuple[str, ...] = ()) -> Client:
    """The answers to what is asked, one after another."""
    return lab.openconnect("--user", user, *words, stdin="".join(f"{answer}\n" for answer in answers))


def in_a_mood(pam: Pam, mood: str) -> None:
    """A service with that module alone."""
    pam.service("ocserv", f"auth required {pam.module('pam_moods', MOODS)} {mood}\n{PERMIT}")


# ---- the dialogue -------------------------------------------------------------------------------------------------


def test_a_password_that_pam_knows_lets_its_user_in(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    password = pam.add_user("alice", groups=("staff",))
    server = start(lab, pam)
    client = log_in(lab, "alice", password).await_connected()
    assert client.host.ping(GATEWAY4)
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "users"
    assert server.log.find("'alice' from .* is authenticated by pam")
    assert password not in server.log.text


def test_a_wrong_password_does_not(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    pam.add_user("alice")
    server = start(lab, pam)
    client = log_in(lab, "alice", "wrong")
    assert client.wait() != 0
    assert "Login failed." in client.output.text
    assert server.log.find(r"PAM \(ocserv\): pam_authenticate: Authentication failure \(PAM_AUTH_ERR\)")
    assert server.log.find("login of 'alice' from .* failed: Login failed.")


def test_a_password_and_then_a_one_time_password(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX_AND_OTP)
    password = pam.add_user("alice")
    pam.add_otp("alice")
    start(lab, pam)
    client = log_in(lab, "alice", password, otp()).await_connected()
    assert "One-time password (OATH) for `alice':" in client.output.text
    assert client.host.ping(GATEWAY4)


def test_a_wrong_one_time_password_is_the_end(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX_AND_OTP)
    password = pam.add_user("alice")
    pam.add_otp("alice")
    server = start(lab, pam)
    assert log_in(lab, "alice", password, "000000").wait() != 0
    assert server.log.find("login of 'alice' from .* failed: Login failed.")


def test_an_expired_password_is_changed_in_the_dialogue(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    old, new = pam.add_user("alice", changed=0), "Xk-29-quite-another"
    server = start(lab, pam)
    client = log_in(lab, "alice", old, old, new, new).await_connected()
    for said in ("You are required to change your password immediately", "Current password:", "New password:"):
        assert said in client.output.text
    assert server.log.find("the password has expired and must be changed")
    assert log_in(lab, "alice", old).wait() != 0
    assert log_in(lab, "alice", new).await_connected().host.ping(GATEWAY4)
    assert old not in server.log.text
    assert new not in server.log.text


def test_a_new_password_that_is_typed_differently_ends_the_login(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    old = pam.add_user("alice", changed=0)
    server = start(lab, pam)
    client = log_in(lab, "alice", old, old, "Xk-29-quite-another", "Xk-29-something-else")
    assert client.wait() != 0
    assert "Sorry, passwords do not match." in client.output.text
    assert server.log.find(r"pam_chauthtok: .*PAM_AUTHTOK_ERR|pam_chauthtok: .*PAM_TRY_AGAIN")


def test_several_prompts_and_texts_of_one_call_are_asked_one_after_another(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "all-at-once")
    start(lab, pam)
    client = log_in(lab, "alice", "right", "123456").await_connected()
    assert client.output.find("^Your token was sent.$")
    # What is no UTF-8 is shown as that; how, is the client's.
    assert client.output.find(r"^Gr\S+ Gott$")
    assert client.output.find("^Token:")


def test_an_error_of_a_module_is_shown_with_the_denial(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "error")
    start(lab, pam)
    client = log_in(lab, "alice", "any")
    assert client.wait() != 0
    assert "This account is closed on Sundays." in client.output.text


def test_a_dialogue_of_twelve_questions(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "many 12")
    start(lab, pam)
    assert log_in(lab, "alice", *["any"] * 12).await_connected().host.ping(GATEWAY4)


# ---- who it is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["mallory", "jürgen", "x" * 63])
def test_nobody_whom_pam_does_not_know(lab: Lab, pam: Pam, user: str) -> None:
    pam.service("ocserv", UNIX)
    server = start(lab, pam)
    assert log_in(lab, user, "any").wait() != 0
    assert server.log.find(r"PAM_USER_UNKNOWN|PAM_AUTH_ERR")
    assert server.show("status")["Total authentication failures"] == 1


def test_a_locked_account_is_told_so(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    password = pam.add_user("alice")
    pam.lock("alice")
    server = start(lab, pam)
    client = log_in(lab, "alice", password)
    assert client.wait() != 0
    assert "Your account has expired" in client.output.text
    assert server.log.find(r"pam_acct_mgmt: User account has expired \(PAM_ACCT_EXPIRED\)")


def test_a_module_may_name_the_user_otherwise(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "rename bob")
    pam.add_user("bob", group="guests")
    server = start(lab, pam)
    log_in(lab, "alice", "any").await_connected()
    (user,) = server.show("user", "bob")
    assert user["Groupname"] == "guests"


def test_a_name_that_is_no_text_is_refused(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "rename-latin1")
    server = start(lab, pam)
    assert log_in(lab, "alice", "any").wait() != 0
    assert server.log.find(r"PAM \(ocserv\): a module named the user b'j\\xfcrgen', which is no UTF-8")


def test_a_user_with_umlauts(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    password = pam.add_user("jürgen", group="gäste")
    server = start(lab, pam)
    log_in(lab, "jürgen", password).await_connected()
    (user,) = server.show("user", "jürgen")
    assert user["Groupname"] == "gäste"


def test_a_user_in_500_groups_chooses_one(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    password = pam.add_user("alice", groups=[f"department-{number}" for number in range(500)])
    server = start(lab, pam, "pam[gid-min=20002]", auto_select_group="true")
    log_in(lab, "alice", password, words=("--authgroup", "department-499")).await_connected()
    (user,) = server.show("user", "alice")
    assert user["Groupname"] == "department-499"


def test_modules_hear_of_the_client_and_the_service(lab: Lab, pam: Pam) -> None:
    heard = lab.path("heard")
    script = pam.script("tell", f'echo "$PAM_SERVICE $PAM_USER $PAM_RHOST $PAM_TYPE" >> {heard}')
    pam.service("vpn-users", f"auth required pam_exec.so quiet {script}\naccount required pam_exec.so quiet {script}\n")
    start(lab, pam, "pam[service=vpn-users]")
    client = log_in(lab, "alice", "any").await_connected()
    told = f"vpn-users alice {client.host.address4}"
    assert Path(heard).read_text().splitlines() == [f"{told} auth", f"{told} account"]


# ---- the service --------------------------------------------------------------------------------------------------


def test_a_service_that_is_not_there_is_told_at_the_start(lab: Lab, pam: Pam) -> None:
    pam.service("other", "auth required pam_deny.so\naccount required pam_deny.so\n")
    server = start(lab, pam)
    assert server.log.find(r"PAM has no service 'ocserv' \(/etc/pam.d/ocserv\): it goes by 'other'")
    assert log_in(lab, "alice", "any").wait() != 0


def test_an_empty_service_lets_nobody_in(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", "")
    server = start(lab, pam)
    client = log_in(lab, "alice", "any")
    assert client.wait() != 0
    assert server.log.find(r"PAM \(ocserv\): pam_(start|authenticate): ")


def test_a_module_that_is_not_there_is_nobodys_failure(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", f"auth required pam_nowhere.so\n{PERMIT}")
    server = start(lab, pam)
    client = log_in(lab, "alice", "any")
    assert client.wait() != 0
    assert "The server is busy, please try again later." in client.output.text
    assert server.log.find(r"the back end 'pam' is not available: PAM \(ocserv\): pam_authenticate: .*MODULE_UNKNOWN")
    assert server.show("status")["Total authentication failures"] == 0


# ---- the account check of accounting ------------------------------------------------------------------------------


def test_the_account_check_lets_a_session_begin(lab: Lab, pam: Pam) -> None:
    pam.service("vpn", UNIX)
    pam.add_user("alice")
    server = start(lab, pam, f"plain[passwd={lab.path('passwd')}]", acct='"pam[service=vpn]"')
    assert lab.connect("alice").host.ping(GATEWAY4)
    assert {plugin["Plugin"]: plugin["Granted"] for plugin in server.show("plugins")}["pam"] == 1


def test_the_account_check_refuses_a_session(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    pam.add_user("alice")
    pam.lock("alice")
    server = start(lab, pam, f"plain[passwd={lab.path('passwd')}]", acct='"pam"')
    client = lab.login("alice")
    assert client.wait() != 0
    assert server.log.find(r"pam_acct_mgmt: User account has expired \(PAM_ACCT_EXPIRED\)")


# ---- modules that misbehave ---------------------------------------------------------------------------------------


def test_a_module_that_crashes_hurts_its_login_alone(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "crash")
    pam.service("good", UNIX)
    pam.passwords["alice"] = lab.passwords["alice"] = pam.add_user("alice")
    server = start(lab, pam, "pam", "[vhost:good.example]", 'auth = "pam[service=good]"')
    secmod = server.pid_of("ocserv-sm")
    for _ in range(2):
        client = log_in(lab, "alice", "any")
        assert client.wait() != 0
        assert "Login failed." in client.output.text
    died = "the back end 'pam' failed in a login of 'alice' from .*: its process ended by SIGSEGV"
    assert server.log.count(died) == 2
    assert lab.connect_by_name("good.example").host.ping(GATEWAY4)
    assert (server.pid_of("ocserv-sm"), len(server.pids_of("ocserv-host"))) == (secmod, 2)


@pytest.mark.parametrize(("mood", "end"), [("exit", "with status 0"), ("closefrom", "by SIGKILL")])
def test_a_module_that_leaves_without_a_word(lab: Lab, pam: Pam, mood: str, end: str) -> None:
    in_a_mood(pam, mood)
    server = start(lab, pam)
    assert log_in(lab, "alice", "any").wait() != 0
    assert server.log.find(f"the back end 'pam' failed in a login of 'alice' from .*: its process ended {end}")


def test_a_module_that_hangs_is_killed_with_what_it_started(lab: Lab, pam: Pam) -> None:
    script = pam.script("sleep", f"echo $$ > {lab.path('sleeper')}; sleep 1000")
    pam.service("ocserv", f"auth required pam_exec.so {script}\n{PERMIT}")
    server = start(lab, pam, auth_timeout=3)
    client = log_in(lab, "alice", "any")
    # auth-timeout is the worker's and secmod's; either may be first.
    over = "was not finished in time|ended: its client did not wait for the back end"
    server.log.wait_for(f"login of 'alice' from .* ({over})")
    client.wait()
    await_gone([*server.pids_of("ocserv-child"), int(Path(lab.path("sleeper")).read_text())])


def test_a_client_that_gives_up_in_mid_round_leaves_nothing_behind(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX_AND_OTP)
    password = pam.add_user("alice")
    pam.add_otp("alice")
    server = start(lab, pam, auth_timeout=4)
    client = lab.openconnect("--user", "alice", "--passwd-on-stdin", stdin=f"{password}\n")
    client.output.wait_for("One-time password")
    (child,) = server.pids_of("ocserv-child")
    client.kill()
    await_gone([child])
    (shown,) = server.show("plugins")
    assert (shown["Working"], shown["Waiting"]) == (0, 0)


def test_a_host_that_is_killed_is_started_again(lab: Lab, pam: Pam) -> None:
    pam.service("ocserv", UNIX)
    password = pam.add_user("alice")
    server = start(lab, pam)
    log_in(lab, "alice", password, words=("--authenticate",)).wait()
    server.kill_one("ocserv-host")
    server.log.wait_for("the host of the back end 'pam' has ended")
    assert log_in(lab, "alice", password).await_connected().host.ping(GATEWAY4)


@pytest.mark.parametrize("title", ["ocserv-sm", "ocserv-main"])
def test_nothing_outlives_secmod(lab: Lab, pam: Pam, title: str) -> None:
    script = pam.script("sleep", f"echo up > {lab.path('up')}; sleep 1000")
    pam.service("ocserv", f"auth required pam_exec.so {script}\n{PERMIT}")
    os.mkfifo(lab.path("up"))
    server = start(lab, pam)
    log_in(lab, "alice", "any")
    assert Path(lab.path("up")).read_text() == "up\n"
    pids = [pid for pid, name in server.processes().items() if re.search("sleep|ocserv-host|ocserv-child", name)]
    assert len(pids) >= 3
    os.kill(server.pid_of(title), signal.SIGKILL)
    await_gone(pids)


def test_a_stop_ends_the_dialogues_too(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "many 3")
    server = start(lab, pam)
    client = lab.openconnect("--user", "alice", "--passwd-on-stdin", stdin="any\n")
    client.output.wait_for("And now:")
    server.stop()


def test_a_reload_gives_new_hosts_and_lets_dialogues_end(lab: Lab, pam: Pam) -> None:
    in_a_mood(pam, "many 1")
    server = start(lab, pam)
    log_in(lab, "alice", "any", words=("--authenticate",)).wait()
    before = server.pid_of("ocserv-host")
    server.send_signal(signal.SIGHUP)
    await_gone([before])
    assert log_in(lab, "alice", "any", words=("--authenticate",)).wait() == 0
    assert server.pid_of("ocserv-host") != before
