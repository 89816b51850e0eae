from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.cli import occtl_format as fmt


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "   ?   "),
        (0, "    0s"),
        (60, "   60s"),
        (61, " 1m:01s"),
        (3599, "59m:59s"),
        (3600, " 1h:00m"),
        (47 * 3600 + 60, "47h:01m"),
        (48 * 3600, " 2days"),
    ],
)
def test_interval(seconds: float, words: str) -> None:
    assert fmt.interval_text(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1000, "1000 bytes"),
        (1001, "1.0 kB"),
        (1_000_000, "1000.0 kB"),
        (1_500_000, "1.5 MB"),
        (2_500_000_000, "2.5 GB"),
    ],
)
def test_bytes(count: int, words: str) -> None:
    assert fmt.bytes_text(count) == words


@pytest.mark.parametrize(("us", "words"), [(999, "<1ms"), (12_345, "12ms"), (3_000_000, "3s")])
def test_latency(us: int, words: str) -> None:
    assert fmt.latency_text(us) == words


def test_a_size_carries_its_suffix() -> None:
    assert fmt.bytes_text(123_000, "/s") == "123.0 kB/s"


@given(st.text(), st.lists(st.text()))
def test_json_is_valid_whatever_a_text_holds(text: str, values: list[str]) -> None:
    view = (fmt.line(fmt.hidden("Text", text), fmt.listing("List", values), fmt.number("Number", 5)),)
    assert json.loads(fmt.json_array([view, view])) == [{"Text": text, "List": values, "Number": 5}] * 2


def test_control_characters_are_escaped_in_json() -> None:
    assert fmt.json_object((fmt.line(fmt.text("A", 'x"\n\\')),)) == '  {\n    "A":  "x\\"\\u000a\\\\"\n  }'


def test_a_name_cannot_command_the_terminal() -> None:
    assert fmt.plain((fmt.line(fmt.text("Username", "a\x1b[2Jb")),)) == "\tUsername: a?[2Jb\n"


def test_a_line_without_anything_to_show_is_left_out() -> None:
    assert fmt.plain((fmt.line(fmt.text("A", ""), fmt.listing("B", ())),)) == ""


def test_a_list_takes_a_line_for_each_value() -> None:
    assert fmt.plain((fmt.line(fmt.listing("DNS", ("a", "b"))),)) == "\tDNS: a\n\t\tb\n"
