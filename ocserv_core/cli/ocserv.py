"""ocserv, the server's command line: options, then main's `run` or `test_config`; or a quickstart before it.

Started by the administrator or an init system. It decides nothing but what the options say.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..config.launch import Launch
from ..config.values import FACILITY
from ..errors import OcservError, StartError

DEFAULT_CONFIG = "/etc/ocserv/ocserv.conf"
SYSLOG_SOCKET = "/dev/log"
DEFAULT_QUICKSTART = "ocserv-quickstart"

# Scripts look for the C server's spelling.
_SPELLINGS = {"pam": "PAM"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point. Returns the exit code."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except OcservError as error:
        print(f"ocserv: {error}", file=sys.stderr)
        return error.exit_code


def _run(words: list[str]) -> int:
    if words[:1] == ["plugin"]:
        from . import plugin_new

        return plugin_new.main(words[1:])
    if words[:1] == ["config"]:
        from . import config_check

        return config_check.main(words[1:])
    options = _parse(words)
    if options.version:
        sys.stderr.write(version_text())
        return 0
    if not options.test_config and os.geteuid() != 0:
        raise StartError("only root can start the server")
    launch = _launch(options)
    if options.test_config:
        from ..main.server import test_config

        return test_config(launch)
    from ..main.server import run

    return run(launch)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StartError(f"{message} (ocserv --help shows the options)")


def _parse(words: list[str]) -> argparse.Namespace:
    """The options. An unknown one is told and passed over, as by getopt; a word that is no option is an error."""
    options, rest = _parser().parse_known_args(words)
    for word in rest:
        if not word.startswith("-"):
            raise StartError(f"'{word}' is no option (ocserv --help shows them)")
        print(f"ocserv: unrecognized option '{word}'", file=sys.stderr)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ocserv",
        description="An OpenConnect/AnyConnect-compatible VPN server.",
        epilog="ocserv plugin new NAME --kind auth|acct|config: write a plugin of your own to go on from."
        " ocserv config check FILE: what is wrong with it, and what differs from the C server.",
    )
    add = parser.add_argument
    add("-f", "--foreground", action="store_true", help="stay in the foreground")
    add("-d", "--debug", type=int, default=0, metavar="N", help="log level 0 to 9, where the file sets none; to stderr")
    add("-c", "--config", metavar="FILE", help=f"the configuration ({DEFAULT_CONFIG})")
    add("-p", "--pid-file", default="", metavar="FILE", help="write the process id there")
    add("-t", "--test-config", action="store_true", help="read the configuration, say what is wrong with it, and exit")
    add("--strict", action="store_true", help="with -t: an unknown option is an error")
    add("--no-chdir", action="store_true", help="stay in this folder")
    add("-x", "--traceable", action="store_true", help="let debuggers attach")
    add("--log-stderr", action="store_true", help="log to stderr")
    add("--syslog", action="store_true", help="log to syslog (what is done where nothing is said)")
    facilities = "daemon, user, auth, authpriv, local0 to local7"
    add("--syslog-facility", type=_facility, metavar="NAME", help=facilities)
    add(
        "--quickstart",
        nargs="?",
        const=DEFAULT_QUICKSTART,
        metavar="DIR",
        help=f"make DIR (./{DEFAULT_QUICKSTART}) with a certificate, a user and a configuration, and serve it",
    )
    add("-v", "--version", action="store_true", help="print the version and the back ends that are installed")
    return parser


def _facility(name: str) -> str:
    """As `syslog-facility` in the file: with a name that syslog does not know, every line would be lost."""
    try:
        return str(FACILITY.parse(name))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _launch(options: argparse.Namespace) -> Launch:
    quickstart = options.quickstart is not None
    if quickstart and options.config:
        raise StartError("--quickstart and --config exclude each other")
    syslog = _syslog(asked=options.syslog, elsewhere=options.log_stderr or quickstart)
    file, greeting = (
        _quickstart(options.quickstart) if quickstart else (_readable(options.config or DEFAULT_CONFIG), "")
    )
    return Launch(
        config_file=file,
        pid_file=os.path.abspath(options.pid_file) if options.pid_file else "",
        foreground=options.foreground or quickstart,
        debug=options.debug,
        log_stderr=options.log_stderr or options.debug > 0 or quickstart or not syslog,
        syslog=syslog,
        syslog_facility=options.syslog_facility or "",
        no_chdir=options.no_chdir,
        traceable=options.traceable,
        strict=options.strict,
        greeting=greeting,
    )


def _syslog(*, asked: bool, elsewhere: bool) -> bool:
    """Syslog is where the log goes when nothing is said; a machine without it gets the log on stderr."""
    if asked and not os.path.exists(SYSLOG_SOCKET):
        raise StartError(f"there is no {SYSLOG_SOCKET}, so nothing can be logged to syslog")
    return asked or (not elsewhere and os.path.exists(SYSLOG_SOCKET))


def _quickstart(folder: str) -> tuple[str, str]:
    """The configuration that it made, and the line to paste, which is shown when there is a server to connect to."""
    from . import quickstart

    ready = quickstart.prepare(folder)
    return ready.config_file, ready.line()


def _readable(file: str) -> str:
    path = os.path.abspath(file)
    if not os.access(path, os.R_OK):
        raise StartError(f"cannot read the configuration {path}")
    return path


def version_text() -> str:
    """The version, and the back ends that are installed, which scripts look for."""
    groups = ("ocserv.auth", "ocserv.acct", "ocserv.config")
    names = {entry.name for group in groups for entry in importlib.metadata.entry_points(group=group)}
    spelled = sorted(_SPELLINGS.get(name, name) for name in names)
    return f"OpenConnect VPN server ocserv-core {__version__}\n\nInstalled: {', '.join(['AnyConnect', *spelled])}\n"


if __name__ == "__main__":
    sys.exit(main())
