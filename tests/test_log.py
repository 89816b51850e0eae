"""One line an event, from whom, and not from everybody."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocserv_core import log
from ocserv_core.log import (
    HTTP,
    LEVELS,
    LOG_VARIABLE,
    NOTICE,
    SENSITIVE,
    TLS,
    TRANSFER,
    LogTarget,
    Prefix,
    open_log,
    send_log,
    threshold,
    write_for,
)

OURS = logging.getLogger("ocserv_core.test")
STRANGER = logging.getLogger("some_library")


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("level", "lowest"),
    [
        (0, NOTICE),
        (1, NOTICE),
        (2, logging.INFO),
        (3, logging.DEBUG),
        (4, HTTP),
        (5, TRANSFER),
        (7, TRANSFER),
        (8, SENSITIVE),
        (9, TLS),
    ],
)
def test_each_log_level_has_its_lowest(level: int, lowest: int) -> None:
    assert threshold(level) == lowest


def test_errors_and_notices_are_written_at_level_0(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget(level=0))
    OURS.error("an error")
    OURS.log(NOTICE, "a notice")
    OURS.info("no more")
    assert lines(capsys) == ["ocserv-main: an error", "ocserv-main: a notice"]


def test_a_line_names_process_user_and_client(capsys: pytest.CaptureFixture[str]) -> None:
    prefix = open_log("main", LogTarget())
    prefix.user, prefix.client = "alice", "192.0.2.7"
    OURS.warning("hello")
    assert lines(capsys) == ["ocserv-main[alice]: 192.0.2.7 hello"]


def test_an_event_is_one_line_whatever_a_client_sends(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget())
    OURS.warning("user '%s'", "a\nocserv-main: forged\r\x1b[31m\t\u2028\x85b")
    assert lines(capsys) == ["ocserv-main: user 'a | ocserv-main: forged??[31m ??b'"]


def test_a_traceback_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget())
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        OURS.exception("it failed")
    (line,) = lines(capsys)
    assert line.startswith("ocserv-main: it failed | Traceback")
    assert line.endswith("RuntimeError: a bug")


def test_of_libraries_only_warnings_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget(level=9))
    STRANGER.debug("what it was given")
    STRANGER.warning("a warning")
    OURS.debug("ours")
    logging.getLogger("ocserv_auth_pam").debug("a plugin's")
    assert lines(capsys) == ["ocserv-main: a warning", "ocserv-main: ours", "ocserv-main: a plugin's"]


@pytest.mark.parametrize("target", [LogTarget(), LogTarget(9, False, "daemon"), LogTarget(0, True, "local3")])
def test_siblings_log_where_main_does(target: LogTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in target.environment().items():
        monkeypatch.setenv(name, value)
    assert LogTarget.of_environment() == target
    assert LOG_VARIABLE not in os.environ


def test_who_was_told_nothing_logs_to_stderr() -> None:
    assert LogTarget.of_environment() == LogTarget(2, True, "")


def test_without_syslog_the_log_goes_to_stderr_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_facility: str) -> logging.Handler:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(log, "_syslog", fail)
    open_log("main", LogTarget(facility="daemon"))
    OURS.warning("hello")
    assert lines(capsys) == [
        "ocserv: no syslog (No such file or directory), the log goes to stderr",
        "ocserv-main: hello",
    ]


def test_main_writes_for_a_process_in_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget())
    speaker = Prefix("worker")
    speaker.user, speaker.client = "alice", "192.0.2.7"
    write_for(speaker, logging.INFO, "100% hello\nocserv-main: forged")
    OURS.warning("main's own")
    assert lines(capsys) == [
        "ocserv-worker[alice]: 192.0.2.7 100% hello | ocserv-main: forged",
        "ocserv-main: main's own",
    ]


def test_what_is_not_wanted_is_not_written_for_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget(level=0))
    write_for(Prefix("worker"), logging.INFO, "hello")
    assert lines(capsys) == []


def test_who_holds_no_log_hands_over_whole_lines(capfd: pytest.CaptureFixture[str]) -> None:
    sent: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: sent.append(handler.format(record))  # type: ignore[method-assign]  # a fake
    send_log(handler, LogTarget())
    OURS.info("hello\nyou")
    OURS.debug("not at this level")
    STRANGER.info("not of ours")
    assert (sent, capfd.readouterr().err) == (["hello | you"], "")


def test_every_name_of_a_level_is_among_the_levels() -> None:
    names = {NOTICE, HTTP, TRANSFER, SENSITIVE, TLS, logging.DEBUG, logging.INFO}
    assert set(LEVELS) == names | {logging.WARNING, logging.ERROR, logging.CRITICAL}
    assert list(LEVELS) == sorted(LEVELS)


def test_syslog_hears_the_pid_as_the_c_server_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "log")
    monkeypatch.setattr(log, "SYSLOG", address)
    before = logging.getLogger().handlers[:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(address)
        try:
            log.open_log("main", LogTarget(stderr=False, facility="daemon"))
            logging.getLogger("ocserv_core").warning("hello")
            heard = syslog.recv(1000).rstrip(b"\0")
        finally:
            logging.getLogger().handlers[:] = before
    assert heard == f"<28>ocserv[{os.getpid()}]: ocserv-main: hello".encode()
