"""Logging in the levels of the C server: one line an event, with process, user and client.

main and secmod call `open_log` once; the nursery and the workers hold no log: what they have to say they send to
main (`send_log`), which writes it in their name (`write_for`). Modules use `logging.getLogger(__name__)` and the
level names below. Errors, warnings and notices are always written; INFO needs `log-level` 2, DEBUG 3, HTTP 4,
TRANSFER 5, SENSITIVE 8, TLS 9. Cookies, passwords and keys are written at no level.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from dataclasses import dataclass

NOTICE = 25
HTTP = 9
TRANSFER = 8
SENSITIVE = 5
TLS = 4

LEVELS = (TLS, SENSITIVE, TRANSFER, HTTP, 10, 20, NOTICE, 30, 40, 50)
"""All levels in which anything is written, lowest first."""

_BY_LOG_LEVEL = ((9, TLS), (8, SENSITIVE), (5, TRANSFER), (4, HTTP), (3, logging.DEBUG), (2, logging.INFO))

_SYSLOG_PRIORITY = {
    logging.CRITICAL: "crit",
    logging.ERROR: "err",
    logging.WARNING: "warning",
    NOTICE: "notice",
    logging.INFO: "info",
}

for _level, _name in (
    (NOTICE, "NOTICE"),
    (HTTP, "HTTP"),
    (TRANSFER, "TRANSFER"),
    (SENSITIVE, "SENSITIVE"),
    (TLS, "TLS"),
):
    logging.addLevelName(_level, _name)


def threshold(log_level: int) -> int:
    """The lowest logging level that is written at ocserv's `log-level` (0–9)."""
    for minimum, level in _BY_LOG_LEVEL:
        if log_level >= minimum:
            return level
    return NOTICE


class Prefix:
    """Who speaks, in the C server's form: `worker[alice]: 192.0.2.7 `. Changed as more becomes known."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.user = ""
        self.client = ""

    def __str__(self) -> str:
        user = f"[{self.user}]" if self.user else ""
        client = f" {self.client}" if self.client else ""
        return f"ocserv-{self.process}{user}:{client} "


_SPEAKER = "ocserv_speaker"
"""A record's attribute: the Prefix of the process that main writes for."""


class _OneLine(logging.Formatter):
    """Keeps an event on one line, and what a client sent from forging another."""

    def __init__(self, prefix: Prefix | None) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        prefix = vars(record).get(_SPEAKER, self._prefix)
        text = f"{prefix or ''}{super().format(record)}"
        return "".join(c if c.isprintable() else {"\n": " | ", "\t": " "}.get(c, "?") for c in text)


class _Syslog(logging.handlers.SysLogHandler):
    def mapPriority(self, levelName: str) -> str:  # noqa: N802, N803 (the standard library's names)
        level = logging.getLevelName(levelName)
        return _SYSLOG_PRIORITY.get(level, "debug")


SYSLOG = "/dev/log"

LOG_VARIABLE = "OCSERV_LOG"
"""How main tells its siblings where the log goes: see LogTarget."""


@dataclass(frozen=True, slots=True)
class LogTarget:
    """Where a server's log goes. level: ocserv's 0–9; facility: syslog's, "" for no syslog."""

    level: int = 2
    stderr: bool = True
    facility: str = ""

    def environment(self) -> dict[str, str]:
        """For a sibling's environment."""
        return {LOG_VARIABLE: f"{self.level},{int(self.stderr)},{self.facility}"}

    @classmethod
    def of_environment(cls) -> LogTarget:
        """What main said; stderr where nobody said anything."""
        level, _, rest = os.environ.pop(LOG_VARIABLE, "2,1,").partition(",")
        stderr, _, facility = rest.partition(",")
        return cls(int(level), stderr == "1", facility)


def open_log(process: str, target: LogTarget) -> Prefix:
    """Send this process's log to stderr, to syslog, or to both. Returns the prefix, to be filled in.

    process: "main" or "sm". A syslog that nobody listens on is replaced by stderr.
    """
    prefix = Prefix(process)
    handlers: list[logging.Handler] = []
    if target.facility:
        try:
            handlers.append(_syslog(target.facility))
        except OSError as error:
            handlers.append(logging.StreamHandler(sys.stderr))
            sys.stderr.write(f"ocserv: no syslog ({error.strerror}), the log goes to stderr\n")
    if target.stderr and not any(type(handler) is logging.StreamHandler for handler in handlers):
        handlers.append(logging.StreamHandler(sys.stderr))
    _install(handlers, prefix, target)
    return prefix


def send_log(handler: logging.Handler, target: LogTarget) -> None:
    """Hand everything that this process would log to `handler`, each event as one line without a prefix."""
    _install([handler], None, target)


def write_for(speaker: Prefix, level: int, text: str) -> None:
    """A line of a process that holds no log, in its name. level: one of LEVELS."""
    _relayed.log(level, "%s", text, extra={_SPEAKER: speaker})


_relayed = logging.getLogger("ocserv_core.relayed")


def _install(handlers: list[logging.Handler], prefix: Prefix | None, target: LogTarget) -> None:
    for handler in handlers:
        handler.setFormatter(_OneLine(prefix))
        handler.addFilter(_is_ours_or_serious)
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(threshold(target.level))
    logging.raiseExceptions = False  # a log that cannot be written must not fill stderr with tracebacks


def _is_ours_or_serious(record: logging.LogRecord) -> bool:
    """Libraries log how they work at DEBUG, and may log what they were given: only their warnings are wanted.
    Our own plugins' loggers are named after their packages, `ocserv_…`."""
    return record.levelno >= logging.WARNING or record.name.startswith("ocserv")


def _syslog(facility: str) -> logging.Handler:
    handler = _Syslog(SYSLOG, facility=facility)
    handler.ident = f"ocserv[{os.getpid()}]: "
    return handler
