"""The real openconnect on a host of a lab, and what its script heard."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence

from .network import Host
from .processes import PATIENCE, Watched

SCRIPT = """\
#!/bin/sh
# openconnect runs this when its tunnel changes; what is printed here is how a test hears of it.
if [ "$reason" = connect ]; then
    ip link set dev "$TUNDEV" up mtu "$INTERNAL_IP4_MTU"
    if [ -n "$INTERNAL_IP4_ADDRESS" ]; then
        ip address add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
        ip route add "$LAB_NETWORK4" dev "$TUNDEV" src "$INTERNAL_IP4_ADDRESS"
    fi
    if [ -n "$INTERNAL_IP6_ADDRESS" ]; then
        ip address add "$INTERNAL_IP6_ADDRESS/128" dev "$TUNDEV" nodad
        ip route add "$LAB_NETWORK6" dev "$TUNDEV"
    fi
fi
env | sed -n -E 's/^((INTERNAL|CISCO|VPN|TUN|IDLE)[A-Z0-9_]*=)/script: \\1/p'
echo "script: done $reason"
"""
"""LAB_NETWORK4 and LAB_NETWORK6 are the pools: the only routes that a client gets."""


DTLS_UP = r"^Established DTLS connection .*Ciphersuite (\S+)\.$"


class Client:
    """One openconnect process. `environment` is what its script was told at the last connect."""

    def __init__(self, host: Host, words: Sequence[str], *, stdin: str, environment: Mapping[str, str]) -> None:
        self.host = host
        # Nothing of the tester's own environment, such as a proxy, reaches it.
        variables = [f"{name}={value}" for name, value in {"PATH": os.environ["PATH"], **environment}.items()]
        argv = host.argv("env", "-i", *variables, "openconnect", "--verbose", *words)
        self._process = Watched(f"openconnect on {host.name}", argv, stdin=stdin)
        self.output = self._process.output
        self.pid = self._process.pid

    def await_connected(self, timeout: float = PATIENCE) -> Client:
        """Until its script has set up the tunnel."""
        self.output.wait_for("^script: done connect$", timeout)
        return self

    def await_reconnected(self, timeout: float = PATIENCE, *, times: int = 1) -> None:
        """Until it is back by itself, with its cookie."""
        self.output.wait_for("^script: done reconnect$", timeout, times=times)

    def await_dtls(self, timeout: float = PATIENCE, *, times: int = 1) -> str:
        """Until its DTLS is up (for the `times`-th time): the ciphersuite as it names that."""
        return self.output.wait_for(DTLS_UP, timeout, times=times)[1]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [
            line.removeprefix("script: ").partition("=") for line in self.output.lines if line.startswith("script: ")
        ]
        return {name: value for name, separator, value in pairs if separator}

    @property
    def address4(self) -> str:
        return self.environment["INTERNAL_IP4_ADDRESS"]

    @property
    def address6(self) -> str:
        return self.environment["INTERNAL_IP6_ADDRESS"]

    @property
    def addresses(self) -> tuple[str, str]:
        return self.address4, self.address6

    @property
    def mtu(self) -> int:
        return int(self.environment["INTERNAL_IP4_MTU"])

    @property
    def running(self) -> bool:
        return self._process.running

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9: it can say nothing more to the server."""
        self._process.kill()

    def disconnect(self) -> None:
        """As Ctrl-C: it says BYE and ends."""
        self._process.send_signal(signal.SIGINT)
        self.wait()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit status, when it ended by itself."""
        return self._process.wait(timeout)

    def destroy(self) -> None:
        self._process.destroy()

    def reaches(self, address: str, *, within: float = PATIENCE) -> bool:
        """Whether an echo comes back through the tunnel within so many seconds; each try lasts two at most."""
        deadline = time.monotonic() + within
        while not self.host.ping(address):
            if time.monotonic() > deadline:
                return False
        return True
