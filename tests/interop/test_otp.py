"""One-time passwords with the real client, and codes by oathtool."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from .lab import GATEWAY4, Lab

SECRET = "3132333435363738393031323334353637383930"
PROMPT = "Please enter your OTP password."

pytestmark = pytest.mark.skipif(shutil.which("oathtool") is None, reason="needs oathtool")


def codes(*words: str) -> list[str]:
    """What oathtool says."""
    argv = ["oathtool", *words, SECRET]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout.split()


def start(lab: Lab, *tokens: str, passwd: bool = True) -> str:
    """The server with `plain` and these lines of a users file, in a folder of its own; the file's path."""
    os.mkdir(lab.path("oath"), 0o700)
    otp = lab.write("oath/users", "".join(f"{line}\n" for line in tokens))
    first = f"passwd={lab.path('passwd')}," if passwd else ""
    lab.start_server(auth=f'"plain[{first}otp={otp}]"')
    return otp


def test_a_password_and_a_code_let_in(lab: Lab) -> None:
    otp = start(lab, f"HOTP/T30 alice - {SECRET}")
    (code,) = codes("--totp")
    client = lab.openconnect("--user", "alice", stdin=f"{lab.passwords['alice']}\n{code}\n").await_connected()
    assert client.host.ping(GATEWAY4)
    assert PROMPT in client.output.text
    with open(otp, encoding="ascii") as file:
        kind, user, _pin, secret, _steps, used, _when = file.read().split()
    assert (kind, user, secret, used) == ("HOTP/T30", "alice", SECRET, code)
    assert os.listdir(os.path.dirname(otp)) == ["users"]


def test_a_code_by_a_counter_lets_in_once(lab: Lab) -> None:
    start(lab, f"HOTP/E/8 alice - {SECRET} 7")
    first, second = codes("--counter=7", "--window=1", "--digits=8")
    words = ("--user", "alice", "--authenticate")
    assert lab.openconnect(*words, stdin=f"{lab.passwords['alice']}\n{first}\n").wait() == 0
    assert lab.openconnect(*words, stdin=f"{lab.passwords['alice']}\n{first}\n").wait() != 0
    assert lab.openconnect(*words, stdin=f"{lab.passwords['alice']}\n{second}\n").wait() == 0


def test_a_wrong_code_ends_the_login(lab: Lab) -> None:
    start(lab, f"HOTP alice - {SECRET}")
    client = lab.openconnect("--user", "alice", stdin=f"{lab.passwords['alice']}\n000000\n{codes()[0]}\n")
    assert client.wait() != 0
    assert client.output.count(PROMPT) == 1


def test_an_empty_hash_and_a_code_let_in(lab: Lab) -> None:
    with open(lab.path("passwd"), "a", encoding="ascii") as file:
        file.write("dave:staff:\nerin:staff:\n")
    start(lab, f"HOTP/T30 dave - {SECRET}")
    (code,) = codes("--totp")
    assert lab.connect("dave", password=code).host.ping(GATEWAY4)
    # Without a token an empty hash opens nothing.
    assert lab.login("erin", password="").wait() != 0


def test_codes_may_be_all_that_is_asked_for(lab: Lab) -> None:
    start(lab, f"HOTP/T60 zoe - {SECRET}", passwd=False)
    (code,) = codes("--totp", "--time-step-size=60s", f"--now=@{int(time.time())}")
    assert lab.connect("zoe", password=code).host.ping(GATEWAY4)
    assert lab.login("zoe", password=code).wait() != 0


def test_openconnect_makes_the_codes_itself(lab: Lab) -> None:
    start(lab, f"HOTP/T30 alice - {SECRET}")
    token = ("--token-mode=totp", f"--token-secret=0x{SECRET}")
    words = ("--user", "alice", "--passwd-on-stdin", "--non-inter", *token)
    client = lab.openconnect(*words, stdin=f"{lab.passwords['alice']}\n").await_connected()
    assert client.host.ping(GATEWAY4)


def test_a_users_file_that_cannot_be_written_lets_nobody_in(lab: Lab) -> None:
    otp = start(lab, f"HOTP alice - {SECRET}")
    # root may write everywhere, but nobody opens a folder as a lock.
    os.mkdir(f"{otp}.lock")
    client = lab.openconnect("--user", "alice", stdin=f"{lab.passwords['alice']}\n{codes()[0]}\n")
    assert client.wait() != 0
    assert "The server is busy, please try again later." in client.output.text
