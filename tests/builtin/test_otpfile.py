"""The users file: a code is written down as used before it counts; liboath reads what we write, and the other way."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ocserv_core.builtin import otpfile
from ocserv_core.builtin.otp import hotp
from ocserv_core.builtin.otpfile import OtpFile, OtpFileError

SECRET = b"12345678901234567890"
HEX = SECRET.hex()
CODES = [hotp(SECRET, counter, 6) for counter in range(60)]
NOW = 1_800_000_015.0
RIGHT = ""
WRONG = "wrong one-time password"
USED = "a one-time password that was used"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users.oath"
    path.write_text(f"# tokens\n\nHOTP alice - {HEX}\nHOTP/T30 bob - {HEX}\nHOTP carol - 00")
    return path


@pytest.fixture
def file(path: Path) -> OtpFile:
    return OtpFile(str(path))


def timed(steps: int = 0, now: float = NOW) -> str:
    return hotp(SECRET, int(now) // 30 + steps, 6)


def test_a_right_code_is_written_down(file: OtpFile, path: Path) -> None:
    assert file.use("alice", CODES[3], NOW) == RIGHT
    when = time.strftime("%Y-%m-%dT%H:%M:%SL", time.localtime(NOW))
    assert path.read_text() == (
        f"# tokens\n\nHOTP\talice\t-\t{HEX}\t3\t{CODES[3]}\t{when}\nHOTP/T30 bob - {HEX}\nHOTP carol - 00"
    )


def test_a_wrong_code_leaves_the_file_alone(file: OtpFile, path: Path) -> None:
    before = (path.read_bytes(), path.stat().st_ino)
    assert file.use("alice", "000000", NOW) == WRONG
    assert (path.read_bytes(), path.stat().st_ino) == before


@pytest.mark.parametrize(("user", "code"), [("alice", CODES[0]), ("bob", timed())])
def test_a_code_works_once(file: OtpFile, user: str, code: str) -> None:
    assert file.use(user, code, NOW) == RIGHT
    assert file.use(user, code, NOW + 1) == USED


def test_the_next_code_works_once_too(file: OtpFile) -> None:
    assert [file.use("alice", code, NOW) for code in (CODES[0], CODES[1], CODES[0], CODES[1])] == [
        *(RIGHT, RIGHT, WRONG, USED)
    ]


def test_the_code_of_another_is_wrong(file: OtpFile) -> None:
    assert file.use("carol", CODES[0], NOW) == WRONG


def test_a_user_may_have_several_tokens(file: OtpFile, path: Path) -> None:
    path.write_text(f"HOTP alice - 00\nHOTP/T30 alice - {HEX}\n")
    assert file.use("alice", timed(), NOW) == RIGHT
    assert path.read_text().startswith("HOTP alice - 00\n")


def test_a_user_without_a_token_is_told_from_a_wrong_code(file: OtpFile) -> None:
    assert file.use("mallory", CODES[0], NOW) == "no one-time password is configured for this user"
    assert (file.has("alice"), file.has("mallory"), file.has("#")) == (True, False, False)


def test_of_many_at_once_one_gets_in(path: Path) -> None:
    def log_in(_number: int) -> str:
        return OtpFile(str(path)).use("alice", CODES[0], NOW)

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(log_in, range(16))) == [RIGHT, *[USED] * 15]


OTHER_PROCESS = """
import fcntl, os, sys
path, line = sys.argv[1:]
fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT)
fcntl.lockf(fd, fcntl.LOCK_EX)
print("locked", flush=True)
waiting = f":{os.fstat(fd).st_ino} "
while not any("->" in row and waiting in row for row in open("/proc/locks")):
    pass
