"""Every option that is declared is used somewhere."""

from __future__ import annotations

import ast

import pytest

from ocserv_core.config.server import SERVER
from ocserv_core.config.user import USER
from ocserv_core.config.vhost import VHOST

from .source import modules, room_of, tree_of

OPTIONS = {**USER, **VHOST, **SERVER}

MADE_OF = ("config.session", "config.worker", "config.files")
"""What the other rooms get of a configuration is made here; the rest of config/ reads and checks."""

NOT_USED: dict[str, str] = {}
"""Options that nothing looks at, and why that is right."""


def looked_at(names: list[str]) -> set[str]:
    """Every attribute that these modules look at."""
    nodes = (node for name in names for node in ast.walk(tree_of(name)))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


OUTSIDE = [name for name in modules() if room_of(name) != "config"]
USED = looked_at([*OUTSIDE, *MADE_OF])


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_used(name: str) -> None:
    assert (OPTIONS[name].field in USED) != (name in NOT_USED)
