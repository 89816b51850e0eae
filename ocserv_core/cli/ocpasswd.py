"""ocpasswd, the editor of the password file that the plain back end reads: `user:groups:hash`, one a line.

Started by the administrator. The file is written anew beside the old one and renamed over it; `FILE.tmp` is also the
lock against a second editor. Lines without a colon (comments) are not kept.
"""

from __future__ import annotations

import argparse
import getpass
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn

from .. import __version__
from ..errors import OcservError
from ..system import crypt

DEFAULT_FILE = "/etc/ocserv/ocpasswd"
NO_GROUP = "*"

_USAGE = """\
Usage: ocpasswd [-c FILE] [-g GROUPS] [-d | -l | -u] USERNAME

  -c, --passwd=FILE        the password file (/etc/ocserv/ocpasswd)
  -g, --groupname=GROUPS   the user's groups, with commas between them
  -d, --delete             delete the user
  -l, --lock               lock the user: no password is right
  -u, --unlock             unlock the user
  -v, --version            print the version
  -h, --help               print this

Without -d, -l and -u the user's password is asked for, or read from standard input.
"""


class PasswdError(OcservError):
    """Nothing was changed, and why."""


Edit = Callable[[list[bytes]], bytes | None]
"""What becomes of the fields of a line of the user: a new line, or None where it is deleted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point. Returns the exit code."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except OcservError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _run(words: list[str]) -> int:
    options, names = _parse(words)
    if options.version or options.help:
        sys.stderr.write(_USAGE if options.help else f"ocpasswd of ocserv-core {__version__}\n")
        return 0
    if len(names) != 1 or options.delete + options.lock + options.unlock > 1:
        raise PasswdError(_USAGE.rstrip("\n"))
    user = _field("user name", names[0])
    file = _once("-c", options.passwd, DEFAULT_FILE)
    groups = _field("group", _once("-g", options.groupname, NO_GROUP))
    if options.delete:
        edit_users(file, user, lambda _fields: None)
    elif options.lock:
        edit_users(file, user, _lock)
    elif options.unlock:
        edit_users(file, user, _unlock)
    else:
        set_password(file, user, groups, read_password())
    return 0


# ---- the command line -----------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PasswdError(f"ocpasswd: {message}\n{_USAGE}".rstrip("\n"))


def _parse(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the words that are none. An unknown option is told and passed over, as by getopt."""
    parser = _Parser(add_help=False)
    parser.add_argument("-c", "--passwd", action="append", default=[])
    parser.add_argument("-g", "--groupname", action="append", default=[])
    for letter, name in ("d", "delete"), ("l", "lock"), ("u", "unlock"), ("v", "version"), ("h", "help"):
        parser.add_argument(f"-{letter}", f"--{name}", action="store_true")
    before, after = split_at_dashes(words)
    options, rest = parser.parse_known_args(before)
    for word in rest:
        if word.startswith("-"):
            print(f"ocpasswd: unrecognized option '{word}'", file=sys.stderr)
    return options, [word for word in rest if not word.startswith("-")] + after


def _once(option: str, given: list[str], default: str) -> str:
    """The value of an option that may not be given twice."""
    if len(given) > 1:
        raise PasswdError(f"{option} option cannot be specified multiple times")
    return given[0] if given else default


def split_at_dashes(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, which may be options, and what stands behind it, which may not."""
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _field(what: str, word: str) -> bytes:
    """A word that can stand in a field. A colon or a newline would make another line of it."""
    if not word or any(c in word for c in ":\r\n\0"):
        raise PasswdError(f"'{word}' cannot be a {what}: it is empty, or has a colon or a newline in it")
    return os.fsencode(word)


# ---- the password ---------------------------------------------------------------------------------------------


def read_password() -> bytes:
    """From the terminal, twice; otherwise the first line of standard input, without its newline."""
    return _ask_password() if sys.stdin.isatty() else _piped_password()


def _ask_password() -> bytes:
    password = getpass.getpass("Enter password: ")
    if getpass.getpass("Re-enter password: ") != password:
        raise PasswdError("Passwords do not match")
    if not password:
        raise PasswdError("Please specify a password")
    return os.fsencode(password)


def _piped_password() -> bytes:
    line = sys.stdin.buffer.readline()
    if len(line) < 2:
        raise PasswdError("Please specify a password")
    return line.removesuffix(b"\n")


def hash_of(password: bytes) -> str:
    """The hash that a new line gets: SHA-256 crypt, or MD5 crypt where the library is too old for it."""
    for method in ("$5$", "$1$"):
        hashed = crypt.hash_password(password, crypt.gensalt(method, secrets.token_bytes(16)))
        if hashed not in crypt.FAILURE_TOKENS:
            return hashed
    raise PasswdError("this password cannot be hashed: it is longer than 512 bytes, or has a zero byte in it")


# ---- the file -------------------------------------------------------------------------------------------------


def set_password(file: str, user: bytes, groups: bytes, password: bytes) -> None:
    """Give the user this password and these groups; file and user are made where they are missing."""
    new = b":".join((user, groups, hash_of(password).encode())) + b"\n"

    def change(lines: Iterable[bytes]) -> Iterator[bytes]:
        found = False
        for line in lines:
            mine = line.split(b":", 1)[0] == user
            found = found or mine
            yield new if mine else line if line.endswith(b"\n") else line + b"\n"
        if not found:
            yield new

    _rewrite(file, change, create=True)


def edit_users(file: str, user: bytes, edit: Edit) -> None:
    """Change or delete every line of the user; where there is none the file stays as it is."""

    def change(lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            fields = line.split(b":", 2)
            kept = edit(fields) if fields[0] == user else line
            if kept is not None:
                yield kept

    _rewrite(file, change, create=False)


def _lock(fields: list[bytes]) -> bytes:
    if len(fields) == 3 and not fields[2].startswith(b"!"):
        fields[2] = b"!" + fields[2]
    return b":".join(fields)


def _unlock(fields: list[bytes]) -> bytes:
    if len(fields) == 3:
        fields[2] = fields[2].removeprefix(b"!")
    return b":".join(fields)


def _rewrite(file: str, change: Callable[[Iterable[bytes]], Iterator[bytes]], *, create: bool) -> None:
    temporary = f"{file}.tmp"
    descriptor = _create_locked(file, temporary)
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.writelines(change(_lines(file, create=create)))
            new.flush()
            os.fsync(new.fileno())
        os.rename(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


def _create_locked(file: str, temporary: str) -> int:
    try:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise PasswdError(f"file '{file}' is locked.") from error
    except OSError as error:
        raise PasswdError(f"Cannot open '{temporary}' for writing.") from error


def _lines(file: str, *, create: bool) -> list[bytes]:
    """The lines that are kept: those with a colon in them."""
    try:
        with open(file, "rb") as old:
            return [line for line in old if b":" in line]
    except FileNotFoundError:
        if create:
            return []
        raise PasswdError(f"Cannot open '{file}' for reading.") from None
    except OSError as error:
        raise PasswdError(f"Cannot open '{file}' for reading.") from error


if __name__ == "__main__":
    sys.exit(main())