open(path, "w").write(line)
"""
"""Holds the lock until somebody waits for it; then it writes the line, and ends."""


def test_of_two_processes_one_waits_for_the_other(file: OtpFile, path: Path) -> None:
    argv = [sys.executable, "-c", OTHER_PROCESS, str(path), f"HOTP alice - {HEX} 9 {CODES[9]} x\n"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"locked\n"
            assert file.use("alice", CODES[9], NOW) == USED
        finally:
            other.kill()


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(
    file: OtpFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = otpfile._is_at
    removed: list[str] = []

    def remove_once(fd: int, lock: str) -> bool:
        if not removed:
            os.unlink(lock)
            removed.append(lock)
        return real(fd, lock)

    monkeypatch.setattr(otpfile, "_is_at", remove_once)
    assert file.use("alice", CODES[0], NOW) == RIGHT
    assert removed


def test_a_login_that_is_stuck_holds_up_no_other_for_ever(
    file: OtpFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otpfile, "LOCK_WITHIN", 0.05)
    with (
        otpfile._locks.setdefault(os.path.realpath(path), threading.Lock()),
        pytest.raises(OtpFileError, match=r"was held by other logins for 0\.05 s"),
    ):
        file.use("alice", CODES[0], NOW)


@pytest.mark.needs_root
def test_owner_and_mode_stay(file: OtpFile, path: Path) -> None:
    os.chown(path, 1234, 4321)
    path.chmod(0o640)
    file.use("alice", CODES[0], NOW)
    now = path.stat()
    assert (now.st_uid, now.st_gid, now.st_mode & 0o7777) == (1234, 4321, 0o640)


def test_a_link_stays_a_link(file: OtpFile, path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = path.rename(tmp_path / "real" / "users")
    path.symlink_to(target)
    assert file.use("alice", CODES[0], NOW) == RIGHT
    assert path.is_symlink()
    assert CODES[0] in target.read_text()


def test_what_a_dead_process_left_is_in_nobodys_way(file: OtpFile, path: Path) -> None:
    Path(f"{path}.new").write_text("half")
    Path(f"{path}.lock").write_text("")
    assert file.use("alice", CODES[0], NOW) == RIGHT
    assert os.listdir(path.parent) == [path.name]


def test_where_the_file_cannot_be_written_nobody_gets_in(
    file: OtpFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OtpFileError, match=rf"^cannot write {path} \(No space left on device\): a one-time password "):
        file.use("alice", CODES[0], NOW)
    assert CODES[0] not in path.read_text()
    assert os.listdir(path.parent) == [path.name]


def test_where_its_folder_cannot_be_written_nobody_gets_in(file: OtpFile, path: Path) -> None:
    Path(f"{path}.lock").mkdir()
    with pytest.raises(OtpFileError, match="a one-time password could be used again, so nobody gets in"):
        file.use("alice", CODES[0], NOW)


def test_a_file_that_is_not_there_is_told(file: OtpFile, path: Path) -> None:
    path.unlink()
    with pytest.raises(OtpFileError, match=f"^cannot read {path}: No such file or directory$"):
        file.use("alice", CODES[0], NOW)


def test_a_line_that_is_wrong_does_not_count_and_is_told(
    file: OtpFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(f"HOTP alice - {HEX}\nHOTP bob - {HEX}x\n")
    assert file.use("alice", CODES[0], NOW) == RIGHT
    assert caplog.messages == [f"plain: {path}:2 does not count: the secret is not hexadecimal"]
    assert f"HOTP bob - {HEX}x\n" in path.read_text()


def test_bytes_that_are_no_utf8_stay(file: OtpFile, path: Path) -> None:
    path.write_bytes(f"HOTP alice - {HEX}\n# ".encode() + b"gr\xfcn\r\n")
    assert file.use("alice", CODES[0], NOW) == RIGHT
    assert path.read_bytes().endswith(b"\n# gr\xfcn\r\n")


def test_the_hour_that_autumn_has_twice_lets_nothing_in_twice(
    file: OtpFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        summer = 1_792_889_100.0  # 2026-10-25 02:45 CEST
        assert time.strftime("%H:%M %Z", time.localtime(summer)) == "02:45 CEST"
        assert file.use("bob", timed(0, summer), summer) == RIGHT
        # The machine's clock is put back by an hour.
        assert file.use("bob", timed(-120, summer), summer - 3600) == WRONG
    finally:
        monkeypatch.undo()
        time.tzset()


# ---- liboath ------------------------------------------------------------------------------------------------------


@pytest.fixture
def liboath() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("liboath.so.0")
    except OSError:
        pytest.skip("needs liboath")
    assert library.oath_init() == 0
    library.oath_authenticate_usersfile.argtypes = [
        *[ctypes.c_char_p] * 3,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_void_p,
    ]
    return library


def theirs(library: ctypes.CDLL, path: Path, user: str, code: str) -> str:
    last = ctypes.c_long()
    arguments = (str(path).encode(), user.encode(), code.encode(), 20, None, ctypes.byref(last))
    return {0: RIGHT, -6: WRONG, -7: USED}[library.oath_authenticate_usersfile(*arguments)]


def test_what_we_accept_liboath_knows_as_used(file: OtpFile, path: Path, liboath: ctypes.CDLL) -> None:
    now = time.time()
    assert file.use("alice", CODES[3], now) == RIGHT
    assert file.use("bob", timed(0, now), now) == RIGHT
    assert theirs(liboath, path, "alice", CODES[3]) == USED
    assert theirs(liboath, path, "bob", timed(0, now)) == USED
    assert theirs(liboath, path, "alice", CODES[4]) == RIGHT
    assert theirs(liboath, path, "bob", timed(2, now)) == RIGHT


def test_what_liboath_accepts_we_know_as_used(file: OtpFile, path: Path, liboath: ctypes.CDLL) -> None:
    now = time.time()
    assert theirs(liboath, path, "alice", CODES[3]) == RIGHT
    assert theirs(liboath, path, "bob", timed(1, now)) == RIGHT
    assert file.use("alice", CODES[3], now) == USED
    assert file.use("bob", timed(1, now), now) == USED
    assert file.use("bob", timed(0, now), now) == WRONG
    assert file.use("alice", CODES[4], now) == RIGHT
    assert file.use("bob", timed(2, now), now) == RIGHT
