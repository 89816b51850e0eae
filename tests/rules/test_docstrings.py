"""The maps of the rooms, and a word of explanation for every public name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from .source import PACKAGE, ROOMS, modules, tree_of

WITHOUT_MAP: dict[str, str] = {}


@pytest.mark.parametrize("module", [module for module in modules() if module not in WITHOUT_MAP])
def test_a_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(tree_of(module))


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_of_a_room_names_every_file(room: str) -> None:
    folder = PACKAGE / room
    files = {str(path.relative_to(folder)) for kind in ("*.py", "*.c") for path in folder.rglob(kind)}
    # What the build leaves beside the sources is no file of the room.
    files -= {"__init__.py", "_native.c", "native/_native.c"}
    words = (ast.get_docstring(tree_of(room)) or "").split()
    assert {name for name in files if name not in words} == set()


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_of_a_room_names_no_file_that_is_not_there(room: str) -> None:
    folder = PACKAGE / room
    lines = (ast.get_docstring(tree_of(room)) or "").splitlines()
    named = {line.split()[0] for line in lines if line.split() and line.split()[0].endswith((".py", ".c"))}
    assert {name for name in named if not (folder / name).exists()} == set()


@pytest.mark.parametrize("module", modules())
def test_a_public_name_is_explained(module: str) -> None:
    assert [name for name, node in _public(tree_of(module)) if not ast.get_docstring(node)] == []


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _public(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, _Definition]]:
    """Functions, classes and their methods; nothing inside a private class, no function within a function."""
    for node in tree.body:
        if isinstance(node, _Definition) and not node.name.startswith("_") and not _is_told_elsewhere(node):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{prefix}{node.name}.")


def _is_told_elsewhere(node: _Definition) -> bool:
    """A second definition of a name, a function that only C calls, or a bare member of a Protocol: the class tells."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    bare = [ast.unparse(statement) for statement in node.body] == ["..."]
    return bare or any("def_extern" in name or name.endswith(("overload", ".setter")) for name in decorators)
