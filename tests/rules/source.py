"""The sources of ocserv_core as syntax trees, for tests that hold the rules of the house."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ocserv_core"

WORDS = ("errors", "model", "log")
PURE = ("config", "protocol", "state")
MEANS = ("ipc", "system", "bridge", "plugin")
ACTORS = ("main", "secmod", "host", "worker", "builtin")
DOORS = ("cli",)
ROOMS = (*PURE, *MEANS, *ACTORS, *DOORS)


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name below ocserv_core ("" for the package itself)."""
    return {_dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def tree_of(module: str) -> ast.Module:
    """Its syntax tree."""
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def room_of(module: str) -> str:
    """The first part of a module's name: its room, or one of the words."""
    return module.partition(".")[0]


def modules_of(room: str) -> list[str]:
    """A room's modules, its __init__ among them."""
    return [module for module in modules() if room_of(module) == room]


def own_imports(module: str) -> Iterator[str]:
    """The modules of ocserv_core that it imports, wherever the import stands."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            if base is not None:
                for alias in node.names:
                    deeper = f"{base}.{alias.name}".lstrip(".")
                    yield deeper if deeper in modules() else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == PACKAGE.name:
                    yield alias.name.partition(".")[2]


def libraries(module: str) -> Iterator[str]:
    """What it imports of the standard library and of others, by full dotted names."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _base(module: str, node: ast.ImportFrom) -> str | None:
    """The module of ocserv_core that a `from` names; None for a library."""
    if not node.level:
        first, _, rest = (node.module or "").partition(".")
        return rest if first == PACKAGE.name else None
    is_package = modules()[module].name == "__init__.py"
    parts = module.split(".") if module else []
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, *([node.module] if node.module else [])])
