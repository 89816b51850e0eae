"""A sibling starts with what it was given and nothing else; a process sets what the kernel knows of it."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ocserv_core.errors import StartError, SystemFailure
from ocserv_core.system import libc, process

from .forked import REPORT, in_child, needs_root, refusal


def run_sibling(
    code: str,
    fds: dict[str, int] | None = None,
    environment: dict[str, str] | None = None,
    inherit: Callable[[str], bool] = process.all_but_systemds,
) -> str:
    """What `code` wrote to descriptor `out` in a sibling. timeit stands for a module of ours: it runs a text."""
    reader, writer = os.pipe()
    given = {"out": writer, **(fds or {})}
    timeit = ["-n1", "-r1", code]
    child = process.spawn_module("timeit", given, environment=environment, inherit=inherit, arguments=timeit)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(child.pid, 0)
    return answer


def telling(expression: str) -> str:
    """Code that writes the expression's text to the descriptor `out`."""
    find = "out = int(os.environ['OCSERV_STATE'].split('out=')[1].split()[0])"
    return f"import os; {find}; os.write(out, str({expression}).encode())"


class TestSpawnModule:
    def test_the_state_names_parent_and_descriptors(self) -> None:
        reader, writer = os.pipe()
        try:
            state = run_sibling(telling("os.environ['OCSERV_STATE']"), {"main": reader})
        finally:
            os.close(reader)
            os.close(writer)
        assert state.startswith(f"parent={os.getpid()} out=")
        assert state.endswith(f" main={reader}")

    def test_what_it_was_not_given_is_closed(self) -> None:
        secret = os.open("/dev/null", os.O_RDONLY)
        try:
            seen = run_sibling(telling("sorted(os.listdir('/proc/self/fd'))"))
        finally:
            os.close(secret)
        assert f"'{secret}'" not in seen

    def test_its_python_ignores_folder_and_environment(self) -> None:
        assert run_sibling("import sys;" + telling("sys.flags.isolated")) == "1"

    def test_the_environment_is_added_to(self) -> None:
        assert run_sibling(telling("os.environ['OCSERV_LOG']"), environment={"OCSERV_LOG": "3"}) == "3"

    def test_a_trusted_one_gets_what_root_was_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KRB5_CONFIG", "/etc/krb5.test")
        assert run_sibling(telling("os.environ.get('KRB5_CONFIG')")) == "/etc/krb5.test"

    def test_another_gets_its_language_and_its_time_and_what_it_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PATH", "LANG", "LC_TIME", "TZ", "SSLKEYLOGFILE", "PYTHONPATH", "AWS_SECRET"):
            monkeypatch.setenv(name, "x")
        names = run_sibling(telling("sorted(os.environ)"), environment={"OCSERV_LOG": "3"}, inherit=process.plain)
        assert set(eval(names)) - {"LC_CTYPE"} == {"PATH", "LANG", "LC_TIME", "TZ", "OCSERV_LOG", "OCSERV_STATE"}

    def test_its_session_is_its_own(self) -> None:
        assert run_sibling(telling("os.getsid(0) == os.getpid()")) == "True"

    def test_it_cannot_speak_to_systemd_in_our_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
        assert run_sibling(telling("os.environ.get('NOTIFY_SOCKET')")) == "None"

    def test_signals_are_at_their_defaults(self) -> None:
        def spawn() -> Any:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            look = "[l for l in open('/proc/self/status') if l.startswith(('SigBlk', 'SigIgn'))]"
            return run_sibling(telling(f"[int(l.split()[1], 16) for l in {look}]"))

        blocked, ignored = eval(in_child(spawn))
        assert blocked == 0
        assert not ignored & 1 << (signal.SIGHUP - 1)

    def test_our_copies_stay_ours(self) -> None:
        reader, writer = os.pipe()
        run_sibling(telling("1"), {"main": reader})
        assert not os.get_inheritable(reader)
        os.close(reader)
        os.close(writer)

    def test_a_python_that_is_gone_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.executable", "/nonexistent/python")
        with pytest.raises(SystemFailure, match="cannot start timeit: No such file"):
            process.spawn_module("timeit", {})


