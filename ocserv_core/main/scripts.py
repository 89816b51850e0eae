"""The administrator's scripts: connect-script, whose exit status decides on a tunnel, disconnect-script and
host-update-script, which only hear. Their environment is that of the C server (scripts-env)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable

from ..config.server import ServerOptions
from ..config.session import SessionConfig
from ..errors import SystemFailure
from ..model import Traffic
from ..state.firewall import denies, is_restricted
from ..system.children import wait_exit
from ..system.scripts import spawn_script
from .records import TunnelRecord, WorkerRecord

_log = logging.getLogger(__name__)

ENDED_WITHIN = 5.0
"""Seconds that a connect-script may take to end when its client has gone and it was told so (SIGTERM)."""

RUNS_AT_MOST = 60.0
"""Seconds that a script which only hears may take."""

FIREWALL_VARIABLE = "OCSERV_FW_SCRIPT"
"""Names, in the server's own environment, the script that restricts clients; without it main does."""

NEXT_SCRIPT = "OCSERV_NEXT_SCRIPT"

_LISTS = ("OCSERV_ROUTES", "OCSERV_NO_ROUTES", "OCSERV_DNS")

VARIABLES = frozenset(
    [
        *("ID", "REASON", "VHOST", "USERNAME", "GROUPNAME", "DEVICE", "HOSTNAME", "REMOTE_HOSTNAME", "USER_AGENT"),
        *("DEVICE_TYPE", "DEVICE_PLATFORM", "IP_REAL", "IP_REAL_LOCAL", "IP_LOCAL", "IP_REMOTE", "IPV6_LOCAL"),
        *("IPV6_REMOTE", "IPV6_PREFIX", "OCSERV_RESTRICT_TO_ROUTES", "OCSERV_ALLOW_PORTS"),
        *("OCSERV_DENY_PORTS", NEXT_SCRIPT, "STATS_BYTES_IN", "STATS_BYTES_OUT"),
        *("STATS_DURATION", *(f"{name}{family}" for name in _LISTS for family in ("", "4", "6"))),
    ]
)
"""Every name that a script may find: one that does not apply is not set, whatever the server's own environment says."""


class Scripts:
    """`options`: of the configuration of the moment."""

    def __init__(self, options: Callable[[], ServerOptions]) -> None:
        self._options = options
        self._firewall = os.environ.get(FIREWALL_VARIABLE, "")

    @property
    def has_firewall(self) -> bool:
        """Whether a script of the administrator's does what main would do itself for restricted clients."""
        return bool(self._firewall)

    async def connect(self, worker: WorkerRecord, tunnel: TunnelRecord, gone: Callable[[], Awaitable[object]]) -> bool:
        """Run connect-script: whether the tunnel may be. Where the client is `gone` before the script has ended, it is
        told, and disconnect-script takes back what it did all the same."""
        path, more = self._chosen(self._options().connect_script, tunnel)
        if not path:
            return True
        try:
            pid = spawn_script(path, environment("connect", worker, tunnel) | more, VARIABLES)
        except SystemFailure as failure:
            _log.error("connect-script: %s", failure)
            return False
        try:
            return await self._await_consent(pid, path, worker, tunnel, gone())
        except asyncio.CancelledError:
            # The server ends, and nobody would hear what it says.
            _kill_group(pid, signal.SIGKILL)
            raise

    async def _await_consent(
        self, pid: int, path: str, worker: WorkerRecord, tunnel: TunnelRecord, gone: Awaitable[object]
    ) -> bool:
        status = await _exit_or(pid, gone)
        if status is not None:
            if status:
                _log.info("%s ends with %d: '%s' gets no tunnel", path, status, tunnel.username)
            return status == 0
        _kill_group(pid, signal.SIGTERM)
        if await end_group(pid, ENDED_WITHIN) == 0:
            await self.disconnect(worker, tunnel, Traffic())
        return False

    async def disconnect(self, worker: WorkerRecord, tunnel: TunnelRecord, traffic: Traffic) -> None:
        """Run disconnect-script to its end. Where this is cancelled, it goes on by itself: it takes back what has to
        be taken back."""
        statistics = {
            "STATS_BYTES_IN": str(traffic.rx_bytes),
            "STATS_BYTES_OUT": str(traffic.tx_bytes),
            "STATS_DURATION": str(int(time.time() - worker.accepted)),
        }
        path, more = self._chosen(self._options().disconnect_script, tunnel)
        await _run_unheeded("disconnect-script", path, environment("disconnect", worker, tunnel) | statistics | more)

    def _chosen(self, own: str, tunnel: TunnelRecord) -> tuple[str, dict[str, str]]:
        """The script that runs, and what it is told besides: the firewall's runs the administrator's itself."""
        if not self._firewall or not is_restricted(tunnel.config):
            return own, {}
        return self._firewall, {NEXT_SCRIPT: own} if own else {}

    async def update_host(self, worker: WorkerRecord, tunnel: TunnelRecord) -> None:
        """Run host-update-script to its end."""
        path = self._options().host_update_script
        await _run_unheeded("host-update-script", path, environment("host-update", worker, tunnel))


