"""A daemon's command ends when the server is ready, and says why where it never is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ocserv_core.errors import StartError
from ocserv_core.system.daemon import PidFile, in_foreground, sd_notify

from .forked import in_child

ROOT = Path(__file__).parents[2]


def run_daemon(then: str, tmp_path: Path, options: str = "") -> subprocess.CompletedProcess[str]:
    """A program that goes to the background and then does `then` with `report`."""
    program = f"""
import os, sys
from ocserv_core.system.daemon import daemonize
before = os.getpid()
report = daemonize({options})
{then}
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OUT": str(tmp_path / "out")}
    return subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, timeout=30, env=environment, check=False
    )


class TestDaemonize:
    def test_the_command_ends_well_when_the_server_is_ready(self, tmp_path: Path) -> None:
        done = run_daemon("report.ready()", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_command_tells_why_the_server_is_not(self, tmp_path: Path) -> None:
        done = run_daemon("report.failed('ocserv: port 443 is in use')", tmp_path)
        assert (done.returncode, done.stderr) == (1, "ocserv: port 443 is in use\n")

    def test_a_server_that_dies_without_a_word_is_a_failure(self, tmp_path: Path) -> None:
        done = run_daemon("os._exit(7)", tmp_path)
        assert done.returncode == 1
        assert "ended before it was ready" in done.stderr

    def test_the_server_leads_its_own_session_in_the_root(self, tmp_path: Path) -> None:
        tell = "open(os.environ['OUT'], 'w').write(f'{os.getsid(0) == os.getpid() != before} {os.getcwd()}')"
        run_daemon(f"{tell}; report.ready()", tmp_path)
        assert (tmp_path / "out").read_text() == "True /"

    def test_the_folder_may_stay(self, tmp_path: Path) -> None:
        run_daemon(
            "open(os.environ['OUT'], 'w').write(os.getcwd()); report.ready()", tmp_path, "change_directory=False"
        )
        assert (tmp_path / "out").read_text() == os.getcwd()

    def test_the_terminal_is_left(self, tmp_path: Path) -> None:
        names = "[os.readlink(f'/proc/self/fd/{n}') for n in range(3)]"
        run_daemon(f"open(os.environ['OUT'], 'w').write(str({names})); report.ready()", tmp_path)
        assert (tmp_path / "out").read_text() == str(["/dev/null"] * 3)

    def test_stderr_may_stay(self, tmp_path: Path) -> None:
        done = run_daemon("print('a log line', file=sys.stderr); report.ready()", tmp_path, "keep_stderr=True")
        assert done.stderr == "a log line\n"

    def test_in_the_foreground_the_report_is_nobodys(self) -> None:
        in_foreground().ready()


class TestPidFile:
    def test_holds_digits_without_a_newline(self, tmp_path: Path) -> None:
        PidFile(str(tmp_path / "pid"))
        assert (tmp_path / "pid").read_text() == str(os.getpid())

    def test_is_removed_at_the_end(self, tmp_path: Path) -> None:
        PidFile(str(tmp_path / "pid")).remove()
        assert not (tmp_path / "pid").exists()

    def test_another_servers_is_left(self, tmp_path: Path) -> None:
        mine = PidFile(str(tmp_path / "pid"))
        (tmp_path / "pid").write_text("1")
        mine.remove()
        assert (tmp_path / "pid").read_text() == "1"

    def test_a_child_does_not_remove_it(self, tmp_path: Path) -> None:
        mine = PidFile(str(tmp_path / "pid"))
        in_child(mine.remove)
        assert (tmp_path / "pid").exists()

    def test_one_that_is_gone_already_is_no_error(self, tmp_path: Path) -> None:
        mine = PidFile(str(tmp_path / "pid"))
        (tmp_path / "pid").unlink()
        mine.remove()

    def test_one_that_cannot_be_written_is(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match=r"pid-file .*: No such file or directory"):
            PidFile(str(tmp_path / "nowhere" / "pid"))


class TestSdNotify:
    def listen(self, address: str) -> Any:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(address)
        listener.settimeout(5)
        return listener

    def test_by_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with self.listen(str(tmp_path / "notify")) as systemd:
            assert sd_notify("READY=1")
            assert systemd.recv(100) == b"READY=1"

    def test_by_abstract_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = f"ocserv-test-{os.getpid()}"
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        with self.listen(f"\0{name}") as systemd:
            assert sd_notify("STOPPING=1")
            assert systemd.recv(100) == b"STOPPING=1"

    @pytest.mark.parametrize("address", ["", "relative", "/nonexistent/notify"])
    def test_nobody_listens(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert not sd_notify("READY=1")
