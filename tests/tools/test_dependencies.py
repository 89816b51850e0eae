"""docs/dependencies.md names each dependency and its reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAMED = (
    *PROJECT["project"]["dependencies"],
    *PROJECT["build-system"]["requires"],
    *PROJECT["dependency-groups"]["dev"],
)


@pytest.mark.parametrize("requirement", NAMED)
def test_a_dependency_has_its_reason(requirement: str) -> None:
    name = re.split(r"[<>=~! \[]", requirement)[0]
    rows = [line for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines() if line.startswith("|")]
    assert any(re.search(rf"\b{re.escape(name)}\b", row.split("|")[1]) for row in rows)


def test_system_packages_of_the_set_up_are_explained() -> None:
    setup = (ROOT / "tools" / "setup").read_text()
    packages = {word for group in re.findall(r'PACKAGES="([^"]*)"', setup) for word in group.split()}
    text = (ROOT / "docs" / "dependencies.md").read_text()
    assert {package for package in packages if package not in text} == set()
