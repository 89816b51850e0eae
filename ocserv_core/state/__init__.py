"""The server's tables, as pure data: no clock, no randomness, no I/O. `now` and random bytes are arguments.

    ip_pool.py       which session has which addresses: the pools of all vhosts (main)
    family_pool.py   one network's addresses, and their choice
    sessions.py      logical sessions and the life of their cookies (secmod)
    resumption.py    TLS 1.2 session data, so that a client may resume (main)
    associations.py  whose a datagram is, as far as main can know (main)
    firewall.py      what a restricted client may reach (main)
    totals.py        the statistics of `show status` (main)
    bans.py          points for addresses, and who is banned for them (main)
    breaker.py       who fails again and again is left alone for a while (secmod)
    signers.py       how many processes sign, and when one that died is started again (secmod, main)
    latency.py       how long packets take: what a worker tells of it, and its sums by the minute (worker, main)

Each table can be written out as plain msgspec structs and read back, by another process or version. Times are Unix
seconds of the wall clock, since these tables outlive processes. Associations, breakers and latency.py do not: their
clock is the process's own.
"""
