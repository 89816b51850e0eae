from __future__ import annotations

import getpass
import io
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocserv_core.cli import ocpasswd
from ocserv_core.system import crypt

Types = Callable[[bytes], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ocpasswd"


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Types:
    """What comes through a pipe on standard input."""

    def pipe(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(data)))

    return pipe


def test_a_new_user_in_a_new_file(file: Path, types: Types) -> None:
    types(b"secret\n")
    assert ocpasswd.main(["-c", str(file), "alice"]) == 0
    user, groups, hashed = file.read_text().rstrip("\n").split(":")
    assert (user, groups, len(hashed.split("$")[2])) == ("alice", "*", 16)
    assert crypt.verify(b"secret", hashed)


def test_the_file_is_root_s_alone(file: Path, types: Types) -> None:
    types(b"secret\n")
    ocpasswd.main(["-c", str(file), "alice"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("option", ["-g", "--groupname", "--group"])
def test_groups(file: Path, types: Types, option: str) -> None:
    types(b"secret\n")
    ocpasswd.main([f"--passwd={file}", option, "staff,admin", "alice"])
    assert file.read_text().startswith("alice:staff,admin:$5$")


def test_every_line_of_a_user_is_replaced_where_it_stands(file: Path, types: Types) -> None:
    file.write_text("bob:g:old:more\ncarl:*:x\nbob:h:old\n")
    types(b"secret\n")
    ocpasswd.main(["-c", str(file), "bob"])
    assert [line[:8] for line in file.read_text().splitlines()] == ["bob:*:$5", "carl:*:x", "bob:*:$5"]


def test_lines_without_a_colon_are_dropped(file: Path) -> None:
    file.write_text("# comment\n\nbob:*:x\n")
    ocpasswd.main(["-c", str(file), "-l", "nobody"])
    assert file.read_text() == "bob:*:x\n"


def test_a_user_is_added_behind_a_line_that_has_no_end(file: Path, types: Types) -> None:
    file.write_text("carl:*:x")
    types(b"secret\n")
    ocpasswd.main(["-c", str(file), "bob"])
    assert [line[:8] for line in file.read_text().splitlines()] == ["carl:*:x", "bob:*:$5"]


@pytest.mark.parametrize(
    ("option", "before", "after"),
    [
        ("-l", "bob:*:x\n", "bob:*:!x\n"),
        ("-l", "bob:*:!x\n", "bob:*:!x\n"),
        ("--lock", "bob:*:a:b\n", "bob:*:!a:b\n"),
        ("-u", "bob:*:!!x\n", "bob:*:!x\n"),
        ("--unlock", "bob:*:x\n", "bob:*:x\n"),
        ("-d", "al:*:x\nbob:*:x\nbob:*:y\n", "al:*:x\n"),
        ("--delete", "al:*:x\n", "al:*:x\n"),
        ("-l", "bob:*:x\r\n", "bob:*:!x\r\n"),
        ("-l", "bob:broken\n", "bob:broken\n"),
        ("-l", "bobby:*:x\n", "bobby:*:x\n"),
    ],
)
def test_an_edit(file: Path, option: str, before: str, after: str) -> None:
    file.write_bytes(before.encode())
    assert ocpasswd.main(["-c", str(file), option, "bob"]) == 0
    assert file.read_bytes().decode() == after


@pytest.mark.parametrize("option", ["-l", "-u", "-d"])
def test_there_is_nothing_to_edit_in_a_missing_file(
    file: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ocpasswd.main(["-c", str(file), option, "bob"]) == 1
    assert capsys.readouterr().err == f"Cannot open '{file}' for reading.\n"
    assert list(file.parent.iterdir()) == []


def test_a_locked_file_is_left_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("bob:*:x\n")
    lock = file.with_suffix(".tmp")
    lock.touch()
    assert ocpasswd.main(["-c", str(file), "-l", "bob"]) == 1
    assert capsys.readouterr().err == f"file '{file}' is locked.\n"
    assert (file.read_text(), lock.exists()) == ("bob:*:x\n", True)


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ocpasswd.main(["-c", f"{tmp_path}/no/file", "-l", "bob"]) == 1
    assert capsys.readouterr().err == f"Cannot open '{tmp_path}/no/file.tmp' for writing.\n"


@pytest.mark.parametrize("typed", [b"", b"\n", b"a"])
def test_no_password_is_refused(file: Path, types: Types, typed: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    types(typed)
    assert ocpasswd.main(["-c", str(file), "bob"]) == 1
    assert (capsys.readouterr().err, file.exists()) == ("Please specify a password\n", False)


@pytest.mark.parametrize(
    ("typed", "password"), [(b"secret", b"secret"), (b"secret\r\n", b"secret\r"), (b"a b \nc\n", b"a b ")]
)
def test_the_first_line_is_the_password(file: Path, types: Types, typed: bytes, password: bytes) -> None:
    types(typed)
    ocpasswd.main(["-c", str(file), "bob"])
    assert crypt.verify(password, file.read_text().rstrip("\n").split(":")[2])


@pytest.mark.parametrize("password", [b"x" * 600, b"a\0b"])
def test_a_password_that_cannot_be_hashed_changes_nothing(file: Path, types: Types, password: bytes) -> None:
    types(password + b"\n")
    assert (ocpasswd.main(["-c", str(file), "bob"]), file.exists()) == (1, False)


def test_at_a_terminal_the_password_is_asked_twice(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        return "secret"

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(getpass, "getpass", answer)
    assert ocpasswd.main(["-c", str(file), "bob"]) == 0
    assert prompts == ["Enter password: ", "Re-enter password: "]


@pytest.mark.parametrize("answers", [["one", "two"], ["", ""]])
def test_passwords_that_differ_or_are_empty_are_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: answers.pop(0))
    assert (ocpasswd.main(["-c", str(file), "bob"]), file.exists()) == (1, False)


@pytest.mark.parametrize("words", [[], ["a", "b"], ["-l", "-u", "a"], ["-d", "-l", "a"], ["-c"], ["-z"]])
def test_a_wrong_command_line_prints_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ocpasswd.main(words) == 1
    captured = capsys.readouterr()
    assert ("Usage: ocpasswd" in captured.err, captured.out) == (True, "")


@pytest.mark.parametrize("words", [["-c", "a", "-c", "b", "u"], ["-g", "a", "-g", "b", "u"]])
def test_an_option_given_twice_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ocpasswd.main(words) == 1
    assert capsys.readouterr().err == f"{words[0]} option cannot be specified multiple times\n"


@pytest.mark.parametrize("option", ["-h", "--help", "-v", "--version"])
def test_help_and_version_go_to_stderr(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ocpasswd.main([option]) == 0
    captured = capsys.readouterr()
    assert (captured.out, "ocpasswd" in captured.err) == ("", True)


def test_an_unknown_option_is_told_and_passed_over(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("bob:*:x\n")
    assert ocpasswd.main(["-z", "-c", str(file), "-l", "bob"]) == 0
    assert capsys.readouterr().err == "ocpasswd: unrecognized option '-z'\n"


def test_a_name_may_begin_with_a_dash(file: Path) -> None:
    file.write_text("-bob:*:x\n")
    ocpasswd.main(["-c", str(file), "-l", "--", "-bob"])
    assert file.read_text() == "-bob:*:!x\n"


@pytest.mark.parametrize("name", ["a:b", "a\nb", ""])
def test_a_name_that_would_break_the_file_is_refused(file: Path, name: str) -> None:
    file.write_text("bob:*:x\n")
    assert (ocpasswd.main(["-c", str(file), "-l", name]), file.read_text()) == (1, "bob:*:x\n")
