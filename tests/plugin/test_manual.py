"""The reference of hooks says what the specs say. To renew it:

python -c "from ocserv_core.plugin.manual import render; print(render(), end='')" > docs/hooks.md
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ocserv_core.plugin.hookspecs import SPECS
from ocserv_core.plugin.manual import render

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
HOOKS = [(name, member) for specs in SPECS for name, member in vars(specs).items() if name.startswith("ocserv_")]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize(("name", "member"), HOOKS)
def test_each_hook_says_where_and_when_it_is_called(name: str, member: object) -> None:
    text = " ".join((member.__doc__ or "").split())
    assert all(word in text for word in ("Process: ", "When: ") if name != "ocserv_groups"), text
    assert f"### {name}\n" in render()
