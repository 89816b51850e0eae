"""Where processes meet: the messages, who may send which when, and the sockets that carry them.

messages.py        every message between main, secmod, nursery and workers
control.py         occtl's requests and replies
permits.py         the tables of what a receiver allows, by phase
channel.py         a blocking end (workers, nursery)
async_channel.py   the same on an event loop (main, secmod)
foreign.py         the closing of descriptors that came from strangers
wire.py            how a message lies in a datagram; both channels use it
"""
