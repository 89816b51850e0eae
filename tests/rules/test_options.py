"""An option that is called supported is used, one that is not is used nowhere."""

from __future__ import annotations

import ast

import pytest

from ocserv_core.config.server import SERVER
from ocserv_core.config.user import USER
from ocserv_core.config.vhost import VHOST

from .source import DOORS, modules, room_of, tree_of

OPTIONS = {**USER, **VHOST, **SERVER}

MADE_OF = ("config.session", "config.worker", "config.files")
"""What the other rooms get of a configuration is made here; the rest of config/ reads and checks."""

SHOWS = ("main.status",)
"""Shows what is configured, as the doors do, whether it is obeyed yet or not."""

NOT_USED: dict[str, str] = {}
"""Supported options that nothing looks at, and why that is right."""

USED_ALREADY: dict[str, str] = {}
"""Options that are not supported yet and are looked at, and why that is right."""


def looked_at(names: list[str]) -> set[str]:
    """Every attribute that these modules look at."""
    nodes = (node for name in names for node in ast.walk(tree_of(name)))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


OUTSIDE = [name for name in modules() if room_of(name) != "config"]
USED = looked_at([*OUTSIDE, *MADE_OF])
OBEYED = looked_at([name for name in OUTSIDE if room_of(name) not in DOORS and name not in SHOWS])


@pytest.mark.parametrize("name", [name for name, declared in OPTIONS.items() if declared.option.supported])
def test_a_supported_option_is_used(name: str) -> None:
    assert (OPTIONS[name].field in USED) != (name in NOT_USED)


@pytest.mark.parametrize("name", [name for name, declared in OPTIONS.items() if not declared.option.supported])
def test_an_option_that_is_not_supported_yet_is_not_used(name: str) -> None:
    assert (OPTIONS[name].field in OBEYED) == (name in USED_ALREADY)
