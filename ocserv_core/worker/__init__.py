"""The nursery, and the workers that it forks: one for each client, unprivileged, without a key or a file.

A worker is straight blocking code that reads like the client's life:

    __main__.py    the nursery's process: loads, gives up all privileges, forks
    nursery.py     its loop: Spawn in, Spawned and Exited out
    rehearsal.py   a login gone through before the fork, so that workers share what it makes
    world.py       what every worker has in common, made once in the nursery
    startup.py     a worker, from the fork to its end
    plugins.py     the workers' halves of back ends: loaded by the nursery, called by workers
    plugin_answers.py … and what these may answer
    front.py       the PROXY header of a balancer
    handshake.py   TLS
    login.py       HTTP until CONNECT
    tunnel.py      the pump, until the end
    dtls.py        … of which this is the DTLS beside it
    link.py        the channels to main and secmod
"""
