"""`ocserv --test-config` takes each good value of every option, and refuses each bad one with its line and its name."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest

from tests.bridge.pki import crl_of, issue, ocsp_response
from tests.bridge.test_context import DH_PARAMS
from tests.config.options import OPTIONS, Row, names

MINIMAL = """\
auth = plain[passwd=/HOME/passwd]
tcp-port = 443
socket-file = /HOME/sock
server-cert = /HOME/cert.pem
server-key = /HOME/key.pem
device = vpns
ipv4-network = 198.51.100.0/24
"""

TODAYS = {"use-seccomp": "isolate-workers", "min-reauth-time": "ban-time"}
"""Old words of whose values is spoken by today's name."""

MOST_TURNS = 20

pytestmark = pytest.mark.needs_root
"""PAM is tried."""


class House:
    """A folder with what values name, and the command."""

    def __init__(self, home: Path) -> None:
        self.home = home
        authority = issue("CA", ca=True)
        leaf = issue("vpn.example", by=authority)
        files = {
            "cert.pem": leaf.pem,
            "same.pem": leaf.pem,
            "key.pem": leaf.key_pem,
            "same.key": leaf.key_pem,
            "ca.pem": authority.pem,
            "crl.pem": crl_of(authority),
            "ocsp.der": ocsp_response(leaf, authority),
            "dh.pem": DH_PARAMS,
            "pin": b"1234\n",
            "empty": b"",
            "passwd": b"alice::!\n",
            "otp": b"",
            "profile.xml": b"<AnyConnectProfile/>\n",
            "default": b"",
        }
        for name, content in files.items():
            (home / name).write_bytes(content)
        (home / "users").mkdir()
        (home / "groups").mkdir()

    def test_config(self, text: str) -> list[tuple[int, str]]:
        """What it refuses, by lines; nothing where it takes everything."""
        file = self.home / "o.conf"
        file.write_text((MINIMAL + text).replace("/HOME", str(self.home)))
        argv = [sys.executable, "-m", "ocserv_core.cli.ocserv", "--test-config", "-c", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=100)
        if done.returncode == 0:
            return []
        # Warnings are told first, and by the name of the process that has them.
        errors = done.stderr[done.stderr.index("ocserv: ") :]
        return [
            (int(line), said)
            for line, said in re.findall(rf"^(?:ocserv: )?{file}:([0-9]+): (.*)$", errors, re.MULTILINE)
        ]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def of(*scopes: str) -> dict[str, Row]:
    return {name: OPTIONS[name] for name in names(*scopes)}


def lines_of(name: str, row: Row, value: str, number: int = 0) -> str:
    """A value with the lines that it needs; that of a virtual host in one of its own."""
    section = f"[vhost:{name}-{number}]\n" if row.scope.startswith("V") else ""
    return f"{section}{row.beside}{name} = {value}\n"


def numbered(parts: list[tuple[str, str, str]]) -> list[tuple[int, str, str]]:
    """Of name, value and lines: the number of the last of them, name and value."""
    ends = accumulate((lines.count("\n") for *_, lines in parts), initial=MINIMAL.count("\n"))
    return [(end, name, value) for end, (name, value, _) in zip(list(ends)[1:], parts, strict=True)]


def test_each_good_value_of_a_vhost_is_taken(house: House) -> None:
    vhosts = of("V", "V!", "VU").items()
    lines = (lines_of(name, row, value, n) for name, row in vhosts for n, value in enumerate(row.good))
    assert house.test_config("".join(lines)) == []


@pytest.mark.parametrize("turn", range(4))
def test_each_good_value_of_the_server_is_taken(house: House, turn: int) -> None:
    picked = [(name, row) for name, row in of("G", "G!", "-").items() if turn < len(row.good)]
    assert picked
    assert house.test_config("".join(lines_of(name, row, row.good[turn]) for name, row in picked)) == []


def test_each_bad_value_is_refused_with_its_line_and_its_name(house: House) -> None:
    rows = {**of("G", "G!", "-"), **of("V", "V!", "VU")}.items()
    bad = [(name, value, lines_of(name, row, value, n)) for name, row in rows for n, value in enumerate(row.bad)]
    refused = house.test_config("".join(lines for *_, lines in bad))
    told = {(line, name) for line, said in refused for name in OPTIONS if TODAYS.get(name, name) in said}
    assert [(line, name, value) for line, name, value in numbered(bad) if (line, name) not in told] == []


def test_what_lines_say_together_or_files_hold_is_refused_with_its_line(house: House) -> None:
    rows = {**of("G", "G!"), **of("V", "V!", "VU")}.items()
    late = [(name, row, value, n) for name, row in rows for n, value in enumerate(row.late)]
    # Each process tells all that it finds; the next is asked when the one before has nothing to say.
    for _ in range(MOST_TURNS):
        wanted = numbered([(name, value, lines_of(name, row, value, n)) for name, row, value, n in late])
        refused = house.test_config("".join(lines_of(*one) for one in late))
        told = {
            at
            for at, name, value in wanted
            for line, said in refused
            # Some name the option, some the back end or the file of its value.
            if line == at and (name in said or value.partition("[")[0].rpartition("/")[2] in said)
        }
        if not told:
            break
        late = [one for one, (at, *_) in zip(late, wanted, strict=True) if at not in told]
    assert [(name, value) for name, _, value, _ in late] == []
