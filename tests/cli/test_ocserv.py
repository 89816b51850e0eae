from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from ocserv_core.cli import ocserv, quickstart
from ocserv_core.config.launch import Launch
from ocserv_core.errors import StartError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Launch]]:
    """What main is asked to do; it exits with 7, or with 8 after a test of the configuration."""
    calls: list[tuple[str, Launch]] = []

    def run(launch: Launch) -> int:
        calls.append(("run", launch))
        return 7

    def test_config(launch: Launch) -> int:
        calls.append(("test", launch))
        return 8

    main = ModuleType("ocserv_core.main.server")
    vars(main).update(run=run, test_config=test_config)
    monkeypatch.setitem(sys.modules, "ocserv_core.main.server", main)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(ocserv, "SYSLOG_SOCKET", "/")  # what certainly exists
    return calls


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "ocserv.conf"
    file.touch()
    return str(file)


def test_a_plain_start_is_a_daemon_that_logs_to_syslog(started: list[tuple[str, Launch]], config: str) -> None:
    assert ocserv.main(["-c", config]) == 7
    assert started == [("run", Launch(config_file=config, syslog=True))]


def test_every_option_arrives(started: list[tuple[str, Launch]], config: str) -> None:
    words = "--foreground --debug=5 --pid-file=/run/p --no-chdir -x --log-stderr --syslog --syslog-facility=auth"
    ocserv.main([*words.split(), f"--config={config}"])
    assert started[0][1] == Launch(
        config_file=config,
        pid_file="/run/p",
        foreground=True,
        debug=5,
        log_stderr=True,
        syslog=True,
        syslog_facility="auth",
        no_chdir=True,
        traceable=True,
    )


def test_a_facility_that_syslog_does_not_know_is_told(
    started: list[tuple[str, Launch]], config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ocserv.main(["-c", config, "--syslog-facility=foo"]) == 1
    assert not started
    assert "--syslog-facility: 'foo' is not one of daemon, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "stderr", "syslog"),
    [([], False, True), (["--log-stderr"], True, False), (["-d", "1"], True, True), (["--syslog"], False, True)],
)
def test_where_the_log_goes(
    started: list[tuple[str, Launch]], config: str, words: list[str], stderr: bool, syslog: bool
) -> None:
    ocserv.main(["-c", config, *words])
    assert (started[0][1].log_stderr, started[0][1].syslog) == (stderr, syslog)


@pytest.mark.parametrize(("words", "code", "calls"), [([], 7, 1), (["--syslog"], 1, 0)])
def test_a_machine_without_syslog_logs_to_stderr_unless_syslog_was_asked_for(
    started: list[tuple[str, Launch]],
    config: str,
    words: list[str],
    code: int,
    calls: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ocserv, "SYSLOG_SOCKET", "/nonexistent")
    assert ocserv.main(["-c", config, *words]) == code
    assert [launch for _, launch in started] == [Launch(config_file=config, log_stderr=True)] * calls


def test_files_are_named_absolutely(
    started: list[tuple[str, Launch]], config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(config).parent)
    ocserv.main(["-c", "ocserv.conf", "-p", "pid"])
    assert (started[0][1].config_file, started[0][1].pid_file) == (config, str(Path(config).parent / "pid"))


def test_a_configuration_is_tested_by_anybody(
    started: list[tuple[str, Launch]], config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ocserv.main(["-t", "--strict", "-c", config]) == 8
    assert (started[0][0], started[0][1].strict) == ("test", True)


def test_only_root_starts_the_server(
    started: list[tuple[str, Launch]],
    config: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ocserv.main(["-f", "-c", config]) == 1
    assert (capsys.readouterr().err, started) == ("ocserv: only root can start the server\n", [])


def test_an_unknown_option_is_told_and_passed_over(
    started: list[tuple[str, Launch]], config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ocserv.main(["-e", "-c", config]) == 7
    assert capsys.readouterr().err == "ocserv: unrecognized option '-e'\n"


@pytest.mark.parametrize("words", [["extra"], ["-d", "x"], ["-c"], ["-c", "/nonexistent"], ["--quickstart", "-c", "x"]])
def test_a_wrong_command_line_is_one_line_and_1(
    started: list[tuple[str, Launch]], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ocserv.main(words) == 1
    assert (capsys.readouterr().err.count("\n"), started) == (1, [])


def test_an_error_of_main_is_one_line_and_its_exit_code(
    started: list[tuple[str, Launch]],
    config: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(_launch: Launch) -> int:
        raise StartError("port 443 is taken")

    monkeypatch.setattr(sys.modules["ocserv_core.main.server"], "run", run)
    assert (ocserv.main(["-c", config]), capsys.readouterr().err) == (1, "ocserv: port 443 is taken\n")


@pytest.mark.parametrize("option", ["-v", "--version"])
def test_the_version_names_what_is_installed(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ocserv.main([option]) == 0
    captured = capsys.readouterr()
    assert (captured.out, "ocserv-core" in captured.err, "AnyConnect" in captured.err) == ("", True, True)


@pytest.mark.parametrize(("words", "folder"), [([], "ocserv-quickstart"), (["here"], "here")])
def test_a_quickstart_serves_what_it_made(
    started: list[tuple[str, Launch]],
    words: list[str],
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = SimpleNamespace(config_file="/made/ocserv.conf", line=lambda: f"openconnect {folder}")
    monkeypatch.setattr(quickstart, "prepare", lambda name: made if name == folder else None)
    assert ocserv.main(["--quickstart", *words]) == 7
    greeting = f"openconnect {folder}"
    assert started[0][1] == Launch(config_file="/made/ocserv.conf", foreground=True, log_stderr=True, greeting=greeting)
