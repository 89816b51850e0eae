"""The declared options as a reference text; a test holds docs/options.md to it."""

from __future__ import annotations

from collections.abc import Iterable

from .declare import Declared, Repeat
from .old_words import OLD_WORDS
from .server import SERVER
from .user import USER
from .values import BackendSpec
from .vhost import VHOST

_HEAD = """# Options of ocserv.conf

Made from the declarations in `ocserv_core/config/`; `tests/config/test_manual.py` compares them and says how to
renew this page.

A line is `name = value`. Durations are seconds, or a number with `s`, `m`, `h` or `d`. Booleans are `true`, `yes`,
`on`, `1` and `false`, `no`, `off`, `0`. A value that is not of its kind or not in its range is an error that names
file and line. A line that begins with a blank is one more value of the option above it, and a warning says so. In the
column *notes*, *restart* means that a reload does not change the option, *repeat* that each line adds a value, *user*
that the option may also stand in the file of a user or group, *later* that it is recognised but has no effect yet.
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
        "later": not option.supported,
    }
    return ", ".join(word for word, holds in words.items() if holds)
