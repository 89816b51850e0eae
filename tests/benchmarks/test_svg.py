"""Pictures are XML that a parser accepts, whatever the words in them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks.svg import Picture

SVG = "{http://www.w3.org/2000/svg}"


def test_words_are_escaped() -> None:
    picture = Picture(100, 50, "a < b & c")
    picture.text(1, 2, "<script>&")
    picture.rectangle(0, 0, 1, 1, '#fff"', "x > y")
    root = ET.fromstring(str(picture))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["<script>&"]
    assert [title.text for title in root.iter(f"{SVG}title")] == ["a < b & c", "x > y"]


def test_lengths_are_short() -> None:
    picture = Picture(100, 50, "")
    picture.line((0.0, 1 / 3), (10.0, 2.0), "#000000")
    assert '<line x1="0" y1="0.3" x2="10" y2="2" stroke-width="1"' in str(picture)
