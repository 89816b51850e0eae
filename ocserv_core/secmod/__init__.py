"""The security module: private keys, logins, sessions and their cookies. Holds no client's socket, parses no
client's bytes; a worker reaches it only through the permits of requests.py.

    __main__.py       the process: isolation, the loop
    service.py        main's messages: configuration, workers, sessions
    prepare.py        a configuration made ready (keys, back ends) before anything changes
    key_files.py      the private keys: opened, and matched to their certificates
    keys.py           … at work: sign, decrypt
    signers.py        who uses them: a signer, or secmod itself
    signer_process.py … one signer as secmod sees it
    signer.py         … and what runs in it
    composition.py    which back ends a login must satisfy
    instance.py       one back end at work: its places, its deadline, its breaker
    execution.py      … and the ways in which a hook of it runs
    tasks.py          a login in a task of the loop
    threads.py        a login in a thread
    hosts.py          the process of a back end that may hang or crash
    child.py          … and a login in a child of it
    conversation.py   logins in progress: rounds, deadlines
    parking.py        which of them wait for their user, and how many of one address may
    requests.py       the permits and answers of one worker
    kdc.py            Kerberos messages of clients, forwarded to the key servers of `kkdcp`
    sessions.py       opening, closing, revoking logical sessions
    configuration.py  what configuration back ends say of a user
    acts.py           what back ends may do to sessions
    accounting.py     what accounting back ends are told of sessions, in order, until they have taken it
    serving.py        what back ends do of their own, as long as their configuration is in force
    store.py          the table of sessions on disk
"""
