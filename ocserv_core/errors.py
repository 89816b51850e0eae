"""The tree of errors. Each knows its consequence: an exit code, an HTTP status, a disconnect reason.

    OcservError            for the operator: one clear line, no traceback
    ├── ConfigError        a line of a configuration file is wrong
    │   └── ConfigErrors   several of them
    ├── StartError         the machine refuses: port in use, no TUN, no root
    ├── StateError         the state folder or a store in it cannot be used
    ├── SystemFailure      the kernel refused one request, for one client
    ├── PeerViolation      a sibling process sent what its permits do not allow
    ├── PeerLost           a sibling process is gone
    └── ClientError        a client broke the protocol; ends that client only
        ├── ClientGone     … or is gone
        └── HttpViolation  … in HTTP; answered with `status`

Anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

from .model import DisconnectReason


class OcservError(Exception):
    """Shown to the operator as one line; `exit_code` is what a command that meets it exits with."""

    exit_code = 1


class ConfigError(OcservError):
    """A configuration that cannot be used. `line` is 1-based; 0 where no single line is to blame."""

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        self.message = message
        self.file = file
        self.line = line
        where = ":".join(part for part in (file, str(line) if line else "") if part)
        super().__init__(f"{where}: {message}" if where else message)


class ConfigErrors(ConfigError):
    """Every error that was found in one reading, in the order of the file."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        OcservError.__init__(self, "\n".join(str(error) for error in errors))


class StartError(OcservError):
    """The server cannot start on this machine as it is."""


class StateError(OcservError):
    """The state folder, or a file in it, cannot be used."""


class SystemFailure(OcservError):
    """The kernel refused something that one client needed."""


class PeerViolation(OcservError):
    """A sibling process sent a message that is unknown, malformed or not permitted now. It is ended."""


class PeerLost(OcservError):
    """The other end of a channel is gone."""


class ClientError(OcservError):
    """A client broke the protocol. The worker ends that client with `reason` and nothing else is touched."""

    reason = DisconnectReason.ERROR


class ClientGone(ClientError):
    """The client has closed its connection while it was served."""


class HttpViolation(ClientError):
    """A request that is refused before its meaning is looked at; `status` is answered, then the end."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)
