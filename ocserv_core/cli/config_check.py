"""`ocserv config check FILE`: what is wrong with a configuration, and what in it the C server understands otherwise;
`ocserv config check --explain OPTION`: what the manual says of an option. Opens no other file and needs no root:
certificates and back ends are tried by `ocserv --test-config`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec

from ..config.build import notes_on
from ..config.differences import differences
from ..config.manual import explain
from ..errors import StartError


class _Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """kind: "error", "warning" or "difference". line: 0 where it is of the whole file."""

    kind: str
    file: str
    line: int
    text: str
    option: str = ""


_TITLES = {"error": "error: ", "warning": "warning: ", "difference": "differs: "}


def main(words: Sequence[str]) -> int:
    """The words after `ocserv config`. Returns the exit code: 1 where the file cannot be used; StartError."""
    options = _parse(words)
    if options.explain:
        print(_explained(options.explain), end="")
        return 0
    findings = _findings(options.file)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        for finding in findings:
            print(_line(finding))
    return 1 if any(finding.kind == "error" for finding in findings) else 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ocserv config", description="Configurations.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="what is wrong with a file, and what differs from the C server")
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", metavar="FILE", help="an ocserv.conf")
    what.add_argument("--explain", metavar="OPTION", help="print what the manual says of an option")
    check.add_argument("--json", action="store_true", help="print an array of findings")
    return parser.parse_args(words)


def _explained(option: str) -> str:
    try:
        return explain(option)
    except KeyError as error:
        raise StartError(error.args[0]) from None


def _findings(file: str) -> list[_Finding]:
    """In the order of the lines; of a line, its errors first; what is of the whole file last."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            text = opened.read()
    except OSError as error:
        raise StartError(f"cannot read '{file}': {error.strerror}") from None
    notes = notes_on(text, file)
    found = [_Finding("error", file, error.line, error.message) for error in notes.errors]
    found += [_warning(file, warning) for warning in notes.warnings]
    found += [_Finding("difference", file, one.line, one.text, one.option) for one in differences(text, file)]
    kinds = list(_TITLES)
    return sorted(found, key=lambda finding: (not finding.line, finding.line, kinds.index(finding.kind)))


def _warning(file: str, text: str) -> _Finding:
    """Of a line `FILE:LINE: sentence`, or `FILE: sentence`."""
    number, _, sentence = text.removeprefix(f"{file}:").partition(": ")
    if number.isdigit():
        return _Finding("warning", file, int(number), sentence)
    return _Finding("warning", file, 0, text.removeprefix(f"{file}: "))


def _line(finding: _Finding) -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    option = f"{finding.option}: " if finding.option else ""
    return f"{place}: {_TITLES[finding.kind]}{option}{finding.text}"
