"""This process as the kernel sees it, and the starting of a sibling process.

Called by every process at its start; `spawn_module` by main, and by secmod for the hosts of back ends. A sibling is
started by exec of `python -I -m MODULE` and finds its descriptors through the environment variable OCSERV_STATE, so
nothing of the parent's memory comes with it.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..errors import StartError, SystemFailure
from . import libc

STATE_VARIABLE = "OCSERV_STATE"
"""`parent=PID name=FD name=FD …`: whose child this is, and what each descriptor is for."""

TRACEABLE_VARIABLE = "OCSERV_TRACEABLE"
"""Set by main for its siblings, and handed on by secmod, where the command line says --traceable."""

# They speak to the process that systemd started; a child that kept them would answer in main's name.
_NOT_INHERITED = frozenset(
    (
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        STATE_VARIABLE,
        TRACEABLE_VARIABLE,
    )
)

_PLAIN = frozenset(("PATH", "LANG", "TZ"))


def all_but_systemds(name: str) -> bool:
    """The environment of a sibling that is as trusted as main: a back end may need KRB5_CONFIG and the like."""
    return name not in _NOT_INHERITED


def plain(name: str) -> bool:
    """The environment of any other: what root was told is not for it, and SSLKEYLOGFILE would be obeyed."""
    return name in _PLAIN or name.startswith("LC_")


RESETTABLE = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
"""glibc keeps 32 and 33 for itself; posix_spawn refuses to reset what cannot be caught."""


@dataclasses.dataclass(frozen=True, slots=True)
class Child:
    """A sibling that was started; reaped by whoever waits for `pid`."""

    pid: int
    module: str


@dataclasses.dataclass(frozen=True, slots=True)
class Inherited:
    """What a sibling was started with: its parent's pid, and its descriptors by name."""

    parent: int
    fds: dict[str, int]


def spawn_module(
    module: str,
    fds: Mapping[str, int],
    *,
    environment: Mapping[str, str] | None = None,
    inherit: Callable[[str], bool] = all_but_systemds,
    arguments: Sequence[str] = (),
) -> Child:
    """Start `python -I -m MODULE ARGUMENTS` as a child with exactly `fds` (same numbers) and the standard three.

    Of our environment it gets the variables that `inherit` names, and those of `environment`.
    Signals are unblocked and at their defaults in the child, and its session is its own: main's terminal is not
    its controlling terminal, and Ctrl-C does not reach it. The caller keeps its own copies of `fds`.
    Raises SystemFailure.
    """
    argv = [sys.executable, "-I", "-m", module, *arguments]
    kept = {name: value for name, value in os.environ.items() if inherit(name)}
    state = " ".join([f"parent={os.getpid()}", *(f"{name}={fd}" for name, fd in fds.items())])
    # dup2 of a descriptor onto itself clears its close-on-exec mark in the child only.
    actions = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in fds.values()]
    try:
        pid = os.posix_spawn(
            sys.executable,
            argv,
            {**kept, **(environment or {}), STATE_VARIABLE: state},
            file_actions=actions,
            setsigmask=(),
            setsigdef=RESETTABLE,
            setsid=True,
        )
    except OSError as error:
        raise SystemFailure(f"cannot start {module}: {error.strerror}") from error
    return Child(pid, module)


def read_state_env() -> Inherited:
    """What `spawn_module` gave to this process. Removes the variable and marks the descriptors close-on-exec.

    Raises StartError where there is none: the module was started by hand.
    """
    text = os.environ.pop(STATE_VARIABLE, "")
    try:
        entries = {name: int(value) for name, _, value in (part.partition("=") for part in text.split(" "))}
        parent = entries.pop("parent")
        for fd in entries.values():
            os.set_inheritable(fd, False)
    except (ValueError, KeyError, OSError) as error:
        raise StartError("this is a part of ocserv and is started by it, not by hand") from error
    return Inherited(parent, entries)


