"""For tests and benchmarks of this server and of plugins: clients that speak as openconnect does.

client.py  a client as a command: logs in, opens the tunnel, moves packets by the server's own pump
vpn.py     … its parts: login by forms, CONNECT, DTLS; the TUN device and the loop
tls.py     the client's end of TLS
"""
