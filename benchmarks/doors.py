"""What the three programs begin with: what they need, how they are ended, what they say meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence


def unmet(needed: Sequence[str]) -> str:
    """What is missing of root, the TUN device and the programs needed, in one line; nothing if it is all there."""
    missing = [name for name in needed if not shutil.which(name)]
    if missing or os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        return f"this needs root, /dev/net/tun and {', '.join(missing or needed)}"
    return ""


def end_in_order() -> None:
    """SIGTERM and SIGHUP leave every context, each of which ends what it began."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))


def progress(text: str) -> None:
    """A line for who waits."""
    print(text, file=sys.stderr, flush=True)