def fork_light() -> int:
    """fork(2), without what Python does around it: os.fork() lets threading, logging and others clean up in the child
    what other threads have left, which writes to 600 kB of memory that it would share with its parent. For a process
    that never had a second thread; in the child `random` is seeded anew, and what os.register_at_fork was given is not
    called. Raises OSError.
    """
    pid = libc.fork()
    if pid == 0 and (chance := sys.modules.get("random")) is not None:
        chance.seed()
    return pid


def set_child_subreaper() -> None:
    """Orphans below this process become its children, so that main still reaps workers whose nursery died."""
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)


def set_parent_death_signal(number: signal.Signals, parent: int) -> None:
    """Be sent signal `number` when the process that started this one, `parent`, dies.

    A parent that died before the request would never be noticed, so that is checked afterwards.
    """
    libc.prctl(libc.PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def forget_parent_death_signal() -> None:
    """The parent's end is heard of in another way from now on."""
    libc.prctl(libc.PR_SET_PDEATHSIG, 0)


def set_not_dumpable() -> None:
    """No core file, no ptrace, no reading of this memory by the same user; but under --traceable."""
    libc.prctl(libc.PR_SET_DUMPABLE, int(TRACEABLE_VARIABLE in os.environ))


def set_no_new_privs() -> None:
    """No exec gives this process or its children a privilege any more."""
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def set_title(title: str) -> None:
    """What ps shows for this process."""
    import setproctitle

    setproctitle.setproctitle(title)


def set_oom_score(score: int, pid: int | None = None) -> None:
    """How early the kernel kills the process when memory runs out: -1000 never, 1000 first. Raises SystemFailure.

    A worker sees no /proc: its score is inherited from the nursery, or set by main.
    """
    try:
        with open(f"/proc/{pid or 'self'}/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError as error:
        raise SystemFailure(f"cannot set the OOM score of {pid or 'this process'}: {error.strerror}") from error


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def set_limit(which: int, value: int) -> None:
    """Set soft and hard limit of a `resource.RLIMIT_*` to `value`, or to the hard limit where that is lower."""
    hard = resource.getrlimit(which)[1]
    capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (capped, capped))


def raise_descriptor_limit(wanted: int) -> int:
    """Allow this process at least `wanted` descriptors, as far as the kernel lets it. Returns what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    for limits in ((wanted, max(wanted, hard)), (min(wanted, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        except (ValueError, OSError):
            continue
        return limits[0]
    return soft


def pid_of_pidfd(fd: int) -> int:
    """Whom a pidfd means; -1 once that process is reaped. ValueError where it is no pidfd."""
    pid = _fields(f"/proc/self/fdinfo/{fd}").get("Pid")
    if pid is None:
        raise ValueError("no pidfd")
    return int(pid)


@dataclasses.dataclass(frozen=True, slots=True)
class Kinship:
    """What /proc tells of a process: its parent's pid, its real uid, whether it has ended and waits to be reaped."""

    parent: int
    uid: int
    ended: bool


def parent_of(pid: int) -> int:
    """Its parent's pid (proc(5), stat: the field after the state, behind a name that may hold anything).
    ProcessLookupError where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read(512).rpartition(b")")[2].split()[1])
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, f"there is no process {pid}") from None


def kinship_of(pid: int) -> Kinship:
    """ProcessLookupError where there is no such process."""
    try:
        fields = _fields(f"/proc/{pid}/status")
        return Kinship(int(fields["PPid"]), int(fields["Uid"].split()[0]), fields["State"].startswith("Z"))
    except (FileNotFoundError, KeyError):
        raise ProcessLookupError(errno.ESRCH, f"there is no process {pid}") from None


def _fields(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def close_all_fds_but(keep: Iterable[int]) -> None:
    """Close every descriptor of this process that is not in `keep`; the standard three are closed like others."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    top = 1 << 20 if soft == resource.RLIM_INFINITY else soft
    low = 0
    for fd in sorted(set(keep)):
        # An empty range must not be asked for: 0 to -1 is taken for "all" by close_range(2).
        if low < fd:
            os.closerange(low, fd)
        low = fd + 1
    if low < top:
        os.closerange(low, top)
