"""Text between two marks of a Markdown document: what a program wrote there it can write again."""

from __future__ import annotations

BEGIN = "<!-- figures: from here on written by `python -m benchmarks.dataplane markdown` -->"
END = "<!-- figures: end -->"


def insert(document: str, text: str) -> str:
    """The document with `text` between its marks, in place of what was there. Raises ValueError without marks."""
    before, begin, rest = document.partition(BEGIN)
    _, stop, after = rest.partition(END)
    if not begin or not stop:
        raise ValueError(f"the document lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
