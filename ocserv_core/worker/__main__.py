"""The nursery's process, started by main: loads code and configuration, gives up every privilege for ever, and
forks workers from what it then is."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
import time

import msgspec

from ..config.worker import WorkerConfig
from ..errors import ConfigError, OcservError
from ..ipc.channel import Channel
from ..ipc.log_channel import LogChannel
from ..ipc.messages import ConfigFault, FromMainToNursery, NurseryReady, NurseryRefused
from ..log import LogTarget, send_log
from ..system.isolate import enter_nursery
from ..system.landlock import SIGNALS_SINCE, read_abi
from ..system.memfd import read_sealed
from ..system.process import read_state_env, set_parent_death_signal, set_title
from .nursery import Nursery
from .plugins import load_hooks
from .rehearsal import rehearse
from .world import World, build_tls_context

_log = logging.getLogger(__name__)

MAX_CONFIGURATION = 64 * 1024 * 1024


def main(arguments: list[str]) -> int:
    """arguments: uid, gid, the empty folder that becomes the root; or --check, to try the configuration only."""
    inherited = read_state_env()
    set_title("ocserv-nursery")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    set_parent_death_signal(signal.SIGKILL, inherited.parent)
    channel = Channel[FromMainToNursery](socket.socket(fileno=inherited.fds["main"]), FromMainToNursery, trusted=True)
    log = LogChannel(channel)
    send_log(log, LogTarget.of_environment())
    config = msgspec.msgpack.decode(read_sealed(inherited.fds["config"], MAX_CONFIGURATION), type=WorkerConfig)
    try:
        tls = build_tls_context(config)
        hooks = load_hooks(config)
    except ConfigError as error:
        channel.send(NurseryRefused(config.generation, (ConfigFault(error.message, error.file, error.line),)))
        return 0
    if arguments == ["--check"]:
        channel.send(NurseryReady(config.generation, tls.crl_until()))
        return 0
    uid, gid, empty_root = int(arguments[0]), int(arguments[1]), arguments[2]
    _load_what_would_be_loaded_late()
    rehearse(config)
    chroot = config.server.chroot_dir
    baseline = enter_nursery(uid, gid, chroot or empty_root, empty=not chroot)
    world = World(config, tls, log, baseline if config.server.limit_worker_memory else None, hooks)
    # Workers share the nursery's memory until they write to it: no collector may touch every object's header.
    gc.collect()
    gc.disable()
    gc.freeze()
    _tell_landlock()
    channel.send(NurseryReady(config.generation, tls.crl_until()))
    try:
        Nursery(channel, world).serve()
    except Exception:  # noqa: BLE001 (the top of the process: its stderr is /dev/null)
        _log.exception("the nursery failed")
        return 70
    return 0


def _tell_landlock() -> None:
    abi = read_abi()
    if abi >= SIGNALS_SINCE:
        _log.info("workers are confined by Landlock (ABI %d)", abi)
    else:
        _log.warning("Landlock of this kernel confines workers in part only, or not at all (ABI %d)", abi)


def _load_what_would_be_loaded_late() -> None:
    """After this there is no file system: what Python loads on first use must be here already."""
    import encodings.idna
    import linecache
    import traceback

    time.tzset()
    time.localtime()
    "".encode("idna")
    "".encode("latin-1")
    del encodings, linecache, traceback


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OcservError as error:
        sys.stderr.write(f"ocserv-nursery: {error}\n")
        sys.exit(error.exit_code)