async def _run_unheeded(name: str, path: str, variables: dict[str, str]) -> None:
    if not path:
        return
    try:
        pid = spawn_script(path, variables, VARIABLES)
    except SystemFailure as failure:
        _log.error("%s: %s", name, failure)
        return
    if await end_group(pid, RUNS_AT_MOST) == -signal.SIGKILL:
        _log.error("%s (%s) was killed; %g s are the most that it may run", name, path, RUNS_AT_MOST)


def _kill_group(pid: int, number: signal.Signals) -> None:
    """A script has a process group of its own: what it runs ends with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


async def end_group(pid: int, seconds: float) -> int:
    """The exit status of a script, when it has ended or was killed after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await wait_exit(pid)
    except TimeoutError:
        _kill_group(pid, signal.SIGKILL)
        return await wait_exit(pid)


async def _exit_or(pid: int, gone: Awaitable[object]) -> int | None:
    """The exit status; None where `gone` comes first."""
    exited, left = asyncio.ensure_future(wait_exit(pid)), asyncio.ensure_future(gone)
    await asyncio.wait([exited, left], return_when=asyncio.FIRST_COMPLETED)
    left.cancel()
    if exited.done():
        return exited.result()
    exited.cancel()
    return None


def environment(reason: str, worker: WorkerRecord, tunnel: TunnelRecord) -> dict[str, str]:
    """What a script is told of a connection."""
    client = worker.client
    return {
        "ID": str(worker.pid),
        "REASON": reason,
        "VHOST": worker.vhost,
        "USERNAME": tunnel.username,
        "GROUPNAME": tunnel.group,
        "DEVICE": tunnel.device,
        "HOSTNAME": client.hostname,
        "REMOTE_HOSTNAME": client.hostname,
        "USER_AGENT": client.user_agent,
        "DEVICE_TYPE": client.device_type,
        "DEVICE_PLATFORM": client.device_platform,
        "IP_REAL": worker.remote.ip,
        "IP_REAL_LOCAL": worker.local.ip,
        **_lease(tunnel),
        **_list("OCSERV_ROUTES", map(_with_mask, tunnel.config.routes)),
        **_list("OCSERV_NO_ROUTES", map(_with_mask, tunnel.config.no_routes)),
        **_list("OCSERV_DNS", tunnel.config.dns),
        **_restrictions(tunnel.config),
    }


def _lease(tunnel: TunnelRecord) -> dict[str, str]:
    four, six = tunnel.lease.ipv4, tunnel.lease.ipv6
    return {
        **({"IP_LOCAL": four.local, "IP_REMOTE": four.remote} if four else {}),
        **({"IPV6_LOCAL": six.local, "IPV6_REMOTE": six.remote, "IPV6_PREFIX": str(six.prefix)} if six else {}),
    }


def _restrictions(config: SessionConfig) -> dict[str, str]:
    """Ports as `tcp 443 icmp all `; the name says whether they are all that is open or all that is shut."""
    ports = config.restrict_user_to_ports
    name = "OCSERV_DENY_PORTS" if denies(ports) else "OCSERV_ALLOW_PORTS"
    words = (f"{rule.protocol} {rule.port if rule.protocol in _WITH_PORTS else 'all'} " for rule in ports)
    return {
        **({"OCSERV_RESTRICT_TO_ROUTES": "1"} if config.restrict_user_to_routes else {}),
        **({name: "".join(words)} if ports else {}),
    }


_WITH_PORTS = frozenset(("tcp", "udp", "sctp"))


def _list(name: str, values: Iterable[str]) -> dict[str, str]:
    """All, and those of each family; each value is followed by a blank, the last one too."""
    everything = list(values)
    families = {
        name: everything,
        f"{name}4": [value for value in everything if ":" not in value],
        f"{name}6": [value for value in everything if ":" in value],
    }
    return {key: "".join(f"{value} " for value in found) for key, found in families.items() if found}


def _with_mask(route: str) -> str:
    """IPv4 as a.b.c.d/mask, as the C server gives it to scripts."""
    network = ipaddress.ip_network(route, strict=False)
    return network.with_netmask if network.version == 4 else str(network)
