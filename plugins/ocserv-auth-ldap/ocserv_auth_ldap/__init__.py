"""`auth = "ldap[config=FILE]"`: passwords and groups of a directory.

backend.py      the back end: the dialogue with the user, and what he is told
options.py      what may be said in the brackets and in the file, and what is wrong with it
syntax.py       how values are written
reader.py       the file: `name = value` lines
names.py        pure: escaping for filters and DNs, the parts of a DN
groups.py       whose member a user is, also through other groups, and what that is called here
directory.py    the servers: fail-over, dead time, a pool of bound connections for each
connection.py   one connection: ldap3, strictly set up, and its errors in two kinds
results.py      what a server's refusal means
wire.py         TLS that checks certificates, and a socket that neither waits nor reads without end
"""

from __future__ import annotations

from .backend import LdapAuth

__all__ = ["LdapAuth"]
