"""The process of secmod, started by main: its isolation, then the loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from ..errors import OcservError
from ..log import LogTarget, open_log
from ..system.process import read_state_env, set_not_dumpable, set_parent_death_signal, set_title
from .service import Service


def main() -> int:
    """Until main closes its channel."""
    inherited = read_state_env()
    set_title("ocserv-sm")
    os.umask(0o077)
    set_not_dumpable()
    set_parent_death_signal(signal.SIGKILL, inherited.parent)
    # The end is main's to order, by closing the channel; a signal meant for main must not come first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open_log("sm", LogTarget.of_environment())
    asyncio.run(_serve(socket.socket(fileno=inherited.fds["main"])))
    return 0


async def _serve(channel: socket.socket) -> None:
    await Service(channel).run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OcservError as error:
        sys.stderr.write(f"ocserv-sm: {error}\n")
        sys.exit(error.exit_code)
