"""This server and Debian's `ocserv` side by side: the same configuration, the same clients, in turns.

Three programs: `python -m benchmarks` (or `make bench`) for connections and logins, `python -m benchmarks.dataplane`
(`make bench-data`) for what a tunnel carries, `python -m benchmarks.soak` (`make soak`) for what survives. Each makes
two network namespaces, starts servers in one of them, lets clients run in the other, and removes it all. They need
root and /dev/net/tun; docs/benchmarks.md, docs/performance.md and docs/testing.md tell more. A back end that is
measured has a program of its own.

For all
    arena.py        the namespaces and the wire between them; made and removed here
    doors.py        what the programs begin with: needs, signals, words for who waits
    servers.py      the two servers: one configuration, start, end
    sizes.py        how much of everything: a full run, a quick one
    accounting.py   CPU of a tree of processes (those that ended too), of the machine; PSS
    figures.py      what is measured, in which unit, what is to be reached: one table
    report.py       medians, ratios and spread, as text and as JSON

Connections
    __main__.py     the door: options, the rounds, text and JSON
    loads.py        logins, full connects, first forms, idle clients: starts load.py in the clients' namespace
    load.py         the clients of loads.py, a process of its own: prints what it saw as JSON
    client.py       one client in plain Python: TLS, forms, CONNECT, frames

The data plane
    dataplane.py    the door: the matrix, and what is made of saved results
    clients.py      who holds the tunnel: openconnect or the project's own client, over DTLS or TLS
    cells.py        the measures of one tunnel: streams, pings, small packets
    traffic.py      iperf3 and ping, and what they print
    latency.py      a program of its own: what latency-stats costs the pump for each packet
    blaster.py      numbered UDP packets; native/blaster.c sends and counts them
    document.py     tables into a document
    plot.py         the picture of the results
    svg.py          rectangles, lines and words

Back ends
    radius.py       200 logins through RADIUS, beside radclient
    backends.py     what they add to the start, and to a worker's memory
    user_files.py   what the files of a user and of his group cost each login
    promise.py      logins by one back end while the server of another is dead

The soak
    soak.py         the door, the cycles, what is a failure
    disturb.py      loss, reordering, roaming
    memory.py       who grows
    soak_report.py  what came of it, in words
"""
