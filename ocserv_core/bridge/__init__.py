"""The bridge between client and TUN: TLS by GnuTLS, and the pump that moves packets. One kind of I/O, no policy.

tls.py        TLS as a worker sees it: the handshake, names in the client's certificate
stream.py     … and what both ends of a connection have: bytes of HTTP, time limits
handshake.py  what one handshake decides: vhost, resumption, the client's certificate
context.py    what all connections share: credentials and priorities by vhost, loaded once before the fork
callbacks.py  how GnuTLS's questions reach Python: signatures, ClientHello, resumption, verification
peer.py       names in a client's certificate
pump.py       the tunnel after CONNECT: events up, control frames down; packets never enter Python
events.py     what the pump comes back with
dtls.py       one DTLS session: its handshake; the pump carries its data
errors.py     what can go wrong with TLS, and how a GnuTLS return value becomes an exception
_native       the extension: GnuTLS as cffi sees it, and our C

native/build.py      builds _native; cdef.h is what Python sees of it
native/transport.c   a socket under GnuTLS: deadlines, whole records, secrets for KeyUpdate
native/callbacks.c   GnuTLS's questions in simple types, for callbacks.py
native/record.c      TLS 1.2 and 1.3 records with AEAD suites, sealed and opened
native/dtls_record.c DTLS 1.2 records likewise, and the window against replays
native/dtls.c        a DTLS session: GnuTLS's handshake round our records
native/packet.c      inner packets: lengths, checksums, whose they are
native/segment.c     one packet of the TUN as many on the wire (TSO, USO)
native/coalesce.c    many packets from the client as one for the TUN
native/datagrams.c   many datagrams in one system call
native/upstream.c    client → TUN, in the packet's order
native/downstream.c  TUN → client, in the packet's order
native/channels.c    which way a packet takes, TLS or DTLS, and whose a datagram is
native/control.c     what the tunnel says beside packets: alerts, KeyUpdate
native/library.c     CBC suites: GnuTLS's own records between the pump's buffers
native/pump.c        the poll loop round them
native/compress.c    packets made shorter, one by one: oc-lz4 by liblz4
native/lzs.c         … and LZS by ourselves
native/latency.c     how long packets took, in sets of 1024
"""
