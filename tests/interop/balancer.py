"""haproxy before the server: on a machine of its own, so that clients meet it and the server meets only it."""

from __future__ import annotations

from .lab import Lab
from .network import SERVER4, Host
from .processes import Watched


class Balancer:
    """`words` are those of haproxy's `server` line (send-proxy, check …). What it says is in `log`."""

    def __init__(self, lab: Lab, *words: str) -> None:
        self.host: Host = lab.host()
        self.address = self.host.address4
        lines = [
            "global",
            "    log stdout format raw local0",
            "defaults",
            "    mode tcp",
            "    timeout connect 5s",
            "    timeout client 1h",
            "    timeout server 1h",
            "    option log-health-checks",
            "listen vpn",
            f"    bind {self.address}:443",
            f"    server vpn {SERVER4}:443 {' '.join(words)}",
        ]
        path = lab.write("haproxy.cfg", "\n".join(lines) + "\n")
        self._process = Watched("haproxy", self.host.argv("haproxy", "-W", "-db", "-f", path))
        lab.keep(self._process)
        self.log = self._process.output

    def await_up(self) -> Balancer:
        """Until it takes connections."""
        self.log.wait_for("Loading success")
        return self

    def forward_datagrams(self) -> None:
        """Datagrams to our address go to the server, and come from it with ours: as a balancer of UDP does it."""
        self.host.run("sysctl", "-w", "net.ipv4.ip_forward=1").check_returncode()
        dnat = f"type nat hook prerouting priority dstnat; udp dport 443 dnat to {SERVER4};"
        snat = "type nat hook postrouting priority srcnat; udp dport 443 masquerade;"
        self.host.nft(f"table ip nat {{\nchain pre {{ {dnat} }}\nchain post {{ {snat} }}\n}}\n")
