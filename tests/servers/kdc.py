"""A key server of MIT Kerberos with a realm of the test's own: in the foreground, in a folder of the test's, on
loopback of this namespace or of another. Tickets are got beside it, so that a client elsewhere needs its cache alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.interop.network import Namespace
from tests.interop.processes import Watched

REALM = "EXAMPLE.TEST"
HOST = "vpn.example"
SERVICE = f"HTTP/{HOST}"

_KRB5_CONF = """\
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  rdns = false
  dns_canonicalize_hostname = false
  udp_preference_limit = 1
  default_ccache_name = FILE:{folder}/nobody.cc
[realms]
  {realm} = {{
    kdc = {kdc}
{more}
  }}
[domain_realm]
  {host} = {realm}
"""

_KDC_CONF = """\
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {realm} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/kadm5.acl
    max_life = 10h
    supported_enctypes = aes256-cts:normal
  }}
[logging]
  kdc = STDERR
"""


_TOKEN = """\
import sys, gssapi
name = gssapi.Name(f"HTTP@{sys.argv[1]}", gssapi.NameType.hostbased_service)
bound = b"tls-server-end-point:" + bytes.fromhex(sys.argv[2])
bindings = gssapi.raw.ChannelBindings(application_data=bound) if sys.argv[2] else None
spnego = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
context = gssapi.SecurityContext(name=name, mech=spnego, usage="initiate", channel_bindings=bindings)
sys.stdout.buffer.write(context.step())
"""


class Kdc:
    """One realm. It has the principal of the VPN server (SERVICE) and no other."""

    def __init__(
        self, folder: Path | str, *, realm: str = REALM, namespace: Namespace | None = None, port: int | None = None
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.realm = realm
        self.port = port or free_port()
        self._namespace = namespace
        (self.folder / "kdc.conf").write_text(_KDC_CONF.format(port=self.port, realm=realm, folder=self.folder))
        self.config = self.krb5_conf("krb5.conf")
        self._run("kdb5_util", "create", "-s", "-r", realm, "-P", "the-master-key-of-the-tests")
        self.add(SERVICE)
        self._process: Watched | None = None

    def start(self) -> Kdc:
        """Until it answers."""
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        argv = ["env", *environment, "KRB5_KDC_PROFILE=" + str(self.folder / "kdc.conf"), "krb5kdc", "-n"]
        self._process = Watched("krb5kdc", self._namespace.argv(*argv) if self._namespace else argv)
        self._process.output.wait_for("commencing operation")
        return self

    def stop(self) -> None:
        """It is gone."""
        if self._process is not None:
            self._process.destroy()

    @property
    def log(self) -> str:
        """What it said."""
        assert self._process is not None
        return self._process.output.text

    @property
    def environment(self) -> Mapping[str, str]:
        """For who uses this realm."""
        return {"KRB5_CONFIG": self.config}

    def krb5_conf(self, name: str, *, kdc: str = "", more: str = "") -> str:
        """A krb5.conf, perhaps with another way to the key server, and more lines for the realm; its path."""
        path = self.folder / name
        where = kdc or f"127.0.0.1:{self.port}"
        path.write_text(_KRB5_CONF.format(realm=self.realm, folder=self.folder, kdc=where, more=more, host=HOST))
        return str(path)

    def add(self, principal: str, password: str | None = None) -> None:
        """A principal; one without a password has a random key."""
        key = ["-randkey"] if password is None else ["-pw", password]
        self._run("kadmin.local", "addprinc", *key, principal)

    def keytab(self, name: str = "http.keytab", principal: str = SERVICE) -> str:
        """The keys of a principal, which are new ones for everybody else; the path."""
        path = self.folder / name
        self._run("kadmin.local", "ktadd", "-k", str(path), "-norandkey", principal)
        return str(path)

    def keytab_into(self, path: str, principal: str = SERVICE) -> None:
        """The same, beside what stands in a file already."""
        self._run("kadmin.local", "ktadd", "-k", path, "-norandkey", principal)

    def ticket(self, user: str, password: str, *words: str, service: str = SERVICE) -> str:
        """A cache with the user's ticket and that for the service; its path. words: for kinit."""
        cache = self.folder / f"{user.replace('/', '-')}.cc"
        self._run("kinit", "-c", f"FILE:{cache}", *words, user, stdin=f"{password}\n")
        if service:
            self._run("kvno", "-c", f"FILE:{cache}", service)
        return f"FILE:{cache}"

    def token(self, cache: str, *, end_point: bytes = b"", host: str = HOST) -> bytes:
        """What the mechanism of a client says first, bound to a TLS connection where `end_point` is given."""
        words = [sys.executable, "-c", _TOKEN, host, end_point.hex()]
        environment = {**os.environ, **self.environment, "KRB5CCNAME": cache}
        argv = self._namespace.argv(*words) if self._namespace else words
        return subprocess.run(argv, check=True, capture_output=True, timeout=60, env=environment).stdout

    def _run(self, *argv: str, stdin: str = "") -> None:
        words = self._namespace.argv(*argv) if self._namespace else list(argv)
        environment = {**os.environ, **self.environment, "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing() -> str:
    """Why it cannot be run here, or ""."""
    return "" if os.path.exists("/usr/sbin/krb5kdc") else "needs krb5-kdc, krb5-admin-server and krb5-user"
