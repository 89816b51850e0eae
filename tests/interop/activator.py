"""What systemd does for a .socket unit: `activator.py PID SOCKETS PROGRAM …`. It opens SOCKETS (tcp:443,udp6:443 …), of
which those of IPv6 take IPv4 as well, and becomes PROGRAM. PID is whose they are; empty, the program's."""

import os
import socket
import sys

FIRST = 3
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def _open(word: str) -> socket.socket:
    name, _, port = word.partition(":")
    family, address = (socket.AF_INET6, "::") if name.endswith("6") else (socket.AF_INET, "0.0.0.0")
    sock = socket.socket(family, KINDS[name.rstrip("6")])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((address, int(port)))
    if sock.type == socket.SOCK_STREAM:
        sock.listen()
    return sock


def main() -> None:
    pid, words, *program = sys.argv[1:]
    # Above the numbers that they are to have, whatever this process has open there.
    held = [os.dup2(_open(word).detach(), 100 + number) for number, word in enumerate(words.split(","))]
    for number, fd in enumerate(held):
        os.dup2(fd, FIRST + number)
        os.close(fd)
    names = ":".join(word.partition(":")[0] for word in words.split(","))
    systemds = {"LISTEN_PID": pid or str(os.getpid()), "LISTEN_FDS": str(len(held)), "LISTEN_FDNAMES": names}
    os.execvpe(program[0], program, {**os.environ, **systemds})


if __name__ == "__main__":
    main()
