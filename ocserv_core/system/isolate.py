"""What a nursery, a worker and a signer do to themselves, and can never undo.

`enter_nursery` is called once, after the code and the configuration are loaded and before the first fork;
`enter_worker` by each forked worker before it reads a byte of its client. Every step that is asked for is
verified; one that fails ends the process by StartError or SystemFailure, never by going on with less.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import resource
import signal
from collections.abc import Iterable, Iterator

from ..errors import StartError, SystemFailure
from . import landlock, libc, process

_MEMORY_ALLOWANCE = 64 * 1024 * 1024
"""limit-worker-memory: what a worker may allocate beyond what its nursery had."""

_WORKER_LIMITS = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_NOFILE, 64))

_EMPTY_MOUNT = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC | libc.MS_RDONLY
# EPERM: no CAP_SYS_ADMIN in this container; EINVAL: the root is the initramfs, which cannot be pivoted.
_NO_NAMESPACE = frozenset((errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOSPC))


def resolve_user(user: str | None, group: str | None) -> tuple[int, int]:
    """uid and gid of run-as-user and run-as-group (names or numbers); unset: nobody, and its group.

    Raises StartError for an unknown name, and for root.
    """
    uid, primary = _look_up_user(user or "nobody")
    gid = primary if group is None else _look_up_group(group)
    if uid == 0 or gid == 0:
        raise StartError("run-as-user and run-as-group: workers are never run as root")
    return uid, gid


def _look_up_user(name: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise StartError(f"run-as-user: there is no user {name}") from None
    return entry.pw_uid, entry.pw_gid


def _look_up_group(name: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StartError(f"run-as-group: there is no group {name}") from None


def check_chroot_dir(path: str) -> None:
    """chroot-dir; "" where there is none. StartError."""
    if path and not os.path.isdir(path):
        raise StartError(f"chroot-dir = {path}: there is no such folder")
    if path and os.path.samefile(path, "/"):
        raise StartError(f"chroot-dir = {path}: that is everything; name a folder of its own, or leave it out")


def enter_nursery(uid: int, gid: int, root: str, *, empty: bool = True) -> int:
    """Give up root, the file system and the network, for this process and all that it forks.

    root: the folder that becomes the root; an empty one of root's, over which the empty file system is mounted, or
    with its files (not `empty`: chroot-dir), of which nothing can be written or run then. Returns the bytes of data
    that this process has now, the baseline of its workers' memory limit. Raises StartError.
    """
    baseline = data_bytes()
    death_signal, parent = libc.read_parent_death_signal(), os.getppid()
    process.set_oom_score(1000)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    with _named("leave the file system"):
        _leave_file_system(root, empty=empty)
    with _named("give up root"):
        _become(uid, gid)
    _verify_powerless(uid, gid)
    if empty and _sees_files():
        raise StartError("a worker process still sees files")
    _let_go_of_terminal(null)
    if death_signal:
        # The kernel forgets it when credentials change (prctl(2), PR_SET_PDEATHSIG).
        process.set_parent_death_signal(signal.Signals(death_signal), parent)
    return baseline


def _let_go_of_terminal(null: int) -> None:
    """What stderr is, root's terminal or root's file, is no less root's for being open here."""
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)


@contextlib.contextmanager
def _named(step: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartError(f"a worker process cannot {step}: {error.strerror}") from error


def _leave_file_system(root: str, *, empty: bool) -> None:
    """A read-only root in a mount namespace; chroot to the folder where there is no namespace."""
    try:
        libc.unshare(libc.CLONE_NEWNS | libc.CLONE_NEWNET | libc.CLONE_NEWIPC)
        libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)
        if empty:
            libc.mount("none", root, "tmpfs", _EMPTY_MOUNT, "size=4k,nr_inodes=2,mode=0555")
        else:
            # Without MS_REC: what is mounted below it stays outside. The kernel takes the restrictions only afterwards.
            libc.mount(root, root, "", libc.MS_BIND)
            libc.mount("none", root, "", libc.MS_REMOUNT | libc.MS_BIND | _EMPTY_MOUNT)
        os.chdir(root)
        # pivot_root(2): both names may be the same; the old root is then stacked on the new one and detached.
        libc.pivot_root(".", ".")
        libc.detach(".")
    except OSError as error:
        if error.errno not in _NO_NAMESPACE:
            raise
        os.chroot(root)
    os.chdir("/")


def _become(uid: int, gid: int) -> None:
    """The order matters: each step needs a privilege that the next one takes away."""
    _drop_bounding_set()
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    libc.clear_capabilities()
    process.set_no_new_privs()
    process.set_not_dumpable()


def _drop_bounding_set() -> None:
    for capability in range(64):
        try:
            libc.prctl(libc.PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # past the last capability of this kernel
            raise


def _verify_powerless(uid: int, gid: int) -> None:
    """Believe no return value: look at what this process is now, and that the way back is closed."""
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3 or os.getgroups():
        raise StartError("a worker process kept an identity that it gave up")
    if libc.read_capabilities():
        raise StartError("a worker process kept capabilities")
    with contextlib.suppress(PermissionError):
        os.setresuid(0, 0, 0)
        raise StartError("a worker process can become root again")


def _sees_files() -> bool:
    try:
        return bool(os.listdir("/"))
    except PermissionError:
        return False  # a chroot to a folder that is root's alone


def enter_signer(parent: int, *, alone: bool) -> None:
    """Give up the terminal and every way to a privilege; what only those need that have more to do than to compute,
    too, where `alone`: the network, files, root's capabilities. parent: whose death is this process's. Raises
    StartError."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        process.set_no_new_privs()
        if alone:
            _leave_network()
            if libc.read_capabilities():
                _drop_bounding_set()
                libc.clear_capabilities()
            landlock.deny_all()
    except OSError as error:
        raise StartError(f"a signer cannot be isolated: {error.strerror}") from error
    _let_go_of_terminal(null)
    process.set_not_dumpable()
    process.set_parent_death_signal(signal.SIGKILL, parent)


def _leave_network() -> None:
    try:
        libc.unshare(libc.CLONE_NEWNET | libc.CLONE_NEWIPC)
    except OSError as error:
        if error.errno not in _NO_NAMESPACE:
            raise


def data_bytes() -> int:
    """The data of this process that RLIMIT_DATA counts (VmData), in bytes."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        sizes = (line.split()[1] for line in file if line.startswith("VmData:"))
        return int(next(sizes, "0")) * 1024


def enter_worker(keep_fds: Iterable[int], *, memory_baseline: int | None = None, isolate: bool = True) -> None:
    """Close every other descriptor, and take the limits that hold for the rest of this worker's life.

    The standard three stay taken, by the nursery's /dev/null: what would write to them must never find a tunnel
    there. memory_baseline: what `enter_nursery` returned, where limit-worker-memory is on. isolate: the option
    isolate-workers; where the kernel has Landlock, the worker opens nothing and signals nobody any more.
    Raises SystemFailure.
    """
    process.close_all_fds_but({*keep_fds, 0, 1, 2})
    try:
        for which, value in _WORKER_LIMITS:
            process.set_limit(which, value)
        if memory_baseline is not None:
            process.set_limit(resource.RLIMIT_DATA, memory_baseline + _MEMORY_ALLOWANCE)
        process.set_no_new_privs()
        process.set_not_dumpable()
        if isolate:
            landlock.deny_all()
    except OSError as error:
        raise SystemFailure(f"a worker cannot be limited: {error.strerror}") from error
