"""The declared options as a reference text: the whole of it (a test holds docs/options.md to it), or one of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .declare import Declared, Repeat, with_aliases
from .differences_table import RULES, UNSET
from .old_words import OLD_WORDS
from .server import SERVER
from .user import USER
from .values import BackendSpec
from .vhost import VHOST

_OPTIONS = with_aliases({**USER, **VHOST, **SERVER})

_HEAD = """# Options of ocserv.conf

Made from the declarations in `ocserv_core/config/`; `tests/config/test_manual.py` compares them and says how to
renew this page.

A line is `name = value`. Durations are seconds, or a number with `s`, `m`, `h` or `d`. Booleans are `true`, `yes`,
`on`, `1` and `false`, `no`, `off`, `0`. A value that is not of its kind or not in its range is an error that names
file and line. A line that begins with a blank is one more value of the option above it, and a warning says so. In the
column *notes*, *restart* means that a reload does not change the option, *repeat* that each line adds a value, *user*
that the option may also stand in the file of a user or group.
"""

_VHOSTS = """## For each virtual host

Before the first section they are the default virtual host's, from which the sections `[vhost:NAME]` inherit.
"""

_TABLE = "| option | value | default | notes | meaning |\n| --- | --- | --- | --- | --- |\n"


def render() -> str:
    """The whole reference in Markdown."""
    only_user = [option for name, option in USER.items() if name not in VHOST]
    return "\n".join(
        (
            _HEAD,
            "## For the whole server\n\nThese stand before the first section.\n",
            _table(SERVER.values()),
            _VHOSTS,
            _table(VHOST.values()),
            "## For a user or group only\n",
            _table(only_user),
            "## Old words\n",
            "".join(f"* `{name}` {word.says}.\n" for name, word in OLD_WORDS.items()),
        )
    )


def explain(name: str) -> str:
    """What the manual says of one option, by its name, an alias or an old word. KeyError where there is none, with
    the nearest name in its message."""
    if name in OLD_WORDS:
        return f"{name}\n\n{name} {OLD_WORDS[name].says}.\n"
    if name not in _OPTIONS:
        near = difflib.get_close_matches(name, sorted(_OPTIONS.keys() | OLD_WORDS.keys()), 1, cutoff=0.75)
        raise KeyError(f"the option '{name}' is unknown" + (f", did you mean '{near[0]}'?" if near else ""))
    declared = _OPTIONS[name]
    facts = "".join(f"  {word:<8} {says}\n" for word, says in _facts(declared).items())
    apart = "".join(f"  {says}\n" for says in _apart(declared.name))
    tail = f"\nWhere a line has it, this may differ from the C server:\n{apart}" if apart else ""
    return f"{name} = {declared.option.syntax.says}\n\n{declared.option.doc}\n\n{facts}{tail}"


def _facts(declared: Declared) -> dict[str, str]:
    option = declared.option
    aliases = {"aliases": ", ".join(option.aliases)} if option.aliases else {}
    return {
        "scope": _scope(declared),
        "default": _default(declared).strip("`") or "none",
        "repeat": option.repeat.value,
        "reload": "takes effect" if option.reloadable else "without effect until the next start",
        **aliases,
    }


def _scope(declared: Declared) -> str:
    if declared.name in SERVER:
        return "the whole server; before the first section"
    if declared.name not in VHOST:
        return "a user or group, in its own file"
    where = "each virtual host" if declared.option.inherited else "each virtual host, not inherited by sections"
    return f"{where}; also in the file of a user or group" if declared.per_user else where


def _apart(name: str) -> list[str]:
    unset = [UNSET[name]] if name in UNSET else []
    return [*unset, *(rule.says for rule in RULES.get(name, ()))]


def _table(options: Iterable[Declared]) -> str:
    return _TABLE + "".join(_row(option) for option in options)


def _row(declared: Declared) -> str:
    option = declared.option
    names = ", ".join(f"`{name}`" for name in (declared.name, *option.aliases))
    cells = (names, option.syntax.says, _default(declared), _notes(declared), option.doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(declared: Declared) -> str:
    value = declared.default
    if isinstance(value, BackendSpec):
        return f"`{value.name}`"
    if value is None or value == () or value == "":
        return ""
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _notes(declared: Declared) -> str:
    option = declared.option
    words = {
        "restart": not option.reloadable,
        "repeat": option.repeat is Repeat.APPEND,
        "first line wins": option.repeat is Repeat.FIRST,
        "not inherited": not option.inherited,
        "user": declared.per_user,
    }
    return ", ".join(word for word, holds in words.items() if holds)
