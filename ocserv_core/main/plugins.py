"""Plugins in main (`plugin` in ocserv.conf): asked whether a connection is served, told of tunnels, run for occtl. They
run as root on main's loop: one that takes long is named in the log, one that raises hurts its own call alone."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pluggy

from ..config.tree import ServerConfig
from ..model import DEFAULT_VHOST, DisconnectReason, Endpoint, PluginCounters, PluginReport, Traffic
from ..plugin.backends import Command, Tunnel
from ..plugin.manager import Plugin, alone, load, new_manager, seal
from .records import TunnelRecord, WorkerRecord

_log = logging.getLogger(__name__)

SLOW = 0.01
"""Seconds; every client waits for what main does."""

GROUP = "ocserv.main"

FAILED = "the plugin '{}' failed"


class MainPlugins:
    """Those of one start: `plugin` needs a restart."""

    def __init__(self, plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._plugins = plugins
        self._counters = {plugin.name: PluginCounters() for plugin in plugins}

    # ---- hooks

    def refuses(self, remote: Endpoint, local: Endpoint) -> str:
        """Why a connection is not served, by the first who has a reason; nothing where it is."""
        for plugin in self._having("ocserv_client_admit"):
            reason = FAILED.format(plugin.name)
            with self._watched(plugin):
                reason = self._call(plugin, "ocserv_client_admit", remote=remote, local=local) or ""
            if reason:
                return str(reason)
        return ""

    def on_up(self, worker: WorkerRecord, tunnel: TunnelRecord) -> None:
        """A tunnel is up."""
        for plugin in self._having("ocserv_session_up"):
            with self._watched(plugin):
                self._call(plugin, "ocserv_session_up", tunnel=_facts(worker, tunnel))

    def on_down(self, worker: WorkerRecord, tunnel: TunnelRecord, traffic: Traffic, reason: DisconnectReason) -> None:
        """A tunnel has ended."""
        for plugin in self._having("ocserv_session_down"):
            with self._watched(plugin):
                facts = _facts(worker, tunnel)
                self._call(plugin, "ocserv_session_down", tunnel=facts, traffic=traffic, reason=reason)

    def run(self, words: Sequence[str]) -> tuple[bool, str]:
        """A command of occtl: whether it was carried out, and what it says."""
        for plugin in self._having("ocserv_occtl_commands"):
            said: tuple[bool, str] | None = (False, FAILED.format(plugin.name))
            with self._watched(plugin):
                said = _run(self._call(plugin, "ocserv_occtl_commands"), words)
            if said is not None:
                return said
        return False, f"no plugin has the command '{' '.join(words)}'"

    def reports(self) -> list[PluginReport]:
        """For occtl."""
        return [plugin.report("", "main", self._counters[plugin.name]) for plugin in self._plugins]

    # ---- calls

    def _having(self, hook: str) -> list[Plugin]:
        return [plugin for plugin in self._plugins if plugin.has(hook)]

    def _call(self, plugin: Plugin, hook: str, **arguments: object) -> Any:
        return alone(self._manager, plugin, hook)(**arguments)

    @contextlib.contextmanager
    def _watched(self, plugin: Plugin) -> Iterator[None]:
        began, counters = time.monotonic(), self._counters[plugin.name]
        try:
            yield
        except Exception as error:  # noqa: BLE001 (a plugin's fault is this call's, and nobody else's)
            counters.failed += 1
            counters.last_error = type(error).__name__
            _log.exception(FAILED.format("%s"), plugin.name)
        else:
            counters.granted += 1
        took = time.monotonic() - began
        counters.note_stretch(took)
        if took > SLOW:
            _log.warning("the plugin '%s' held up everybody for %.0f ms", plugin.name, took * 1e3)


NO_PLUGINS = MainPlugins((), new_manager())


def load_plugins(config: ServerConfig) -> MainPlugins:
    """Those that the configuration names. ConfigErrors, ConfigError."""
    manager = new_manager()
    plugins = load(manager, GROUP, config.server.plugins, DEFAULT_VHOST)
    seal(manager)
    return MainPlugins(plugins, manager)


def _run(commands: dict[str, Command], words: Sequence[str]) -> tuple[bool, str] | None:
    """By the longest name that the words begin with; None where there is none."""
    for length in range(len(words), 0, -1):
        command: Callable[[Sequence[str]], str] | None = commands.get(" ".join(words[:length]))
        if command is not None:
            return True, str(command(words[length:]))
    return None


def _facts(worker: WorkerRecord, tunnel: TunnelRecord) -> Tunnel:
    return Tunnel(
        id=worker.pid,
        sid=tunnel.sid,
        vhost=worker.vhost,
        username=tunnel.username,
        group=tunnel.group,
        client=worker.client,
        remote=worker.remote,
        local=worker.local,
        lease=tunnel.lease,
        device=tunnel.device,
        started=tunnel.started,
    )
