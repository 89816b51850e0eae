"""A Python environment of a test's own: the server with distributions beside it, as `pip install` makes it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from .lab import Lab, Option
from .server import Server

EXAMPLES = Path(__file__).parents[2] / "examples"


class Environment:
    """What is installed here is seen by the servers that this environment's Python runs, and by nobody else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._home = folder / "env"
        venv.create(self._home, with_pip=False, symlinks=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self._packages = self._home / "lib" / version / "site-packages"
        ours = sysconfig.get_path("purelib")
        (self._packages / "server.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self._home / "bin" / "python")

    @property
    def server(self) -> list[str]:
        """The server's command, without its words."""
        return [self.python, "-m", "ocserv_core.cli.ocserv"]

    def copy(self, distribution: Path) -> Path:
        """Where it can be built: building leaves things in the source."""
        return Path(shutil.copytree(distribution, self.folder / "copies" / distribution.name))

    def install(self, distribution: Path) -> None:
        """What `pip install ./FOLDER` does; without the network."""
        self._pip("--no-build-isolation", str(self.copy(distribution)))

    def install_wheel(self, wheel: Path) -> None:
        """What `pip install FILE` does."""
        self._pip(str(wheel))

    def _pip(self, *words: str) -> None:
        quiet = ["--quiet", "--no-deps", "--no-index", "--target", str(self._packages)]
        subprocess.run([sys.executable, "-m", "pip", "install", *quiet, *words], check=True, timeout=100)

    def write(self, name: str, source: str, group: str = "auth") -> None:
        """A distribution of one module, with the class Backend as the back end of that name."""
        folder = self.folder / f"source-{name}"
        folder.mkdir()
        (folder / f"back_end_{name}.py").write_text(source)
        (folder / "pyproject.toml").write_text(_PROJECT.format(name=name, group=group))
        self.install(folder)


def start(lab: Lab, environment: Environment, *vhost_lines: str, **options: Option) -> Server:
    """The server of that environment; vhost_lines stand at the configuration's end."""
    config = lab.configure(**options)
    with open(config, "a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in vhost_lines)
    argv = [*environment.server, "-f", "--log-stderr", "-c", config]
    return lab.run_server(argv, lab.path("occtl.sock")).await_listening()


_PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "back-end-{name}"
version = "1.0"

[project.entry-points."ocserv.{group}"]
{name} = "back_end_{name}:Backend"

[tool.setuptools]
py-modules = ["back_end_{name}"]
"""