class TestReadStateEnv:
    def test_descriptors_by_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reader, writer = os.pipe()
        os.set_inheritable(reader, True)
        monkeypatch.setenv("OCSERV_STATE", f"parent=1 main={reader} page={writer}")
        assert process.read_state_env() == process.Inherited(1, {"main": reader, "page": writer})
        assert not os.get_inheritable(reader)
        os.close(reader)
        os.close(writer)

    def test_is_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OCSERV_STATE", "parent=1")
        process.read_state_env()
        assert "OCSERV_STATE" not in os.environ

    @pytest.mark.parametrize("state", ["", "main=3", "parent=x", "parent=1 main=", "parent=1 main=9999"])
    def test_anything_else_was_started_by_hand(self, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OCSERV_STATE", state)
        with pytest.raises(StartError, match="not by hand"):
            process.read_state_env()


class TestDeaths:
    def test_the_parents_death_is_a_signal(self) -> None:
        """A grandchild that asked for it ends when the child does."""
        reader, writer = os.pipe()

        def leave_a_grandchild() -> int:
            child = os.getpid()
            pid = os.fork()
            if pid == 0:
                os.close(REPORT)
                process.set_parent_death_signal(signal.SIGKILL, child)
                os.write(writer, b"ready")
                signal.pause()
            os.read(reader, 5)
            return pid

        in_child(leave_a_grandchild)
        os.close(writer)
        assert os.read(reader, 1) == b""  # its copy of the pipe is closed: it is dead
        os.close(reader)

    def test_a_parent_that_is_dead_already_is_noticed(self) -> None:
        def ask_too_late() -> Any:
            signal.signal(signal.SIGUSR1, lambda number, frame: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            process.set_parent_death_signal(signal.SIGUSR1, parent=1 << 22)
            return signal.SIGUSR1 in signal.sigpending()

        assert in_child(ask_too_late)

    def test_a_subreaper_gets_orphans(self) -> None:
        def adopt() -> Any:
            process.set_child_subreaper()
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                grandchild = os.fork()
                if grandchild:
                    os.write(writer, str(grandchild).encode())
                os._exit(0)
            os.waitpid(child, 0)
            orphan = int(os.read(reader, 20))
            return os.waitpid(orphan, 0)[0] == orphan

        assert in_child(adopt)


class TestLimits:
    def test_both_limits_are_set(self) -> None:
        def limit() -> Any:
            process.set_limit(resource.RLIMIT_CORE, 0)
            return resource.getrlimit(resource.RLIMIT_CORE)

        assert in_child(limit) == [0, 0]

    def test_never_above_the_hard_limit(self) -> None:
        def limit() -> Any:
            resource.setrlimit(resource.RLIMIT_NOFILE, (20, 30))
            process.set_limit(resource.RLIMIT_NOFILE, 64)
            return resource.getrlimit(resource.RLIMIT_NOFILE)

        assert in_child(limit) == [30, 30]

    @pytest.mark.skipif(not libc.read_capabilities() >> 24 & 1, reason="needs CAP_SYS_RESOURCE")
    def test_root_may_have_more_descriptors(self) -> None:
        def limit() -> Any:
            resource.setrlimit(resource.RLIMIT_NOFILE, (80, 90))
            return [process.raise_descriptor_limit(200), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]

        assert in_child(limit) == [200, 200]

    def test_others_get_what_the_hard_limit_allows(self) -> None:
        def limit() -> Any:
            resource.setrlimit(resource.RLIMIT_NOFILE, (80, 90))
            libc.clear_capabilities()
            return [process.raise_descriptor_limit(200), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]

        assert in_child(limit) == [90, 90]

    def test_enough_descriptors_are_left_as_they_are(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        process.raise_descriptor_limit(1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_every_other_descriptor_is_closed() -> None:
    def close() -> Any:
        low, high = os.open("/dev/null", os.O_RDONLY), os.dup2(os.open("/dev/null", os.O_RDONLY), 57)
        process.close_all_fds_but([REPORT, high])
        return [fd for fd in range(200) if not refusal(lambda fd=fd: os.fstat(fd))] + [low < high]  # type: ignore[misc]  # bound early

    assert in_child(close) == [57, REPORT, True]


@pytest.mark.parametrize("kept", [[0, REPORT], [0, 1, 2, REPORT], [REPORT, REPORT + 1]])
def test_neighbours_are_kept_together(kept: list[int]) -> None:
    def close() -> Any:
        os.dup2(REPORT, REPORT + 1)
        process.close_all_fds_but(kept)
        return [fd for fd in range(200) if not refusal(lambda fd=fd: os.fstat(fd))]  # type: ignore[misc]  # bound early

    assert in_child(close) == kept


def test_the_title_is_what_ps_shows() -> None:
    def title() -> Any:
        process.set_title("ocserv-main")
        with open("/proc/self/cmdline", encoding="utf-8") as file:
            return file.read().strip("\0")

    assert in_child(title) == "ocserv-main"


def test_not_dumpable() -> None:
    def look() -> Any:
        process.set_not_dumpable()
        return libc.prctl(3)  # PR_GET_DUMPABLE

    assert in_child(look) == 0


def test_dumpable_where_main_was_started_traceable(monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> Any:
        process.set_not_dumpable()
        return libc.prctl(3)  # PR_GET_DUMPABLE

    monkeypatch.setenv(process.TRACEABLE_VARIABLE, "1")
    assert in_child(look) == 1


@needs_root
def test_the_oom_score_of_another_process() -> None:
    def look() -> Any:
        child = os.fork()
        if child == 0:
            os.close(REPORT)
            signal.pause()
            os._exit(0)
        process.set_oom_score(700, child)
        with open(f"/proc/{child}/oom_score_adj", encoding="ascii") as file:
            score = file.read().strip()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return score

    assert in_child(look) == "700"


def test_the_oom_score_of_nobody_is_said() -> None:
    with pytest.raises(SystemFailure, match="cannot set the OOM score of 4194305"):
        process.set_oom_score(700, 4194305)


def test_the_parent_of_a_process_whatever_it_is_called() -> None:
    renamed = "open('/proc/self/comm', 'w').write(') S 1 ('); print('renamed', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", renamed], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "renamed\n"
        assert process.parent_of(child.pid) == os.getpid()
        child.kill()
    with pytest.raises(ProcessLookupError):
        process.parent_of(child.pid)


def test_a_light_fork_is_a_fork_with_a_chance_of_its_own() -> None:
    def numbers() -> list[int]:
        reader, writer = os.pipe()
        pid = process.fork_light()
        if pid == 0:
            os.write(writer, str(random.getrandbits(62)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        return [int(os.read(reader, 100)), random.getrandbits(62)]

    child, parent = in_child(numbers)
    assert child != parent
