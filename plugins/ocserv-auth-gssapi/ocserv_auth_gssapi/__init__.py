"""Kerberos tickets by SPNEGO: `auth = "gssapi[keytab=FILE, …]"`.

auth.py       the back end: tokens are exchanged until it is known who it is; then who that is here
acceptor.py   the server's credentials, and one exchange of tokens       Acceptor, Exchange
localname.py  which local user a principal is                            local_name
groups.py     the groups of the operating system                         groups_of, groups_from
options.py    what stands in the brackets                                read_options
"""
