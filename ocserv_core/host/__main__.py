"""The host's process, started by secmod: loads one back end and forks children from what it then is."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys

from ..errors import ConfigError, OcservError
from ..ipc.log_channel import LogChannel
from ..ipc.messages import FromSecmodToHost, HostLoad, HostReady, HostRefused
from ..log import LogTarget, send_log
from ..system.process import (
    forget_parent_death_signal,
    read_state_env,
    set_child_subreaper,
    set_limit,
    set_not_dumpable,
    set_parent_death_signal,
    set_title,
)
from .hooks import Hooks, load_hooks
from .host import Host
from .line import Line
from .rehearsal import rehearse

_log = logging.getLogger(__name__)


def main() -> int:
    """Until secmod closes its channel."""
    inherited = read_state_env()
    set_title("ocserv-host")
    os.umask(0o077)
    set_not_dumpable()
    set_limit(resource.RLIMIT_CORE, 0)
    set_parent_death_signal(signal.SIGKILL, inherited.parent)
    _take_no_input()
    line = Line(inherited.fds["secmod"], FromSecmodToHost)
    log = LogChannel(line)
    send_log(log, LogTarget())
    try:
        hooks = _load(line)
    except ConfigError as error:
        line.send(HostRefused(str(error)))
        return 0
    set_child_subreaper()
    _preload(hooks)
    rehearse()
    _freeze()
    # From here on the end of the channel tells of secmod's end: a signal would leave behind what children started.
    forget_parent_death_signal()
    line.send(HostReady())
    try:
        Host(line, hooks, log).serve()
    except Exception:  # noqa: BLE001 (the top of the process)
        _log.exception("the host failed")
        return 70
    return 0


def _load(line: Line) -> Hooks:
    """The hooks of the back end that secmod names. ConfigError."""
    asked = line.receive().message
    if not isinstance(asked, HostLoad):
        raise ConfigError(f"{type(asked).__name__} came before HostLoad")
    logging.getLogger().setLevel(asked.level)
    return load_hooks(asked.group, asked.spec, asked.vhost)


def _preload(hooks: Hooks) -> None:
    try:
        if "ocserv_preload" in hooks:
            hooks["ocserv_preload"].call({})
    except Exception:  # noqa: BLE001 (a plugin's fault; its children do without)
        _log.exception("ocserv_preload failed")


def _freeze() -> None:
    """Children share this memory until they write to it: no collector may touch every object's header."""
    gc.collect()
    gc.disable()
    gc.freeze()


def _take_no_input() -> None:
    """What a back end starts must not read main's terminal."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OcservError as error:
        sys.stderr.write(f"ocserv-host: {error}\n")
        sys.exit(error.exit_code)
