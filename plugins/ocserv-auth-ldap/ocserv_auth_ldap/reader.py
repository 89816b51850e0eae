"""The file of the back end: `name = value` lines, `#` comments. An error tells file and line."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from ocserv_core.plugin import OptionError

MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    """One option as it was said. `place` is "FILE:LINE: ", or "" for what stands in the brackets."""

    name: str
    value: str = field(repr=False)
    place: str = ""


def read_given(options: Mapping[str, str]) -> list[Given]:
    """What the brackets say, and the file that `config` names. What stands in the brackets replaces what the file says
    of the same name. OptionError."""
    inline = [Given(name, value) for name, value in options.items() if name != "config"]
    if "config" not in options:
        return inline
    said = {given.name for given in inline}
    return [given for given in _read_file(options["config"]) if given.name not in said] + inline


def _read_file(path: str) -> list[Given]:
    text, mode = read_text(path)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        place = f"{path}:{number}: "
        if not equals or not name.strip():
            # Not the line itself: there may be a password in it.
            raise OptionError(f"{place}this is no line of the form name = value")
        found.append(Given(name.strip().lower(), value.strip(), place))
    secret = next((given for given in found if given.name == "bind-password"), None)
    if secret is not None:
        check_private(path, mode, secret.place)
    return found


def read_text(path: str, place: str = "") -> tuple[str, int]:
    """A file's text and its mode. OptionError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_FILE + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise OptionError(f"{place}cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OptionError(f"{place}{path} is no UTF-8") from None
    if len(text) > MAX_FILE:
        raise OptionError(f"{place}{path} is longer than {MAX_FILE} characters")
    return text, mode


def check_private(path: str, mode: int, place: str) -> None:
    """OptionError where others than its owner may read it."""
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise OptionError(f"{place}{path} has a password in it and others may read it; chmod 600 {path}")
