"""A nursery and a worker try what they must not be able to do any more."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from ocserv_core.errors import StartError
from ocserv_core.system import isolate, landlock, libc, process

from .forked import REPORT, in_child, needs_root, refusal

UID, GID = 65534, 65534


def nursery(root: Path) -> int:
    return isolate.enter_nursery(UID, GID, str(root))


def worker(root: Path) -> None:
    """Both steps, with only the pipe of the test's report kept."""
    baseline = nursery(root)
    isolate.enter_worker([REPORT], memory_baseline=baseline)


@needs_root
class TestNursery:
    def test_is_the_unprivileged_user_alone(self, tmp_path: Path) -> None:
        def look() -> Any:
            nursery(tmp_path)
            return [os.getresuid(), os.getresgid(), os.getgroups(), libc.read_capabilities()]

        assert in_child(look) == [[UID] * 3, [GID] * 3, [], 0]

    def test_sees_no_file(self, tmp_path: Path) -> None:
        def look() -> Any:
            nursery(tmp_path)
            return [os.listdir("/"), refusal(lambda: os.open("/etc/passwd", os.O_RDONLY)), os.getcwd()]

        assert in_child(look) == [[], "FileNotFoundError", "/"]

    def test_sees_the_files_of_a_folder_that_is_named_and_changes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "note").write_text("here")
        (tmp_path / "note").chmod(0o666)
        tmp_path.chmod(0o777)

        def look() -> Any:
            isolate.enter_nursery(UID, GID, str(tmp_path), empty=False)
            return [
                os.listdir("/"),
                refusal(lambda: os.open("/note", os.O_WRONLY)),
                refusal(lambda: os.open("/new", os.O_WRONLY | os.O_CREAT)),
                refusal(lambda: os.open("/etc/passwd", os.O_RDONLY)),
                refusal(lambda: os.chroot("/")),
            ]

        assert in_child(look) == [["note"], "OSError", "OSError", "FileNotFoundError", "PermissionError"]

    def test_makes_no_file(self, tmp_path: Path) -> None:
        def write() -> Any:
            nursery(tmp_path)
            return refusal(lambda: os.open("/x", os.O_WRONLY | os.O_CREAT))

        assert in_child(write) in ("OSError", "PermissionError")

    def test_does_not_become_root_again(self, tmp_path: Path) -> None:
        def climb() -> Any:
            nursery(tmp_path)
            return [refusal(lambda: os.setuid(0)), refusal(lambda: os.setgid(0)), refusal(lambda: os.setgroups([0]))]

        assert in_child(climb) == ["PermissionError"] * 3

    def test_mounts_nothing(self, tmp_path: Path) -> None:
        def mount() -> Any:
            nursery(tmp_path)
            return [
                refusal(lambda: libc.mount("none", "/", "tmpfs", 0)),
                refusal(lambda: libc.mount("proc", "/", "proc", 0)),
                refusal(lambda: os.chroot("/")),
            ]

        assert in_child(mount) == ["PermissionError"] * 3

    def test_reaches_no_server_on_this_machine(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()

            def call() -> Any:
                nursery(tmp_path)
                with socket.socket() as caller:
                    return refusal(lambda: caller.connect(address))

            assert in_child(call) == "OSError"  # network unreachable: its loopback is another one, and down

    def test_does_not_read_the_memory_of_its_parent(self, tmp_path: Path) -> None:
        secret = ctypes.create_string_buffer(b"a private key")

        def read() -> Any:
            nursery(tmp_path)
            return read_memory(os.getppid(), ctypes.addressof(secret))

        assert in_child(read) == "PermissionError"

    def test_never_gets_a_privilege_by_exec(self, tmp_path: Path) -> None:
        def look() -> Any:
            nursery(tmp_path)
            get_no_new_privs, get_dumpable = 39, 3
            return [libc.prctl(get_no_new_privs), libc.prctl(get_dumpable)]

        assert in_child(look) == [1, 0]

    def test_still_dies_with_its_parent(self, tmp_path: Path) -> None:
        def look() -> Any:
            process.set_parent_death_signal(signal.SIGKILL, os.getppid())
            nursery(tmp_path)
            return libc.read_parent_death_signal()

        assert in_child(look) == signal.SIGKILL

    def test_is_the_first_to_go_when_memory_runs_out(self, tmp_path: Path) -> None:
        def look() -> Any:
            score = os.open("/proc/self/oom_score_adj", os.O_RDONLY)
            nursery(tmp_path)
            return os.read(score, 10).decode().strip()

        assert in_child(look) == "1000"

    def test_takes_the_empty_folder_where_namespaces_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_namespace(flags: int) -> None:
            raise PermissionError(1, "Operation not permitted")

        def look() -> Any:
            nursery(tmp_path)
            return [refusal(lambda: os.listdir("/")), refusal(lambda: os.open("/x", os.O_WRONLY | os.O_CREAT))]

        monkeypatch.setattr(libc, "unshare", no_namespace)
        assert in_child(look) == ["PermissionError", "PermissionError"]

    def test_refuses_to_go_on_with_files_in_sight(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def nothing_happens(root: str, *, empty: bool) -> None:
            pass

        def enter() -> Any:
            with pytest.raises(StartError, match="still sees files"):
                nursery(tmp_path)

        monkeypatch.setattr(isolate, "_leave_file_system", nothing_happens)
        in_child(enter)

    def test_refuses_to_go_on_with_capabilities(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def enter() -> Any:
            with pytest.raises(StartError, match="kept"):
                nursery(tmp_path)

        monkeypatch.setattr(isolate, "_become", lambda uid, gid: None)
        in_child(enter)


@needs_root
class TestWorker:
    def test_forks_nothing(self, tmp_path: Path) -> None:
        def fork() -> Any:
            worker(tmp_path)
            return refusal(os.fork)

        assert in_child(fork) == "BlockingIOError"

    def test_has_only_the_descriptors_it_was_given(self, tmp_path: Path) -> None:
        def look() -> Any:
            mine, other = os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY)
            nursery(tmp_path)
            isolate.enter_worker([REPORT, mine])
            return [refusal(lambda: os.fstat(mine)), refusal(lambda: os.fstat(other))]

        assert in_child(look) == ["", "OSError"]

    def test_does_not_keep_the_terminal_or_file_that_stderr_was(self, tmp_path: Path) -> None:
        def look() -> Any:
            log = os.memfd_create("log")
            for fd in range(3):
                os.dup2(log, fd)
            nursery(tmp_path)
            isolate.enter_worker([REPORT, log])
            os.write(2, b"a forged line")
            return [os.fstat(log).st_size, refusal(lambda: os.ftruncate(2, 0))]

        assert in_child(look) == [0, "OSError"]

    def test_has_nothing_at_the_standard_three(self, tmp_path: Path) -> None:
        def look() -> Any:
            null = os.stat("/dev/null").st_rdev
            nursery(tmp_path)
            isolate.enter_worker([REPORT])
            return [os.fstat(fd).st_rdev == null for fd in range(3)]

        assert in_child(look) == [True, True, True]

    def test_writes_no_core(self, tmp_path: Path) -> None:
        def look() -> Any:
            worker(tmp_path)
            return [resource.getrlimit(which) for which in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)]

        assert in_child(look) == [[0, 0], [64, 64]]

    def test_allocates_no_more_than_its_allowance(self, tmp_path: Path) -> None:
        def allocate() -> Any:
            worker(tmp_path)
            small = bytearray(16 << 20)
            try:
                bytearray(100 << 20)
            except MemoryError:
                return len(small)

        assert in_child(allocate) == 16 << 20

    def test_does_not_raise_its_limits_again(self, tmp_path: Path) -> None:
        def climb() -> Any:
            worker(tmp_path)
            try:
                resource.setrlimit(resource.RLIMIT_NPROC, (10, 10))
            except ValueError as error:
                return str(error)

        assert "raise maximum limit" in in_child(climb)


LONELY = 61234
"""A uid that nothing else on this machine runs as: what a worker of it signals by mistake is this test's."""


def child_of_the_same_user() -> tuple[int, socket.socket]:
    """A process of that uid, which ends with the socket: its pid, and the socket."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.setresuid(LONELY, LONELY, LONELY)
        theirs.send(b"!")
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    ours.recv(1)
    return pid, ours


@needs_root
@pytest.mark.skipif(landlock.read_abi() < landlock.SIGNALS_SINCE, reason="needs Landlock ABI 6")
class TestWorkerUnderLandlock:
    def test_signals_no_process_of_its_own_user(self, tmp_path: Path) -> None:
        sibling, line = child_of_the_same_user()

        def kill() -> Any:
            isolate.enter_nursery(LONELY, GID, str(tmp_path))
            allowed_before = refusal(lambda: os.kill(sibling, 0))
            isolate.enter_worker([REPORT])
            # Which succeeds, as kill(2) does where nobody may be signalled.
            os.kill(-1, signal.SIGKILL)
            return [allowed_before, refusal(lambda: os.kill(sibling, signal.SIGKILL))]

        try:
            assert in_child(kill) == ["", "PermissionError"]
        finally:
            line.close()
            assert os.waitstatus_to_exitcode(os.waitpid(sibling, 0)[1]) == 0

    def test_signals_itself(self, tmp_path: Path) -> None:
        def kill() -> Any:
            worker(tmp_path)
            return refusal(lambda: os.kill(os.getpid(), 0))

        assert in_child(kill) == ""

    def test_opens_no_file_that_is_in_its_sight(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")

        def look() -> Any:
            isolate.enter_worker([REPORT])
            return [
                refusal(lambda: os.open(tmp_path / "file", os.O_RDONLY)),
                refusal(lambda: os.open("/dev/null", os.O_WRONLY)),
                refusal(lambda: os.mkdir(tmp_path / "folder")),
                refusal(lambda: os.listdir("/")),
            ]

        assert in_child(look) == ["PermissionError"] * 4

    def test_connects_nowhere(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
            named.bind("")
            named.listen()
            address, name = server.getsockname(), named.getsockname()

            def connect() -> Any:
                isolate.enter_worker([REPORT])
                with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as local, socket.socket() as own:
                    return [
                        refusal(lambda: tcp.connect(address)),
                        refusal(lambda: local.connect(name)),
                        refusal(lambda: own.bind(("127.0.0.1", 0))),
                    ]

            assert in_child(connect) == ["PermissionError"] * 3

    def test_still_uses_what_it_was_given(self, tmp_path: Path) -> None:
        ours, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def use() -> Any:
            baseline = nursery(tmp_path)
            isolate.enter_worker([REPORT, given.fileno()], memory_baseline=baseline)
            given.send(b"hello")

        with ours, given:
            in_child(use)
            assert ours.recv(10) == b"hello"


def read_memory(pid: int, address: int) -> str:
    """process_vm_readv(2) of 8 bytes; the name of what refused it."""

    class Span(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    own = ctypes.create_string_buffer(8)
    mine, theirs = Span(ctypes.addressof(own), 8), Span(address, 8)
    read = ctypes.CDLL(None, use_errno=True).process_vm_readv
    read.restype = ctypes.c_ssize_t
    got = read(pid, ctypes.byref(mine), ctypes.c_ulong(1), ctypes.byref(theirs), ctypes.c_ulong(1), ctypes.c_ulong(0))
    return "" if got >= 0 else type(OSError(ctypes.get_errno(), "refused")).__name__


class TestResolveUser:
    def test_nobody_where_nothing_is_set(self) -> None:
        uid, gid = isolate.resolve_user(None, None)
        assert uid > 0
        assert gid > 0

    def test_names_and_numbers(self) -> None:
        assert isolate.resolve_user("nobody", "1234") == (isolate.resolve_user("nobody", None)[0], 1234)

    @pytest.mark.parametrize(("user", "group"), [("root", None), ("nobody", "root"), ("nobody", "0")])
    def test_never_root(self, user: str, group: str | None) -> None:
        with pytest.raises(StartError, match="never run as root"):
            isolate.resolve_user(user, group)

    def test_an_unknown_user_is_named(self) -> None:
        with pytest.raises(StartError, match="no user mallory"):
            isolate.resolve_user("mallory", None)

    def test_an_unknown_group_is_named(self) -> None:
        with pytest.raises(StartError, match="no group mallory"):
            isolate.resolve_user("nobody", "mallory")
