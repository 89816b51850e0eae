"""RADIUS for ocserv-core. The entry points are auth.py, acct.py and config.py, in secmod:

    options.py       the options in the brackets of ocserv.conf
    radcli.py        the configuration file of the RADIUS client, as the C server has it
    secrets_file.py  whose secret is which: the file `servers`
    words.py         text of strangers, made fit for a prompt and for the log
    numbers.py       names and numbers of attributes, of the file `dictionary`
    requests.py      requests to bytes
    replies.py       replies checked, attributes read
    deadtime.py      which servers are asked, and in which order
    sockets.py       a pool of sockets to one server: 256 requests on each
    client.py        a request, until a server has answered it: again, and at the next server
    auth.py          `auth = "radius[…]"`
    groups.py        the groups of a user, out of Class
    keeping.py       what later hooks need of an Access-Accept, as plain data
    acct.py          `acct = "radius[…]"`
    config.py        `session-config = "radius[…]"`: attributes to options of ocserv.conf
    coa.py           CoA and Disconnect: what is done to which sessions
    coa_process.py   the child that hears them, from its parent's side
    coa_words.py     the messages between both

In the child, which has no keys:

    coa_child.py     it hears strangers, and hands on what a configured client has signed
    coa_packets.py   what it checks
"""
