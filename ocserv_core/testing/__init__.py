"""For tests and benchmarks of this server and of plugins. For authors of back ends:

dialogue.py       a back end on a stage, and a login with it round by round
contract.py       what every back end must do, as test classes to subclass
server.py         a whole server on loopback
pytest_plugin.py  the fixtures that pytest finds

Clients that speak as openconnect does:

client.py         a client as a command: logs in, opens the tunnel, moves packets by the server's own pump
vpn.py            … its parts: login by forms, CONNECT, DTLS; the TUN device and the loop
tls.py            the client's end of TLS
"""
