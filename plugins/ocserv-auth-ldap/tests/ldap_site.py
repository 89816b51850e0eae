"""What the tests of the LDAP back end share: a slapd for each test file, with people and groups of every odd kind,
which tests only read; a configuration of it; a login with its answers; a peer that is no slapd."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ocserv_auth_ldap import LdapAuth

from ocserv_core.model import ClientInfo, Identity
from ocserv_core.plugin import BackendContext, Login, Prompt
from tests.servers.slapd import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, Slapd, group, group_dn, person

CONTEXT = BackendContext("default", "ldap")

ODD = {"star": "a*b", "brackets": "a(b)c", "backslash": "a\\b", "umlaut": "jürgen", "comma and plus": "Smith, John+x"}
"""uids that mean something in a filter, or in a DN."""

MANY = [f"project-{number:03}" for number in range(500)]
"""The groups of the user "many"."""


def _ldif() -> str:
    people = [
        person("alice", "alices-password", mail="alice@example.test"),
        person("bob", "bobs-password"),
        person("carol", "carols-password"),
        person("nopassword"),
        person("many", "manys-password"),
        person("twin", "one", mail="twin@example.test"),
        person("twin2", "two", mail="twin@example.test"),
        *(person(uid, "odd-password") for uid in ODD.values()),
    ]
    groups = [
        group("vpn", "alice", "bob"),
        # alice is in staff, that is in company, that is in world, that is in company …
        group("staff", "alice"),
        group("company", group_dn("staff"), group_dn("world")),
        group("world", group_dn("company")),
        group("empty", f"cn=nobody,{PEOPLE}"),
        group("odd, name", "carol"),
        *(group(name, "many") for name in MANY),
        f"dn: cn=posix,{GROUPS}\nobjectClass: posixGroup\ncn: posix\ngidNumber: 1000\nmemberUid: bob\n\n",
    ]
    return "".join(people + groups)


@contextlib.contextmanager
def running_slapd(folder: Path) -> Iterator[Slapd]:
    """With all of them."""
    server = Slapd(folder, _ldif())
    try:
        yield server
    finally:
        server.stop()


def options_for(slapd: Slapd, **changed: str) -> dict[str, str]:
    """search-then-bind as the administrator, changed; "" takes an option away."""
    usual = {
        "uri": slapd.uri,
        "ca-file": slapd.ca_file,
        "base": PEOPLE,
        "bind-dn": ADMIN,
        "bind-password": ADMIN_PASSWORD,
        "timeout": "2",
    }
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in {**usual, **named}.items() if value}


def write_config(path: Path, options: Mapping[str, str], *more: str) -> dict[str, str]:
    """The file of `config=`, with more lines; what then stands in the brackets."""
    path.write_text("".join(f"{line}\n" for line in [*(f"{n} = {v}" for n, v in options.items()), *more]))
    path.chmod(0o600)
    return {"config": str(path)}


class Dialogue:
    """A back end, and what it asked. It has looked at its servers already."""

    def __init__(self, backend: LdapAuth) -> None:
        self.backend = backend
        backend.probing.join(60)
        self.prompts: list[Prompt] = []

    def log_in(self, username: str, *answers: str) -> Identity:
        """The identity; Denied, Unavailable. The answers must suffice."""
        left = list(answers)

        def ask(prompt: Prompt) -> str:
            self.prompts.append(prompt)
            return left.pop(0)

        return self.backend.ocserv_authenticate(Login(username, "", "default", "192.0.2.7", ClientInfo()), ask)


def dialogue_with(slapd: Slapd, *more: str, folder: Path, **changed: str) -> Dialogue:
    """A back end of that server."""
    return Dialogue(LdapAuth(write_config(folder / "ldap.conf", options_for(slapd, **changed), *more), CONTEXT))


@contextlib.contextmanager
def peer(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does what slapd cannot be made to: `behave` has each connection in turn. The URI."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, behave, ended), daemon=True)
        thread.start()
        try:
            yield f"ldap://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def _serve(listener: socket.socket, behave: Callable[[socket.socket], None], ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            behave(connection)
