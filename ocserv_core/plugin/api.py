"""The version of the interface, for both halves: secmod's loader and the nursery's.

API is (major, minor): a major breaks, a minor adds hooks or arguments. A plugin class says `ocserv_api = (1, 0)`.
Imports nothing that workers must not have.
"""

from __future__ import annotations

import logging

from ..config.values import BackendSpec
from ..errors import ConfigError

_log = logging.getLogger(__name__)

API = (1, 0)


def check_api(spec: BackendSpec, wanted: object) -> None:
    """ConfigError where a class was written for another interface; a newer minor is warned of."""
    offered = ".".join(map(str, API))
    match wanted:
        case (int(major), int(minor)) if major == API[0]:
            if minor > API[1]:
                _log.warning("%s: written for plugin API %d.%d, newer than %s", spec.name, major, minor, offered)
            return
        case (int(major), int(minor)):
            asked = f"{major}.{minor}"
        case _:
            asked = "none" if wanted is None else repr(wanted)
    raise ConfigError(
        f"{spec.name}: written for plugin API {asked}, this server offers {offered}", spec.file, spec.line
    )
