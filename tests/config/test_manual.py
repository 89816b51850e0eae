"""The reference page says what the declarations say. To renew it:

python -c "from ocserv_core.config.manual import render; print(render(), end='')" > docs/options.md
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ocserv_core.config.manual import explain, render
from ocserv_core.config.server import SERVER
from ocserv_core.config.user import USER
from ocserv_core.config.vhost import VHOST

PAGE = Path(__file__).parents[2] / "docs" / "options.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_row_has_five_cells() -> None:
    rows = [line.replace("\\|", "") for line in render().splitlines() if line.startswith("| ")]
    assert {row.count("|") for row in rows} == {6}


# ---- one option ---------------------------------------------------------------------------------------------------


def facts(name: str) -> dict[str, str]:
    """What stands in its list."""
    lines = [line.split(maxsplit=1) for line in explain(name).splitlines() if line.startswith("  ")]
    return {line[0]: line[1] for line in lines}


def test_an_option_is_explained() -> None:
    assert explain("rekey-time").splitlines()[:3] == [
        "rekey-time = duration",
        "",
        "How often the tunnel's keys are renewed; 0 never.",
    ]
    assert facts("rekey-time") | {"never": ""} == {
        "scope": "each virtual host",
        "default": "172800",
        "repeat": "the last line wins",
        "reload": "takes effect",
        "never": "",
    }


@pytest.mark.parametrize(
    ("name", "fact", "says"),
    [
        ("tcp-port", "scope", "the whole server; before the first section"),
        ("kkdcp", "scope", "each virtual host, not inherited by sections"),
        ("dpd", "scope", "each virtual host; also in the file of a user or group"),
        ("iroute", "scope", "a user or group, in its own file"),
        ("tcp-port", "reload", "without effect until the next start"),
        ("route", "repeat", "may be repeated"),
        ("ipv4-dns", "aliases", "ipv4-dns, ipv6-dns"),
        ("banner", "default", "none"),
        ("session-store", "default", "sqlite"),
    ],
)
def test_what_is_told_of_it(name: str, fact: str, says: str) -> None:
    assert facts(name)[fact] == says


def test_what_differs_from_the_c_server_is_told_too() -> None:
    assert "\nWhere a line has it, this may differ from the C server:\n  under TLS 1.2 " in explain("rekey-method")
    assert "C server" not in explain("tcp-port")


def test_an_old_word_is_explained_by_what_became_of_it() -> None:
    assert explain("use-dbus") == "use-dbus\n\nuse-dbus is now called use-occtl.\n"


def test_an_option_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="the option 'nonsense' is unknown"):
        explain("nonsense")


@pytest.mark.parametrize("name", sorted({**USER, **VHOST, **SERVER}))
def test_each_is_explained(name: str) -> None:
    assert explain(name).startswith(f"{name} = ")
