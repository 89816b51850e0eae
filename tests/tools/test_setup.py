"""tools/setup with a package manager and a pip that only write down what they are asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "tools" / "setup"

APT_GET = """\
#!/bin/sh
echo "apt-get $*" >> "$LOG"
[ "$1" = update ] || "$POLICY_RC_D" || echo "policy $?" >> "$LOG"
exit ${APT_EXIT:-0}
"""


@dataclass
class Machine:
    """A checkout and a machine, both of stubs; `log` is what was asked of them."""

    root: Path
    environment: dict[str, str]

    @property
    def policy(self) -> Path:
        return self.root / "policy-rc.d"

    @property
    def log(self) -> list[str]:
        return (self.root / "log").read_text().splitlines()

    def put(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def setup(self, *words: str, **environment: str) -> int:
        command = (str(self.root / "tools" / "setup"), *words)
        return subprocess.run(command, env=self.environment | environment, timeout=30, capture_output=True).returncode


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "tools").mkdir()
    shutil.copy(SETUP, tmp_path / "tools" / "setup")
    (tmp_path / "log").touch()
    environment = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "LOG": f"{tmp_path}/log",
        "POLICY_RC_D": f"{tmp_path}/policy-rc.d",
        "HAVE": "gcc python3-dev",
    }
    made = Machine(tmp_path, environment)
    made.put("bin/apt-get", APT_GET)
    made.put("bin/dpkg-query", '#!/bin/sh\nfor p in $HAVE; do [ "$p" = "$3" ] && printf installed; done\nexit 0\n')
    made.put("bin/dpkg", "#!/bin/sh\necho /lib/systemd/system/ocserv.service\necho /usr/sbin/ocserv\n")
    made.put("bin/systemctl", '#!/bin/sh\necho "systemctl $*" >> "$LOG"\n')
    made.put("bin/id", "#!/bin/sh\necho ${UID_:-0}\n")
    made.put(".venv/bin/pip", '#!/bin/sh\necho "pip $*" >> "$LOG"\n')
    made.put(".venv/bin/python", "#!/bin/sh\nexit 0\n")
    return made


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    assert machine.setup() == 0
    install = machine.log[1]
    assert install.startswith("apt-get install -q -y --no-install-recommends python3-venv libgnutls28-dev")
    assert " gcc " not in install


def test_daemons_are_kept_from_starting(machine: Machine) -> None:
    machine.setup("--tests")
    assert machine.log[2] == "policy 101"
    assert "systemctl disable ocserv.service" in machine.log


def test_afterwards_daemons_may_start_again(machine: Machine) -> None:
    machine.setup()
    assert not machine.policy.exists()


@pytest.mark.parametrize("apt_exit", ["0", "100"])
def test_a_policy_of_the_machine_s_own_is_put_back(machine: Machine, apt_exit: str) -> None:
    machine.put("policy-rc.d", "#!/bin/sh\nexit 0\n")
    machine.setup(APT_EXIT=apt_exit)
    assert machine.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_what_an_interrupted_run_left_is_removed(machine: Machine) -> None:
    mark = next(line for line in SETUP.read_text().splitlines() if line.startswith("POLICY_MARK=")).split('"')[1]
    machine.put("policy-rc.d", f"#!/bin/sh\n{mark}\nexit 101\n")
    machine.setup()
    assert not machine.policy.exists()


def test_a_failed_installation_fails(machine: Machine) -> None:
    assert machine.setup(APT_EXIT="100") != 0


def test_without_root_the_rest_is_done(machine: Machine) -> None:
    assert machine.setup(UID_="1000") == 0
    assert [line.split()[0] for line in machine.log] == ["pip"]


def test_plugins_of_the_checkout_are_installed(machine: Machine) -> None:
    machine.put("plugins/ocserv-auth-x/pyproject.toml", "")
    machine.put("plugins/notes/README", "")
    machine.setup(UID_="1000")
    assert "-e . -e plugins/ocserv-auth-x/ " in machine.log[-1]


def test_only_tests_need_the_tools_for_development(machine: Machine) -> None:
    machine.setup("--tests", UID_="1000")
    assert "--group dev" in machine.log[-1]
