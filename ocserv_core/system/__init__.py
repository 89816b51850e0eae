"""The kernel, one kind of request per module. No policy: what is asked is done, or one clear line says why not.

    libc.py      the few calls that Python has no name for: prctl, mount, pivot_root, capset
    process.py   this process (title, limits, parent's death) and the starting of a sibling
    children.py  the end of a process, awaited by whoever started it
    adopted.py   what processes that ended have left to us
    isolate.py   what nursery, worker and signer do to themselves for ever
    landlock.py  … of which this is the kernel's part: no file, no TCP, no signal to others
    daemon.py    background, pid file, readiness for systemd
    statedir.py  the locked state folder
    memfd.py     sealed memfds for configuration; the shared page of counters
    activation.py the sockets that systemd has opened for us
    netns.py     sockets of another network namespace
    sockets.py   listeners, the control socket, what a connection tells of itself
    datagrams.py UDP listeners, and the socket of one client's flow
    client_sockets.py  what a worker asks of its client's sockets
    tun.py       TUN devices by ioctl
    netlink.py   addresses, routes, MTU of TUN devices (main only: it alone imports pyroute2)
    nftables.py  the rules of restricted clients, by libnftables (main only)
    ping.py      whether somebody answers at an address
    utmp.py      who is logged in, for `who` and `last`
    scripts.py   the starting of an administrator's script
    token_keys.py  private keys in tokens and TPMs, by GnuTLS (secmod and its signers)
    crypt.py     password hashes of crypt(3) and Argon2 (secmod and ocpasswd)

`StartError` is raised where the server cannot start on this machine, `StateError` for the state folder,
`SystemFailure` where the kernel refused what one client needed.
"""
