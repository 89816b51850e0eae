"""A picture of rectangles, lines and words, as SVG. Lengths are pixels, y grows downwards. Knows no figures."""

from __future__ import annotations

from typing import Literal
from xml.sax.saxutils import escape, quoteattr

FONT = "DejaVu Sans, Verdana, Helvetica, sans-serif"

Anchor = Literal["start", "middle", "end"]


class Picture:
    """Elements in the order in which they are drawn, on a white ground: pages may be dark."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._elements: list[str] = []
        self.rectangle(0, 0, width, height, "#ffffff")

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, hint: str = "") -> None:
        """Filled. hint: what a browser shows under the pointer."""
        inner = f"<title>{escape(hint)}</title>" if hint else ""
        place = _attributes(x=x, y=y, width=width, height=height)
        self._elements.append(f"<rect {place} fill={quoteattr(fill)}>{inner}</rect>")

    def line(
        self, start: tuple[float, float], stop: tuple[float, float], colour: str, width: float = 1.0, dash: str = ""
    ) -> None:
        """From one point to another."""
        place = _attributes(x1=start[0], y1=start[1], x2=stop[0], y2=stop[1], stroke_width=width)
        dashes = f" stroke-dasharray={quoteattr(dash)}" if dash else ""
        self._elements.append(f"<line {place} stroke={quoteattr(colour)}{dashes}/>")

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 11.0,
        colour: str = "#222222",
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        """One line; y is its base line."""
        weight = ' font-weight="bold"' if bold else ""
        place = _attributes(x=x, y=y, font_size=size)
        self._elements.append(
            f'<text {place} fill={quoteattr(colour)} text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def __str__(self) -> str:
        width, height = (_number(length) for length in self._size)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' font-family={quoteattr(FONT)} role="img">'
        )
        return "\n".join([head, f"<title>{escape(self._title)}</title>", *self._elements, "</svg>", ""])


def _attributes(**values: float) -> str:
    return " ".join(f'{name.replace("_", "-")}="{_number(value)}"' for name, value in values.items())


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
