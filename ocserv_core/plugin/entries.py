"""Which classes of `ocserv.worker` belong to the back ends of a configuration. Called by main, which imports none of
them: the nursery does, and gets their addresses only, so that it needs no search of its own."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

from ..config.values import BackendSpec
from ..errors import ConfigError

GROUP = "ocserv.worker"


def find_worker_entries(specs: Iterable[BackendSpec]) -> dict[str, str]:
    """name → `module:class`, for those of these back ends that have one. ConfigError for a name that is there twice."""
    installed: dict[str, list[str]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        installed.setdefault(entry.name, []).append(entry.value)
    found = {}
    for spec in specs:
        # The same distribution may be seen twice, as an editable one is.
        values = sorted(set(installed.get(spec.name, ())))
        if len(values) > 1:
            raise ConfigError(
                f"the worker's half of '{spec.name}' is installed more than once ({', '.join(values)});"
                " uninstall all but one",
                spec.file,
                spec.line,
            )
        if values:
            found[spec.name] = values[0]
    return found
