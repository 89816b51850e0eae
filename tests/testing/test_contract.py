"""The contract is kept by who behaves, and broken by who does not: pytest runs it as an author's would."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

HEAD = """\
from ocserv_core.testing.contract import AuthContract
from tests.testing.backends import *

class TestIt(AuthContract):
    factory = {factory}
    right, wrong = {right}, ["haddock", "000000"]
"""
RIGHT = ["swordfish", "123456"]


def run(pytester: pytest.Pytester, factory: str, right: list[str] = RIGHT) -> tuple[int, list[str]]:
    """How many tests pass, and the names of those that fail."""
    pytester.makeconftest(f"import sys; sys.path.insert(0, {str(ROOT)!r})")
    pytester.makepyfile(HEAD.format(factory=factory, right=right))
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist", "--junitxml=out.xml")
    cases = ET.parse(pytester.path / "out.xml").getroot().iter("testcase")
    outcomes = [(case.attrib["name"], case.find("failure") is not None) for case in cases]
    return sum(1 for _, failed in outcomes if not failed), [name for name, failed in outcomes if failed]


@pytest.mark.parametrize("factory", ["Good", "GoodThread"])
def test_it_is_kept(pytester: pytest.Pytester, factory: str) -> None:
    passed, failed = run(pytester, factory)
    assert failed == []
    assert passed >= 15


@pytest.mark.parametrize(
    ("factory", "broken"),
    [
        ("TakesAnyOption", "test_an_unknown_option_is_refused_by_its_name"),
        ("Talks", "test_no_answer_is_told_to_anybody"),
        ("Remembers", "test_no_answer_is_told_to_anybody"),
        ("LetsEmptyIn", "test_empty_answers_are_denied"),
        ("StumblesOverNames", "test_an_odd_name_is_no_fault[*]"),
        ("Silent", "test_wrong_answers_are_denied"),
    ],
)
def test_it_is_broken(pytester: pytest.Pytester, factory: str, broken: str) -> None:
    _, failed = run(pytester, factory)
    assert broken in failed
