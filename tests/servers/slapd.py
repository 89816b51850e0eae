"""slapd (OpenLDAP) with a directory of the test's own: in the foreground, in a folder of the test's, on loopback of
this namespace or of another. It has ldap:// with StartTLS and ldaps://, and says in its log what it is asked.

The suffix is dc=example,dc=test; people and groups are below. `add` takes more as LDIF, in the same form.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.interop.network import Namespace
from tests.interop.processes import PATIENCE, Watched

SUFFIX = "dc=example,dc=test"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"
ADMIN_PASSWORD = "the-administrator-of-the-tests"

_CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
{globally}
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {folder}/db
maxsize 33554432
{locally}
index objectClass,uid,member eq
overlay memberof
memberof-group-oc groupOfNames
{access}
"""

USUAL_ACCESS = """\
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
"""

_TREE = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups
"""


class Certificate(NamedTuple):
    """A self-signed one, and its key; paths."""

    file: Path
    key: Path


def make_server_certificate(folder: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> Certificate:
    """cert.pem and key.pem in `folder`."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made.key)]
    kind = ["-x509", "-days", "3", "-subj", "/CN=directory", "-addext", f"subjectAltName={names}"]
    subprocess.run(["openssl", "req", *kind, *key, "-out", str(made.file)], check=True, capture_output=True, timeout=60)
    return made


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def person_dn(name: str) -> str:
    """Of somebody below PEOPLE."""
    return f"uid={_in_dn(name)},{PEOPLE}"


def group_dn(name: str) -> str:
    """Of a group below GROUPS."""
    return f"cn={_in_dn(name)},{GROUPS}"


def _in_dn(value: str) -> str:
    return re.sub(r'[\\,+"<>;=#]', lambda match: f"\\{ord(match[0]):02x}", value)


def person(name: str, password: str | None = None, **attributes: str) -> str:
    """LDIF of somebody below PEOPLE."""
    lines = [f"dn: {person_dn(name)}", "objectClass: inetOrgPerson", f"uid: {name}", f"cn: {name}", "sn: x"]
    lines += [] if password is None else [f"userPassword: {password}"]
    return "\n".join([*lines, *(f"{key}: {value}" for key, value in attributes.items())]) + "\n\n"


def group(name: str, *members: str) -> str:
    """LDIF of a group below GROUPS; members are DNs, or names of people."""
    dns = [member if "=" in member else person_dn(member) for member in members]
    lines = [f"dn: {group_dn(name)}", "objectClass: groupOfNames", f"cn: {name}"]
    return "\n".join([*lines, *(f"member: {dn}" for dn in dns)]) + "\n\n"


class Slapd:
    """One server. `log` is what it says: `BIND dn=`, `SRCH base=` and so on."""

    def __init__(
        self,
        folder: Path,
        ldif: str = "",
        *,
        namespace: Namespace | None = None,
        globally: str = "",
        locally: str = "",
        access: str = USUAL_ACCESS,
        names: str = "IP:127.0.0.1,DNS:localhost",
    ) -> None:
        self._folder = folder
        self._namespace = namespace
        self._settled = 0
        (folder / "db").mkdir(parents=True)
        self.certificate = make_server_certificate(folder, names)
        values: Mapping[str, object] = {"folder": folder, "suffix": SUFFIX, "admin": ADMIN, "password": ADMIN_PASSWORD}
        more = {"globally": globally, "locally": locally, "access": access}
        (folder / "slapd.conf").write_text(_CONFIG.format(**values, **more))
        self._run(["slapadd", "-q", "-f", str(folder / "slapd.conf")], _TREE)
        self.port, self.tls_port = free_port(), free_port()
        self.start()
        if ldif:
            # Not by slapadd: memberOf is kept by an overlay, which works in a running server only.
            self.add(ldif)

    @property
    def uri(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_uri(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ca_file(self) -> str:
        return str(self.certificate.file)

    def start(self) -> None:
        """Again, on the same ports, after `stop`."""
        argv = ["slapd", "-d", "stats", "-f", str(self._folder / "slapd.conf"), "-h", f"{self.uri}/ {self.tls_uri}/"]
        self._process = Watched("slapd", self._inside(argv))
        self.log = self._process.output
        self.pid = self._process.pid
        try:
            self.log.wait_for("slapd starting")
            self._await_listening()
        except AssertionError:
            self.stop()
            raise

    def _await_listening(self) -> None:
        # It says that it starts before it listens, and nothing then. Each try is a process, which is pause enough.
        deadline = time.monotonic() + PATIENCE
        argv = self._inside(["ldapwhoami", "-x", "-H", self.uri])
        while subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=False).returncode != 0:
            assert time.monotonic() < deadline, f"slapd does not listen:\n{self.log.tail()}"

    def stop(self) -> None:
        """At once. May be called again."""
        self._process.destroy()

    def add(self, ldif: str) -> None:
        """More entries, as the administrator."""
        self._run(["ldapadd", "-x", "-H", self.uri, "-D", ADMIN, "-w", ADMIN_PASSWORD], ldif)

    def mark(self) -> int:
        """Where the log stands, when all that was asked until now is in it."""
        self.settle()
        return self.log.mark()

    def settle(self) -> None:
        """Until the log has all that was asked until now: for a test of what is not in it."""
        self._settled += 1
        marker = f"cn=settle-{self._settled}"
        argv = ["ldapsearch", "-x", "-H", self.uri, "-b", marker, "-s", "base"]
        subprocess.run(self._inside(argv), capture_output=True, timeout=PATIENCE, check=False)
        self.log.wait_for(f'SRCH base="{marker}"')

    def _run(self, argv: Sequence[str], stdin: str) -> None:
        done = subprocess.run(
            self._inside(argv), input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, f"{argv[0]}: {done.stderr}"

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return self._namespace.argv(*argv) if self._namespace else list(argv)
