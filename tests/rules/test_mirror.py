"""The tests have the shape of the code."""

from __future__ import annotations

import pytest

from .source import PURE, ROOT, modules_of

TESTED_ELSEWHERE = {
    "config.server": "declarations; test_declare.py goes through all of them, test_build.py reads them",
    "config.draft": "the inner half of build.py, tested through read_config in test_build.py",
    "config.tree": "three structs, made in test_build.py and looked up in test_files.py",
    "config.launch": "one struct without a method; tests/cli/test_ocserv.py makes it of command lines",
}
"""Files of the pure rooms without a test file of their own, and why."""


def mirror_of(module: str) -> str:
    """Where its tests belong."""
    room, _, name = module.partition(".")
    return f"tests/{room}/test_{name}.py"


@pytest.mark.parametrize("module", [m for room in PURE for m in modules_of(room) if "." in m])
def test_a_pure_module_has_its_tests(module: str) -> None:
    assert (ROOT / mirror_of(module)).exists() != (module in TESTED_ELSEWHERE)


@pytest.mark.parametrize("room", PURE)
def test_a_test_file_has_its_module(room: str) -> None:
    mirrored = {mirror_of(module) for module in modules_of(room)}
    files = {f"tests/{room}/{path.name}" for path in (ROOT / "tests" / room).glob("test_*.py")}
    assert files - mirrored == set()
