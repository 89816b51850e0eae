"""A lab: namespaces, a folder with certificate, passwords and configuration, the server, and clients.

Tests get one from the fixture `lab` (conftest.py), which closes it whatever happens. Nothing of it is shared, so that
labs run in parallel.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ocserv_core.system import crypt

from .certificates import make_certificate, pin_of
from .client import SCRIPT, Client
from .network import SERVER4, SERVER6, Host, Namespace, Network, Router
from .processes import Watched
from .server import OCSERV, Server

Option = str | int | bool | Iterable[str]

POOL4 = "198.51.100.0/24"
POOL6 = "2001:db8:1::/112"
GATEWAY4 = "198.51.100.1"
GATEWAY6 = "2001:db8:1::1"
"""The pools, and the server's own addresses in them: what a client pings through the tunnel."""

FOLDER = "ocserv-lab"
"""The beginning of the names of labs' folders; the pid of the test process follows."""

ACTIVATOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "activator.py")

GROUPS = {"alice": "staff,guests", "bob": "staff", "carol": "*"}
"""The users that every lab has; `lab.passwords` knows their passwords."""


class Lab:
    """One server and its surroundings. certificate: a kind that make_certificate knows."""

    def __init__(self, *, certificate: str = "ECDSA") -> None:
        self.folder = tempfile.mkdtemp(prefix=f"{FOLDER}-{os.getpid()}-")
        self._started: list[Watched | Server | Client] = []
        self._folders: list[str] = []
        self.network: Network | None = None
        self.passwords: dict[str, str] = {}
        try:
            self.key_file, self.cert_file = make_certificate(self.folder, certificate)
            self.pin = pin_of(self.cert_file)
            self.write("script", SCRIPT, mode=0o755)
            self.add_users(GROUPS)
            self.network = Network()
        except BaseException:
            self.close()
            raise

    # ---- files

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def write(self, name: str, text: str, mode: int = 0o600) -> str:
        """A file in the lab's folder; its path."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def add_users(self, groups: Mapping[str, str]) -> None:
        """Users with random passwords, beside those that are there."""
        for name in groups:
            self.passwords[name] = f"{name}-{secrets.token_hex(8)}"
        lines = [f"{name}:{groups[name]}:{_hash(self.passwords[name])}\n" for name in groups]
        with open(self.path("passwd"), "a", encoding="utf-8") as file:
            file.writelines(lines)

    def configure(self, file: str = "ocserv.conf", /, **options: Option) -> str:
        """Write a configuration: the lab's defaults, changed by options (`idle_timeout=2`); its path."""
        values: dict[str, Option] = {**self._defaults(), **{_option_name(name): v for name, v in options.items()}}
        return self.write(file, "".join(_lines(values)))

    def _defaults(self) -> dict[str, Option]:
        return {
            "auth": f'"plain[passwd={self.path("passwd")}]"',
            "tcp-port": 443,
            "server-cert": self.cert_file,
            "server-key": self.key_file,
            "socket-file": self.path("ocserv.sock"),
            "use-occtl": True,
            "occtl-socket-file": self.path("occtl.sock"),
            "isolate-workers": True,
            "device": "vpns",
            # The machine's own record of who is logged in is no test's to write.
            "use-utmp": False,
            "log-level": 3,
            "auth-timeout": 40,
            "ipv4-network": POOL4,
            "ipv6-network": POOL6,
            "route": (POOL4, POOL6),
        }

    # ---- the server

    @property
    def namespace(self) -> Namespace:
        """The server's."""
        assert self.network is not None
        return self.network.server

    def launch(self, file: str = "ocserv.conf", /, **options: Option) -> Server:
        """Start the server, with a configuration that is written to `file`, without waiting for it."""
        argv = [*OCSERV, "-f", "--log-stderr", "-c", self.configure(file, **options)]
        return self.run_server(argv, self.path("occtl.sock"))

    def launch_at(self, home: Namespace, **options: Option) -> Server:
        """Start it in another namespace than clients meet."""
        argv = [*OCSERV, "-f", "--log-stderr", "-c", self.configure(**options)]
        return self.run_server(argv, self.path("occtl.sock"), at=home)

    def activate(self, sockets: Sequence[str], *, pid: str = "", **options: Option) -> Server:
        """Start it as systemd does that has opened these (tcp6:443, udp:443 …), for the process `pid` if not it."""
        words = [sys.executable, ACTIVATOR, pid, ",".join(sockets)]
        argv = [*words, *OCSERV, "-f", "--log-stderr", "-c", self.configure(**options)]
        return self.run_server(argv, self.path("occtl.sock"))

    def run_server(self, argv: Sequence[str], control_socket: str, *, at: Namespace | None = None) -> Server:
        """Start it by any words; in another namespace than clients meet, where `at` is one."""
        server = Server(at or self.namespace, argv, control_socket)
        self._started.append(server)
        return server

    def start_server(self, **options: Option) -> Server:
        """Start the server and wait until it listens."""
        return self.launch(**options).await_listening()

    def start_altered(self, lines: str, /, **options: Option) -> Server:
        """Start it where these lines of Python have run before, in main alone: for a kernel or a clock that a test
        cannot have otherwise."""
        program = self.write(
            "altered.py", f"{lines}\nfrom ocserv_core.cli.ocserv import main\nraise SystemExit(main())\n"
        )
        argv = [sys.executable, program, "-f", "--log-stderr", "-c", self.configure(**options)]
        return self.run_server(argv, self.path("occtl.sock")).await_listening()

    def keep(self, process: Watched) -> None:
        """It ends with the lab."""
        self._started.append(process)

    def beside(self) -> Namespace:
        """A namespace without neighbours."""
        assert self.network is not None
        return self.network.alone()

    def name_hosts(self, name: str, *addresses: str) -> None:
        """What the server's machine finds under a name. ip(8) has /etc/hosts of a namespace by this path."""
        folder = f"/etc/netns/{self.namespace.name}"
        os.makedirs(folder, exist_ok=True)
        self._folders.append(folder)
        with open(f"{folder}/hosts", "w", encoding="ascii") as file:
            file.writelines(f"{address} {name}\n" for address in addresses)

    # ---- clients

    def host(self, router: Router | None = None) -> Host:
        """A new machine beside the server, or behind a router."""
        assert self.network is not None
        return self.network.host(router)

    def router(self) -> Router:
        """A new machine beside the server, with room for others behind it."""
        assert self.network is not None
        return self.network.router()

    def openconnect(
        self,
        *words: str,
        host: Host | None = None,
        stdin: str = "",
        server: str = SERVER4,
        url: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Client:
        """openconnect with these words, on a host of its own where none is given; nothing is waited for."""
        address = f"[{server}]" if ":" in server else server
        script = ["--servercert", self.pin, "--script", self.path("script")]
        words = (*script, *words, f"https://{address}/{url}")
        return self.run_client(words, host=host, stdin=stdin, environment=environment)

    def run_client(
        self,
        words: Sequence[str],
        *,
        host: Host | None = None,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Client:
        """openconnect with nothing but these words."""
        variables = {"LAB_NETWORK4": POOL4, "LAB_NETWORK6": POOL6, **(environment or {})}
        client = Client(host or self.host(), words, stdin=stdin, environment=variables)
        self._started.append(client)
        return client

    def login(
        self, user: str = "alice", *words: str, password: str | None = None, host: Host | None = None, **more: Any
    ) -> Client:
        """openconnect with a user's name and password; nothing is waited for."""
        given = self.passwords[user] if password is None else password
        words = ("--user", user, "--passwd-on-stdin", "--non-inter", *words)
        return self.openconnect(*words, host=host, stdin=f"{given}\n", **more)

    def connect(self, user: str = "alice", *words: str, host: Host | None = None, **more: Any) -> Client:
        """The same, until the tunnel is up."""
        return self.login(user, *words, host=host, **more).await_connected()

    def connect_by_name(self, name: str, *, pin: str = "") -> Client:
        """alice's tunnel to the server by one of its names, by which it chooses the vhost."""
        return self.login_by_name(name, "alice", pin=pin).await_connected()

    def login_by_name(
        self, name: str, user: str, *, pin: str = "", environment: Mapping[str, str] | None = None
    ) -> Client:
        """The same of any user; nothing is waited for."""
        words = [f"--user={user}", "--passwd-on-stdin", "--non-inter", "--script", self.path("script")]
        url = ["--servercert", pin or self.pin, f"--resolve={name}:{SERVER4}", f"https://{name}/"]
        return self.run_client([*words, *url], stdin=f"{self.passwords[user]}\n", environment=environment)

    def authenticate(self, user: str = "alice", host: Host | None = None) -> str:
        """A login without a tunnel: the cookie."""
        client = self.login(user, "--authenticate", host=host)
        assert client.wait() == 0, client.output.tail()
        return client.output.wait_for(r"^COOKIE='([^']+)'")[1]

    def resume(self, cookie: str, *words: str, host: Host | None = None) -> Client:
        """openconnect with a cookie; nothing is waited for."""
        return self.openconnect("--cookie-on-stdin", *words, host=host, stdin=f"{cookie}\n")

    # ---- the end

    def close(self) -> None:
        """Nothing is left afterwards: no process, no namespace, no file."""
        for started in reversed(self._started):
            started.destroy()
        if self.network is not None:
            self.network.close()
        for folder in (self.folder, *self._folders):
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)


def remove_folders() -> None:
    """Remove the folders of test processes that are gone."""
    for name in os.listdir(tempfile.gettempdir()):
        match = re.fullmatch(rf"{FOLDER}-(\d+)-\w+", name)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def _hash(password: str) -> str:
    # Few rounds: a lab's passwords are random, and twenty clients log in at once.
    return crypt.hash_password(password.encode(), f"$5$rounds=1000${secrets.token_hex(8)}$")


def _lines(options: Mapping[str, Option]) -> Iterable[str]:
    for name, value in options.items():
        if isinstance(value, bool):
            yield f"{name} = {'true' if value else 'false'}\n"
        elif isinstance(value, str | int):
            yield f"{name} = {value}\n"
        else:
            yield from (f"{name} = {one}\n" for one in value)


__all__ = ["GATEWAY4", "GATEWAY6", "POOL4", "POOL6", "SERVER4", "SERVER6", "Lab", "Option", "remove_folders"]


def _option_name(keyword: str) -> str:
    """Two options have an underscore in their names."""
    return keyword if keyword.startswith("camouflage_") else keyword.replace("_", "-")
