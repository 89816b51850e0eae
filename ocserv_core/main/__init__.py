"""The main process: root, no key, no client's bytes. What it does with a connection, in order:

openings.py       opens the listeners: at addresses, in a namespace, or systemd's
listeners.py      accepts
admission.py      … or refuses, before anything is forked
workers.py        has a worker forked, keeps its record, learns of its end
requests.py       the permits and answers of one worker
sessions.py       a tunnel: session, addresses, TUN; and its end
leases.py         addresses for a session
utmp.py           sessions in utmp and wtmp
side_thread.py    … and what else may wait for others, beside the loop
plugins.py        plugins of main: who is served, what goes up and down, commands
outside.py        what is done for it outside of the server, in which order, and undone
firewall.py       … the rules of a client that may not reach everything
scripts.py        … what the administrator's scripts are told, and whether they agree
iroutes.py        … the routes to what is behind its client
udp.py            reads datagrams, and passes a hello on to its worker
searcher.py       … or a record to the one whose keys open it
secmod.py         secmod: its process, its configuration, what it is told
questions.py      … and what it is asked
keeper.py         … and its successor when it dies
nursery.py        the nurseries: started, replaced, asked to fork
kinship.py        … and whether a process that one names is its worker
voices.py         what workers say, in main's log
tasks.py          tasks that nobody awaits
configuration.py  a configuration, read and prepared by all before anything changes
exposed.py        … with the networks behind all clients
revocation.py     revocation lists that have changed on disk, or are too old
control.py        occtl's requests, answered
status.py         the figures of `show status`
events.py         tunnels that come and go, told to `show events`
latency.py        … of which the latency is kept by the minute
records.py        main's tables: plain data, that an upgrade can carry over
server.py         the whole: start, signals, reload, end
"""
