"""Imports point upward only, and the actors never import each other (docs/design.md §1)."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from ocserv_core.worker.plugins import NOT_IN_WORKERS

from .source import ACTORS, DOORS, MEANS, PURE, WORDS, libraries, modules, modules_of, own_imports, room_of, tree_of

ABOVE = {
    **dict.fromkeys(("", *WORDS), ("", *WORDS)),
    **dict.fromkeys(PURE, ("", *WORDS, *PURE)),
    **dict.fromkeys(MEANS, ("", *WORDS, *PURE, *MEANS)),
    **{actor: ("", *WORDS, *PURE, *MEANS, actor) for actor in ACTORS},
    **dict.fromkeys(DOORS, ("", *WORDS, *PURE, *MEANS, *ACTORS, *DOORS)),
    "testing": ("", *WORDS, *PURE, *MEANS, "secmod", "testing"),
}
"""room → the rooms that it may import."""

CLOSED: dict[str, dict[str, tuple[str, ...]]] = {
    "secmod": {"protocol": (), "bridge": ()},
    "main": {"bridge": (), "protocol": ("protocol.udp_peek",)},
    "host": {"protocol": (), "bridge": (), "state": ()},
    "worker": {"plugin": ("plugin.api", "plugin.worker"), "state": ("state.latency",)},
}
"""actor → rooms above it that are closed to it, but for the modules named."""

PURE_LIBRARIES = {
    *("__future__", "typing", "types", "enum", "dataclasses", "collections", "collections.abc", "functools"),
    *(
        "base64",
        "hashlib",
        "hmac",
        "html",
        "ipaddress",
        "itertools",
        "math",
        "re",
        "struct",
        "urllib.parse",
        "xml.parsers",
    ),
    *("difflib", "h11", "msgspec"),
}
"""What computes and does nothing else. No time, os, random, secrets, socket; no logging."""

OWNERS = {
    "pyroute2": {"system.netlink"},
    "stevedore": {"plugin.manager"},
    "pluggy": {"main.plugins", "plugin.hookspecs", "plugin.manager", "secmod.instance"},
    "cryptography": {"secmod.key_files", "secmod.keys", "cli.quickstart", "testing.server"},
    "cffi": {"bridge.native.build"},
    "h11": {"protocol.http1"},
    "argon2": {"system.crypt"},
    "setproctitle": {"system.process"},
    "sqlite3": {"secmod.store"},
}
"""library → the only modules that import it."""


def test_every_room_has_its_place() -> None:
    assert {room_of(module) for module in modules()} == set(ABOVE)


@pytest.mark.parametrize("module", modules())
def test_imports_point_upward(module: str) -> None:
    allowed = ABOVE[room_of(module)]
    assert [name for name in own_imports(module) if room_of(name) not in allowed] == []


@pytest.mark.parametrize("actor", CLOSED)
def test_an_actor_keeps_out_of_rooms_that_are_closed_to_it(actor: str) -> None:
    taken = [
        f"{module} imports {name}"
        for module in modules_of(actor)
        for name in own_imports(module)
        if room_of(name) in CLOSED[actor] and name not in CLOSED[actor][room_of(name)]
    ]
    assert taken == []


@pytest.mark.parametrize("module", [module for room in PURE for module in modules_of(room)])
def test_a_pure_module_has_no_clock_no_chance_and_no_world(module: str) -> None:
    assert set(libraries(module)) <= PURE_LIBRARIES


@pytest.mark.parametrize("module", [module for room in PURE for module in modules_of(room)])
def test_a_pure_module_opens_and_prints_nothing(module: str) -> None:
    called = {
        node.func.id
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called & {"open", "print", "input", "eval", "exec", "__import__"} == set()


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_its_owners(library: str) -> None:
    users = {module for module in modules() if any(name.split(".")[0] == library for name in libraries(module))}
    assert users == OWNERS[library]


def test_a_nursery_loads_nothing_of_the_other_processes() -> None:
    script = "import sys, ocserv_core.worker.__main__ as m; m._load_what_would_be_loaded_late(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    rooms = {name.split(".")[1] for name in ran.stdout.split() if name.startswith("ocserv_core.")}
    assert loaded & NOT_IN_WORKERS == set()
    assert rooms & {"main", "secmod", "builtin", "cli"} == set()
    of_plugin = {name for name in ran.stdout.split() if name.startswith("ocserv_core.plugin.")}
    assert of_plugin == {f"ocserv_core.plugin.{name}" for name in ("api", "backends", "worker")}
