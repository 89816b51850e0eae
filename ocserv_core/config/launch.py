"""What the command line says of how the server is started. Made by cli/ocserv.py, obeyed by main."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One start of the server. `config_file` and `pid_file` are absolute; an empty `pid_file` means that the
    configuration's counts. `debug` is 0 where -d was not given; the configuration's log-level goes before it.
    `syslog_facility` is empty where it was not given. `strict` makes unknown options errors (with --test-config).
    `greeting` is printed once the server listens; it may hold a password.
    """

    config_file: str
    pid_file: str = ""
    foreground: bool = False
    debug: int = 0
    log_stderr: bool = False
    syslog: bool = False
    syslog_facility: str = ""
    no_chdir: bool = False
    traceable: bool = False
    strict: bool = False
    greeting: str = field(default="", repr=False)
