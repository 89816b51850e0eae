"""`ocserv plugin new NAME --kind auth|acct|config`: a distribution that passes its own tests, to go on from."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from importlib.metadata import entry_points

from .. import __version__
from ..errors import StartError
from ..plugin.api import API
from ..plugin.manager import DISTRIBUTIONS
from .plugin_files import BACKENDS, PYPROJECT, README, TESTS

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def main(words: Sequence[str]) -> int:
    """The words after `ocserv plugin`. Returns the exit code; StartError."""
    parser = argparse.ArgumentParser(prog="ocserv plugin", description="Plugins of your own.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="write a distribution to go on from")
    new.add_argument("name", metavar="NAME", help="of the back end, as ocserv.conf will have it")
    new.add_argument("--kind", choices=sorted(BACKENDS), default="auth", help="what it does (auth)")
    new.add_argument("--into", metavar="DIR", default=".", help="where its folder is made (here)")
    options = parser.parse_args(words)
    folder = write(options.name, options.kind, options.into)
    there = folder if os.path.relpath(folder).startswith(os.pardir) else f"./{os.path.relpath(folder)}"
    print(f"{there} is there. Try it:\n\n  pip install -e {there} pytest\n  pytest {there}")
    return 0


def write(name: str, kind: str, into: str) -> str:
    """Make the folder; its path. StartError where the name cannot be, or something is there already."""
    if not _NAME.fullmatch(name):
        raise StartError(
            f"'{name}' is no name for a back end: a lower-case letter, then such letters, digits and single dashes"
        )
    distribution = f"ocserv-{kind}-{name}"
    if owner := _owner_of(f"ocserv.{kind}", name, distribution):
        raise StartError(f"'{name}' is the back end of {owner}; two of one name would be refused at the server's start")
    words = {
        "name": name,
        "kind": kind,
        "distribution": distribution,
        "module": f"ocserv_{kind}_{name}".replace("-", "_"),
        "cls": "".join(part.capitalize() for part in (*name.split("-"), kind)),
        "api": f"({API[0]}, {API[1]})",
        "core": ".".join(__version__.split(".")[:2]),
        "next": str(int(__version__.split(".")[0]) + 1),
    }
    folder = os.path.join(os.path.abspath(into), distribution)
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README[kind],
        f"{words['module']}/__init__.py": BACKENDS[kind],
        f"{words['module']}/py.typed": "",
        f"tests/test_{words['module']}.py": TESTS[kind],
    }
    try:
        os.mkdir(folder)
        for path, template in files.items():
            file = os.path.join(folder, path)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "x", encoding="utf-8") as out:
                out.write(_fill(template, words))
    except OSError as error:
        raise StartError(f"{error.filename}: {error.strerror}") from error
    return folder


def _owner_of(group: str, name: str, distribution: str) -> str:
    """Another distribution that has this name, installed or one of our own; "" where it is free."""
    own = DISTRIBUTIONS.get((group, name), "")
    installed = [entry.dist.name for entry in entry_points(group=group, name=name) if entry.dist is not None]
    return next((other for other in installed if other != distribution), own)


def _fill(template: str, words: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda match: words[match[1]], template)
