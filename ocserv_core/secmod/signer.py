"""The process of a signer, started by secmod: it has the keys, signs and decrypts one after another, and does nothing
else. It sees no network and no file, unless its keys lie in a token, which may need them."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys

from ..errors import OcservError, PeerLost
from ..ipc.channel import Channel
from ..ipc.log_channel import LogChannel
from ..ipc.messages import FromSecmodToSigner, SignerDone, SignerLoad, SignerReady, SignerRefused, SignerTask
from ..log import LogTarget, send_log
from ..system.isolate import enter_signer
from ..system.process import read_state_env, set_limit, set_not_dumpable, set_parent_death_signal, set_title
from ..system.token_keys import TokenFailure
from .keys import KeyRing, rehearse, use_key

_log = logging.getLogger(__name__)


def main() -> int:
    """Until secmod closes its channel."""
    inherited = read_state_env()
    set_title("ocserv-signer")
    os.umask(0o077)
    set_not_dumpable()
    set_limit(resource.RLIMIT_CORE, 0)
    set_parent_death_signal(signal.SIGKILL, inherited.parent)
    channel = Channel[FromSecmodToSigner](
        socket.socket(fileno=inherited.fds["secmod"]), FromSecmodToSigner, trusted=True
    )
    send_log(LogChannel(channel), LogTarget())
    try:
        rings = _load(channel)
        rehearse(rings)
        tokens = any(ring.has_tokens for ring in rings.values())
        enter_signer(inherited.parent, alone=not tokens)
        channel.send(SignerReady())
        _serve(channel, rings)
    except TokenFailure as failure:
        channel.send(SignerRefused(str(failure)))
    except PeerLost:
        pass  # secmod needs it no more
    except Exception:  # noqa: BLE001 (the top of the process)
        _log.exception("the signer failed")
        return 70
    return 0


def _load(channel: Channel[FromSecmodToSigner]) -> dict[str, KeyRing]:
    load = channel.receive(None).message
    if not isinstance(load, SignerLoad):
        raise PeerLost("a task came before the keys")
    logging.getLogger().setLevel(load.level)
    return {vhost: KeyRing.of(keys) for vhost, keys in load.rings.items()}


def _serve(channel: Channel[FromSecmodToSigner], rings: dict[str, KeyRing]) -> None:
    while True:
        task = channel.receive(None).message
        if not isinstance(task, SignerTask):
            raise PeerLost("keys came a second time")
        data, refused = use_key(rings, task.asked)
        channel.send(SignerDone(task.number, data, refused))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OcservError as error:
        sys.stderr.write(f"ocserv-signer: {error}\n")
        sys.exit(error.exit_code)
