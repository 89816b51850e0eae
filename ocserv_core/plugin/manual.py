"""The hook specifications as a reference text; a test holds docs/hooks.md to it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from .api import API
from .hookspecs import SPECS
from .worker import WorkerSpecs

_HEAD = """# Hooks

Made from `hookspecs.py` and `worker.py` of `ocserv_core/plugin/`; `tests/plugin/test_manual.py` compares them and says
how to renew this page.
How a back end is written: [writing-a-backend.md](writing-a-backend.md).

This is plugin API {major}.{minor}; a class says the one that it was written for: `ocserv_api = ({major}, {minor})`. A
newer minor is warned of, another major refused. A hook may be implemented with fewer arguments than its specification
has.
"""


def render() -> str:
    """The whole reference in Markdown."""
    major, minor = API
    return _HEAD.format(major=major, minor=minor) + "".join(_section(specs) for specs in (*SPECS, WorkerSpecs))


def _section(specs: type) -> str:
    return f"\n## {_text(specs)}\n" + "".join(_hook(name, function) for name, function in _hooks(specs))


def _hooks(specs: type) -> Iterable[tuple[str, object]]:
    return ((name, member) for name, member in vars(specs).items() if name.startswith("ocserv_"))


def _hook(name: str, function: object) -> str:
    assert callable(function)
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    arguments = ", ".join(str(parameter) for parameter in own)
    return (
        f"\n### {name}\n\n```python\n{name}({arguments}) -> {signature.return_annotation}\n```\n\n{_text(function)}\n"
    )


def _text(thing: object) -> str:
    return inspect.getdoc(thing) or ""
