"""occtl, the control command: its options, then one command, or a prompt where there is none.

Started by the administrator. It asks main over the control socket and never touches anything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .. import __version__
from . import occtl_commands
from .occtl_console import OK, Console

_USAGE = """\
occtl [OPTIONS] [COMMAND]

  -s, --socket-file FILE   the server's control socket
  -j, --json               print JSON
  -n, --no-pager           print without a pager
      --debug              show more in some commands
  -v, --version            print the version
  -h, --help               print this

Without a command, commands are read at a prompt.

"""

_VERSION = f"occtl of ocserv-core {__version__}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point. Returns the exit code."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments), Console())
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the pipe has seen enough; the interpreter must not complain of it when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _run(words: list[str], console: Console) -> int:
    prompt_follows = not words
    while words and words[0].startswith("-"):
        option = words.pop(0)
        prompt_follows = not words
        match _option(option):
            case "json":
                # `occtl -j` alone asks nothing and fails; so does -n.
                console.json, prompt_follows = True, False
            case "no-pager":
                console.pager, prompt_follows = False, False
            case "debug":
                console.debug = True
            case "socket-file" if words:
                console.socket_file = words.pop(0)
                prompt_follows = not words
            case "version":
                console.err.write(_VERSION)
                return OK
            case _:
                console.say(_USAGE)
                return occtl_commands.help_(console, "")
    if prompt_follows:
        console.json = False
        return _prompt(console)
    return occtl_commands.run(console, " ".join(words))


def _option(word: str) -> str:
    """Options are known by their first letter, as scripts have them: `-j`, `--j`, `--json`."""
    long = word.startswith("--")
    letter = word[2:3] if long else word[1:2]
    names = {"j": "json", "n": "no-pager", "s": "socket-file", "v": "version"} | ({"d": "debug"} if long else {})
    return names.get(letter, "help")


def _prompt(console: Console) -> int:
    console.err.write(_VERSION + "Type help or ? for the commands.\n")
    _complete_from(console)
    while True:
        try:
            line = input("> ")
        except EOFError:
            console.say("\n")
            return OK
        except KeyboardInterrupt:
            console.say("\n")
            continue
        if line.strip():
            try:
                occtl_commands.run(console, line, interactive=True)
            except SystemExit:
                return OK


def _complete_from(console: Console) -> None:
    import readline

    def complete(_text: str, state: int) -> str | None:
        found = occtl_commands.candidates(console, readline.get_line_buffer().lstrip())
        return found[state] if state < len(found) else None

    # The whole line is one word, since commands have blanks in them.
    readline.set_completer_delims("")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")


if __name__ == "__main__":
    sys.exit(main())
