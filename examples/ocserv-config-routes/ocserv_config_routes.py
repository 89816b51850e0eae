"""`session-config = "routes[file=/etc/ocserv/routes]"`: a group's routes, `GROUP NETWORK NETWORK …` a line."""

from collections.abc import Mapping
from pathlib import Path

from ocserv_core.plugin import BackendContext, OptionError, Options, Session, Unavailable, hookimpl


class GroupRoutes:
    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        if set(options) != {"file"}:
            raise OptionError("say file=FILE, which has a group and its networks in each line")
        self._file = Path(options["file"])

    @hookimpl
    def ocserv_session_config(self, session: Session) -> Options:
        try:
            lines = [line.split() for line in self._file.read_text(encoding="utf-8").splitlines()]
        except OSError as error:
            raise Unavailable(f"{self._file}: {error.strerror}") from error
        return next(({"route": networks} for group, *networks in filter(None, lines) if group == session.group), {})
