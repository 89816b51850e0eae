"""This server and Debian's `ocserv` side by side: the same configuration, the same clients, in turns.

`python -m benchmarks` (or `make bench`) makes two network namespaces, starts both servers in one of them, lets the
clients run in the other, and prints a table of ratios. Needs root, /dev/net/tun, ocserv, openconnect and iperf3.

    __main__.py    the door: options, the rounds, text and JSON
    sizes.py       how much of everything: a full run, a quick one
    arena.py       the namespaces and the wire between them; made and removed here
    servers.py     the two servers: one configuration, start, end
    accounting.py  CPU of a tree of processes (those that ended too), of the machine; PSS
    throughput.py  a stock openconnect and iperf3: CPU for each gigabyte, both directions
    loads.py       logins, full connects, first forms, idle clients: starts load.py in the clients' namespace
    load.py        the clients of loads.py, a process of its own: prints what it saw as JSON
    client.py      one client in plain Python: TLS, forms, CONNECT, frames
    figures.py     what is measured, in which unit, what is to be reached: one table
    report.py      medians, ratios and spread, as text and as JSON
"""
