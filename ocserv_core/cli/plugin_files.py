"""The files that `ocserv plugin new` writes; @word@ is filled in. Each kind is complete: it does something already."""

from __future__ import annotations

PYPROJECT = """\
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"

[project]
name = "@distribution@"
version = "0.1.0"
description = "@name@ for ocserv-core"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["ocserv-core>=@core@,<@next@"]

[project.entry-points."ocserv.@kind@"]
@name@ = "@module@:@cls@"

[tool.setuptools]
packages = ["@module@"]

[tool.setuptools.package-data]
"@module@" = ["py.typed"]
"""

README = {
    "auth": """\
# @distribution@

Logins to ocserv-core by @name@: `pip install @distribution@`, and in `ocserv.conf`

    auth = "@name@[password=PASSWORD]"

| option | |
| --- | --- |
| `password` | what lets everybody in; put your own way of knowing there |
""",
    "acct": """\
# @distribution@

Sessions of ocserv-core accounted by @name@: `pip install @distribution@`, and in `ocserv.conf`

    acct = "@name@[file=FILE]"

| option | |
| --- | --- |
| `file` | where a line is written at the start and the end of each session |
""",
    "config": """\
# @distribution@

What holds for a user's session in ocserv-core, by @name@: `pip install @distribution@`, and in `ocserv.conf`

    session-config = "@name@[dns=ADDRESS]"

| option | |
| --- | --- |
| `dns` | the DNS server of everybody; put your own way of knowing there |
""",
}

BACKENDS = {
    "auth": '''\
"""`auth = "@name@[password=PASSWORD]"`: whoever knows the password gets in."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from ocserv_core.plugin import Ask, BackendContext, Denied, Identity, Login, OptionError, Prompt, hookimpl


class @cls@:
    """The back end, made once for each line of ocserv.conf that names it."""

    ocserv_api = @api@

    def __init__(self, options: Mapping[str, str], context: BackendContext) -> None:
        if set(options) != {"password"}:
            raise OptionError("say password=PASSWORD, and nothing else")
        self._password = options["password"].encode()

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        """One login: ask, then let in or refuse."""
        password = await ask(Prompt("Please enter your password."))
        if not hmac.compare_digest(password.encode(), self._password):
            raise Denied("Login failed.")
        return Identity(login.username)
''',
    "acct": '''\
"""`acct = "@name@[file=FILE]"`: a line at the start and the end of each session."""

from __future__ import annotations

from collections.abc import Mapping

from ocserv_core.plugin import BackendContext, DisconnectReason, OptionError, Session, Traffic, Unavailable, hookimpl


class @cls@:
    """The back end. Its hooks block, so each call has a thread of its own."""

    ocserv_api = @api@

    def __init__(self, options: Mapping[str, str], context: BackendContext) -> None:
        if set(options) != {"file"}:
            raise OptionError("say file=FILE, and nothing else")
        self._file = options["file"]

    @hookimpl
    def ocserv_session_open(self, session: Session) -> None:
        """What may come twice says the same twice: `sid` tells."""
        self._write(f"{session.sid} {session.username} start")

    @hookimpl
    def ocserv_session_close(self, session: Session, traffic: Traffic, reason: DisconnectReason, at: float) -> None:
        """The traffic is the whole session's."""
        facts = (f"{at:.0f}", traffic.rx_bytes, traffic.tx_bytes, reason.text)
        self._write(" ".join(map(str, (session.sid, session.username, "end", *facts))))

    def _write(self, line: str) -> None:
        try:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(f"{line}\\n")
        except OSError as error:
            raise Unavailable(f"{self._file}: {error.strerror}") from error
''',
    "config": '''\
"""`session-config = "@name@[dns=ADDRESS]"`: the DNS server of everybody."""

from __future__ import annotations

from collections.abc import Mapping

from ocserv_core.plugin import BackendContext, OptionError, Options, Session, hookimpl


class @cls@:
    """The back end, made once for each line of ocserv.conf that names it."""

    ocserv_api = @api@

    def __init__(self, options: Mapping[str, str], context: BackendContext) -> None:
        if set(options) != {"dns"}:
            raise OptionError("say dns=ADDRESS, and nothing else")
        self._dns = options["dns"]

    @hookimpl
    async def ocserv_session_config(self, session: Session) -> Options:
        """Lines as they may stand in the file of a user."""
        return {"dns": self._dns}
''',
}

TESTS = {
    "auth": '''\
"""@cls@ keeps the contract of every back end, and does what is its own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from ocserv_core.testing.contract import AuthContract
from ocserv_core.testing.dialogue import Stage

from @module@ import @cls@


class Test@cls@(AuthContract):
    factory = @cls@
    right = ("swordfish",)
    wrong = ("haddock",)

    @pytest.fixture
    def options(self) -> Mapping[str, str]:
        return {"password": "swordfish"}

    def test_it_asks_for_the_password(self, stage: Stage) -> None:
        assert stage.log_in("zoe").asks == "Please enter your password."
''',
    "acct": '''\
"""@cls@ keeps the contract of every back end, and does what is its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from ocserv_core.plugin import Traffic
from ocserv_core.testing.contract import AcctContract
from ocserv_core.testing.dialogue import Stage, a_session

from @module@ import @cls@


class Test@cls@(AcctContract):
    factory = @cls@

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, str]:
        return {"file": str(tmp_path / "sessions")}

    def test_it_writes_a_line_at_the_end(self, stage: Stage, options: Mapping[str, str]) -> None:
        session = a_session("zoe")
        stage.end(session, Traffic(10, 20, 1, 2), at=1120.0)
        assert Path(options["file"]).read_text() == f"{session.sid} zoe end 1120 10 20 user disconnected\\n"
''',
    "config": '''\
"""@cls@ keeps the contract of every back end, and does what is its own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from ocserv_core.testing.contract import ConfigContract
from ocserv_core.testing.dialogue import Stage, a_session

from @module@ import @cls@


class Test@cls@(ConfigContract):
    factory = @cls@

    @pytest.fixture
    def options(self) -> Mapping[str, str]:
        return {"dns": "192.0.2.53"}

    def test_it_says_the_dns_server(self, stage: Stage) -> None:
        assert stage.configure(a_session("zoe")).dns == ("192.0.2.53",)
''',
}
