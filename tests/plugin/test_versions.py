"""A wheel that was built for an older minor of the interface runs under a newer one; a newer one is warned of, and
another major refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.interop.environment import EXAMPLES, Environment

RUN = """\
import logging, sys
import ocserv_core.plugin.api as api
import ocserv_core.plugin.hookspecs as hookspecs
import ocserv_core.plugin.manager as manager

logging.basicConfig(format="%(message)s")
api.API = {offered}

from ocserv_core.config.values import BackendSpec
from ocserv_core.errors import ConfigError
from ocserv_core.testing.dialogue import Stage

class NewHooks:
    @hookspecs.hookspec(firstresult=True)
    def ocserv_of_a_later_minor(self): "Process: any. When: never."

manager.SPECS = (*manager.SPECS, NewHooks)
try:
    (plugin,) = manager.load(
        manager.new_manager(), "ocserv.auth", [BackendSpec("voucher", {{"file": sys.argv[1]}}, "c", 1)], "default"
    )
except ConfigError as error:
    sys.exit(str(error))
with Stage("ocserv.auth", type(plugin.implementation), {{"file": sys.argv[1]}}) as stage:
    print(stage.log_in("zoe").answer("winter-2027").identity.username, plugin.origin.distribution, plugin.origin.api)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The server, and the wheel of an example that says API 1.0, as an index would hand it out."""
    folder = tmp_path_factory.mktemp("versions")
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    made = Environment(folder)
    source = made.copy(EXAMPLES / "ocserv-auth-voucher")
    subprocess.run([sys.executable, "-m", "pip", *words, str(source)], check=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    made.install_wheel(wheel)
    (folder / "vouchers").write_text("winter-2027")
    return made


def run(environment: Environment, offered: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    argv = [environment.python, "-c", RUN.format(offered=offered), str(environment.folder / "vouchers")]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("offered", [(1, 0), (1, 1), (1, 7)])
def test_the_same_or_a_newer_minor_runs_it_in_silence(environment: Environment, offered: tuple[int, int]) -> None:
    done = run(environment, offered)
    assert (done.stdout, done.stderr) == ("zoe ocserv-auth-voucher 1.0\n", "")


def test_another_major_refuses_it(environment: Environment) -> None:
    done = run(environment, (2, 0))
    assert done.returncode != 0
    assert "c:1: voucher: written for plugin API 1.0, this server offers 2.0" in done.stderr
