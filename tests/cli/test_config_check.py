"""`ocserv config check`: what it prints of a file and of an option, and what it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ocserv_core.cli import ocserv
from tests.config.texts import MINIMAL

SAME = "run-as-user = nobody\nisolate-workers = true\nsession-store = memory\n"
AUTH = (
    "auth: an empty hash in the password file logs in by a one-time password alone; the C server asks for nothing then"
)
STORE = "session-store: the C server does not know this option, and passes over the line"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "o.conf"
    path.write_text(MINIMAL + SAME)
    return path


def add(file: Path, line: str) -> None:
    file.write_text(file.read_text() + line)


def check(*words: str) -> int:
    return ocserv.main(["config", "check", *words])


def test_a_file_without_faults(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(str(file)) == 0
    assert capsys.readouterr().out == f"{file}:1: differs: {AUTH}\n{file}:10: differs: {STORE}\n"


def test_errors_warnings_and_differences_stand_by_their_lines(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(file, "nonsense = 1\ndpd = soon\n")
    assert check(str(file)) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"{file}:11: warning: the option 'nonsense' is unknown; the line is ignored",
        f"{file}:12: error: dpd: 'soon' is not a duration; write seconds, or a number with s, m, h or d, like 5m",
        f"{file}:12: differs: dpd: the C server reads 'soon' as 0",
    ]


def test_what_is_missing_has_no_line_and_stands_last(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace("tcp-port = 443\n", ""))
    assert check(str(file)) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"{file}: error: tcp-port is missing; write tcp-port = 443"


def test_a_warning_alone_is_nothing_wrong(file: Path) -> None:
    add(file, "nonsense = 1\n")
    assert check(str(file)) == 0


def test_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(file, "dpd = 5m\n")
    assert check("--json", str(file)) == 0
    assert json.loads(capsys.readouterr().out)[-1] == {
        "kind": "difference",
        "file": str(file),
        "line": 11,
        "text": "the C server reads '5m' as 5; 300 means the same to both",
        "option": "dpd",
    }


def test_an_option_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--explain", "rekey-method") == 0
    assert capsys.readouterr().out.startswith("rekey-method = ssl or new-tunnel\n\nHow keys are renewed: ")


def test_an_option_that_is_not_there_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--explain", "rekey-methd") == 1
    assert capsys.readouterr().err == "ocserv: the option 'rekey-methd' is unknown, did you mean 'rekey-method'?\n"


def test_a_file_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("/nowhere/o.conf") == 1
    assert capsys.readouterr().err == "ocserv: cannot read '/nowhere/o.conf': No such file or directory\n"


@pytest.mark.parametrize("words", [[], ["--explain", "dpd", "o.conf"]])
def test_one_of_both_is_to_be_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check(*words)
    assert "usage: ocserv config check" in capsys.readouterr().err
