"""A folder of installed distributions, and the loading of back ends from it in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LOADER = """
import importlib.metadata, json, logging, sys

# Our own plugins may be installed beside the server; these tests are of a machine without them.
everything = importlib.metadata.distributions
importlib.metadata.distributions = lambda **words: [
    found for found in everything(**words) if not found.name.startswith(("ocserv-auth-", "ocserv-acct-"))
]

from ocserv_core.config.values import BackendSpec
from ocserv_core.errors import ConfigError
from ocserv_core.plugin.manager import load, new_manager, seal

logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
group, specs = json.loads(sys.argv[1])
manager = new_manager()
said = {"loaded": [], "error": "", "modules": []}
try:
    plugins = load(manager, group, [BackendSpec(**spec) for spec in specs], "default")
    seal(manager)
    said["loaded"] = [type(plugin.implementation).__name__ for plugin in plugins]
except ConfigError as error:
    said["error"] = str(error)
said["modules"] = [name for name in sys.modules if name.startswith("fake_")]
print(json.dumps(said))
"""

GOOD = """
from ocserv_core.plugin import hookimpl

class Backend:
    ocserv_api = (1, 0)

    def __init__(self, options, context):
        self.options = options

    @hookimpl
    async def ocserv_authenticate(self, login, ask):
        return None
"""


class Site:
    """Where distributions are installed: made of texts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self, name: str, source: str = GOOD, *, group: str = "ocserv.auth", module: str = "") -> None:
        """A distribution whose entry point `name` is the class Backend of a module with this source."""
        module = module or f"fake_{name}"
        (self._folder / f"{module}.py").write_text(source)
        info = self._folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:Backend\n")

    def load(self, *names: str, group: str = "ocserv.auth") -> tuple[dict[str, Any], str]:
        """What came of loading these, the first named in line 1 of o.conf: the outcome, and what was warned."""
        specs = [{"name": name, "file": "o.conf", "line": line} for line, name in enumerate(names, 1)]
        ran = subprocess.run(
            [sys.executable, "-c", LOADER, json.dumps([group, specs])],
            env={**os.environ, "PYTHONPATH": str(self._folder), "XDG_CACHE_HOME": os.devnull},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        outcome: dict[str, Any] = json.loads(ran.stdout)
        return outcome, ran.stderr

    def refusal(self, *names: str, group: str = "ocserv.auth") -> str:
        """What is said against loading these."""
        return str(self.load(*names, group=group)[0]["error"])
