"""Tables in a document are written again and again between the same marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.document import BEGIN, END, insert

ROOT = Path(__file__).parents[2]


def test_what_was_between_the_marks_is_replaced() -> None:
    once = insert(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert insert(once, "new") == once


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_document_without_both_marks_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        insert(document, "new")


def test_the_projects_document_has_them() -> None:
    assert "figure" in insert((ROOT / "docs" / "performance.md").read_text(), "figure")
