from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from ocserv_core.cli import occtl
from ocserv_core.ipc import control

from .conftest import ALICE, STATUS, FakeServer


@pytest.mark.parametrize("option", ["-s", "--s", "--socket-file"])
def test_the_socket_is_named_by_an_option(server: FakeServer, capsys: pytest.CaptureFixture[str], option: str) -> None:
    server.replies = [control.Done(ok=True)]
    assert occtl.main([option, server.path, "reload"]) == 0
    assert capsys.readouterr().out == "Server scheduled to reload\n"


@pytest.mark.parametrize("option", ["-j", "--j", "--json"])
def test_json_is_chosen_by_an_option(server: FakeServer, capsys: pytest.CaptureFixture[str], option: str) -> None:
    server.replies = [control.UserTable(())]
    assert occtl.main([option, "-n", "-s", server.path, "show", "users"]) == 0
    assert capsys.readouterr().out == "[\n]\n"


def test_debug_shows_more(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [STATUS]
    occtl.main(["--debug", "-s", server.path, "show", "status"])
    assert "\tTLS DB entries: 6\n" in capsys.readouterr().out


def test_json_alone_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert (occtl.main(["-j"]), capsys.readouterr()) == (1, ("", ""))


def test_the_version_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert occtl.main(["-v"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err.startswith("occtl of ocserv-core ")) == ("", True)


@pytest.mark.parametrize("option", ["-h", "--help", "-x", "--unknown", "-d", "-s"])
def test_whatever_else_begins_with_a_dash_prints_usage(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert occtl.main([option]) == 0
    assert "Available Commands\n" in capsys.readouterr().out


def test_options_end_where_the_command_begins(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [control.UserTable(())]
    assert occtl.main(["-s", server.path, "show", "user", "-j"]) == 2
    assert server.asked == [control.ShowUser("-j")]
    assert capsys.readouterr().out == "user or ID not found\n"


def test_the_prompt_reads_commands_until_exit(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies = [control.Done(ok=True), control.Done(ok=False)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("reload\nnonsense\n\ndisconnect user bob\nexit\nreload\n"))
    assert occtl.main(["-j", "-s", server.path]) == 0
    assert capsys.readouterr().out == "> Server scheduled to reload\n> > > could not disconnect user 'bob'\n> "


def test_the_prompt_ends_with_its_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert (occtl.main([]), capsys.readouterr().out) == (0, "> \n")


def _at_a_terminal(server: FakeServer, environment: dict[str, str]) -> str:
    """What occtl writes to a terminal when it is asked for the users."""
    leader, terminal = pty.openpty()
    try:
        occtl_ = (sys.executable, "-m", "ocserv_core.cli.occtl", "-s", server.path, "show", "users")
        clean = {name: value for name, value in os.environ.items() if name not in ("PAGER", "OCCTL_PAGER", "LESS")}
        subprocess.run(occtl_, stdout=terminal, env=clean | environment, check=True, timeout=30)
        return os.read(leader, 65536).decode()
    finally:
        os.close(leader)
        os.close(terminal)


def test_a_terminal_is_paged(server: FakeServer) -> None:
    server.replies = [control.UserTable((ALICE,))]
    assert "PAGED" in _at_a_terminal(server, {"OCCTL_PAGER": "sed s/alice/PAGED/", "PAGER": "false"})


@pytest.mark.parametrize("environment", [{"OCCTL_PAGER": "", "PAGER": "sed s/alice/PAGED/"}, {"PAGER": "/nonexistent"}])
def test_a_terminal_without_a_pager(server: FakeServer, environment: dict[str, str]) -> None:
    server.replies = [control.UserTable((ALICE,))]
    assert "alice" in _at_a_terminal(server, environment)
