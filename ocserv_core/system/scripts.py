"""Starting an administrator's script: exec without a shell, as ocserv.conf's scripts are run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ..errors import SystemFailure
from .process import RESETTABLE, all_but_systemds


def spawn_script(path: str, variables: Mapping[str, str], unset: frozenset[str], arguments: Sequence[str] = ()) -> int:
    """Start it with our environment and `variables`; of the names in `unset` only those that `variables` has. Its
    standard input is empty, its process group its own, its output goes where our log goes. The pid; SystemFailure
    where it cannot be started."""
    inherited = {name: value for name, value in os.environ.items() if all_but_systemds(name) and name not in unset}
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 2, 1)]
    try:
        return os.posix_spawn(
            path,
            [path, *arguments],
            {**inherited, **variables},
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=RESETTABLE,
        )
    except (OSError, ValueError) as error:
        raise SystemFailure(f"cannot run {path}: {getattr(error, 'strerror', None) or error}") from error
