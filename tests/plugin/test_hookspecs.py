"""Each hook is a contract."""

from __future__ import annotations

import inspect

import pytest

from ocserv_core import plugin
from ocserv_core.plugin.api import API
from ocserv_core.plugin.hookspecs import AuthSpecs

HOOKS = [name for name in vars(AuthSpecs) if name.startswith("ocserv_")]


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_in_which_process_it_runs(name: str) -> None:
    assert "Process: secmod" in (inspect.getdoc(getattr(AuthSpecs, name)) or "")


def test_the_interface_has_a_major_and_a_minor() -> None:
    assert [type(number) for number in API] == [int, int]


def test_what_a_plugin_imports_is_there() -> None:
    assert [name for name in plugin.__all__ if not hasattr(plugin, name)] == []
