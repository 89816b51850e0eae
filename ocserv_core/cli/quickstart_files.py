"""The configuration that a quickstart writes: a text for an administrator to go on from. Used by quickstart.py."""

from __future__ import annotations

CONFIG = """\
# The configuration of ocserv, as `ocserv --quickstart` made it. It is never overwritten: change what you like, then
#   occtl -s {quoted_home}/occtl.socket reload
# and check it beforehand with
#   ocserv --test-config --config {quoted_home}/ocserv.conf

# ---- who may log in --------------------------------------------------------------------------------------------
# Users stand in a file. Add one, or change a password, at any time; no reload is needed:
#   ocpasswd -c {quoted_home}/ocpasswd NAME
auth = "plain[passwd={home}/ocpasswd]"

# ---- where clients connect -------------------------------------------------------------------------------------
# On every address of this machine: TCP, and UDP for the packets of those whom UDP reaches, which is faster. In a
# firewall both must be open; without UDP everything goes by TCP.
tcp-port = {port}
udp-port = {port}

# ---- the certificate -------------------------------------------------------------------------------------------
# It signed itself, so clients must be told its fingerprint (openconnect --servercert pin-sha256:…). With a
# certificate of a real authority, which names this machine, they need not be told anything.
server-cert = {home}/server-cert.pem
server-key = {home}/server-key.pem

# ---- this machine ----------------------------------------------------------------------------------------------
# The processes that speak with clients run as this user, without any rights.
run-as-user = nobody
run-as-group = {group}
isolate-workers = true
socket-file = {home}/ocserv.sock
use-occtl = true
occtl-socket-file = {home}/occtl.socket
device = vpns
# 2 tells of each session, 4 of each HTTP request, 9 of everything; passwords are never written.
log-level = 2

# ---- limits ----------------------------------------------------------------------------------------------------
max-clients = 128
# How often one user may be connected at once.
max-same-clients = 4
# Seconds in which a client must have logged in, and in which a lost client can come back without its password.
auth-timeout = 240
cookie-timeout = 300

# ---- addresses of the clients ----------------------------------------------------------------------------------
# Change them where they meet a network of yours. The first address of each is this machine's.
ipv4-network = 192.168.217.0/24
{ipv6}ipv6-network = {network6}

# ---- what goes through the tunnel ------------------------------------------------------------------------------
# Only the clients' own network: nothing else of a client changes, and one on this very machine loses nothing.
route = 192.168.217.0/24
{ipv6}route = {network6}

# To send everything through the tunnel, delete the `route` lines above and name a resolver:
#dns = 9.9.9.9
# To send one more network through it:
#route = 10.1.0.0/16
#
# Either works only if this machine forwards packets, which it is not told to here:
#   sysctl -w net.ipv4.ip_forward=1
#   sysctl -w net.ipv6.conf.all.forwarding=1
# and if answers find their way back: by a route for the network above on the machines behind this one, or by
# address translation here (with the name of the interface to the outside in place of eth0):
#   nft add table inet ocserv
#   nft add chain inet ocserv nat '{{ type nat hook postrouting priority srcnat; }}'
#   nft add rule inet ocserv nat ip saddr 192.168.217.0/24 oifname eth0 masquerade

# ---- clients that fall silent ----------------------------------------------------------------------------------
# Seconds between probes, and of silence after which a client counts as gone (three times as long).
dpd = 90
keepalive = 300
"""
