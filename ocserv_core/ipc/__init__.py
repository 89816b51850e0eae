"""Where processes meet: the messages, who may send which when, and the sockets that carry them.

messages.py        every message between main, secmod, nursery, workers, hosts and their children
control.py         occtl's requests and replies
permits.py         the tables of what a receiver allows, by phase
channel.py         a blocking end (workers, nursery, hosts and their children)
async_channel.py   the same on an event loop (main, secmod)
foreign.py         the closing of descriptors that came from strangers
wire.py            how a message lies in a datagram; both channels use it
log_channel.py     the log of a process that cannot write it
voices.py          … in the log of the one who writes it, at a bounded rate
"""
