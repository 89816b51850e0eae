"""The table names options that there are, and every option that docs/deviations.md names stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ocserv_core.config.differences_table import CHECKED_BY_BOTH, RULES, UNCHECKED, UNSET
from ocserv_core.config.server import SERVER
from ocserv_core.config.vhost import VHOST

PAGE = Path(__file__).parents[2] / "docs" / "deviations.md"
OPTIONS = SERVER.keys() | VHOST.keys()
IN_TABLE = RULES.keys() | UNSET.keys() | UNCHECKED

ELSEWHERE = {"socket-file": "chroot-dir", "user-profile": "chroot-dir"}
"""Options that a row names beside the one of which the table has it."""


def named_options() -> set[str]:
    """What stands between backticks in a row, by itself or before a sign of equality or a bracket."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    quoted = [words for row in rows for words in re.findall(r"`([^`]+)`", row)]
    return {word for words in quoted for word in re.findall(r"^[a-z_-]+", words) if word in OPTIONS}


def test_the_table_names_options_that_there_are() -> None:
    assert sorted((IN_TABLE | CHECKED_BY_BOTH) - OPTIONS) == []


def test_there_is_something_to_compare() -> None:
    assert len(named_options()) > 10


@pytest.mark.parametrize("name", sorted(named_options()))
def test_what_the_page_of_deviations_names_stands_in_the_table(name: str) -> None:
    assert ELSEWHERE.get(name, name) in IN_TABLE


@pytest.mark.parametrize("name", sorted(RULES))
def test_each_rule_is_a_sentence_without_an_end(name: str) -> None:
    assert all(rule.says and rule.says[-1] not in ". " for rule in RULES[name])
