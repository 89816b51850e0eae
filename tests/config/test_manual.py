"""The reference page says what the declarations say. To renew it:

python -c "from ocserv_core.config.manual import render; print(render(), end='')" > docs/options.md
"""

from __future__ import annotations

from pathlib import Path

from ocserv_core.config.manual import render

PAGE = Path(__file__).parents[2] / "docs" / "options.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_row_has_five_cells() -> None:
    rows = [line.replace("\\|", "") for line in render().splitlines() if line.startswith("| ")]
    assert {row.count("|") for row in rows} == {6}
