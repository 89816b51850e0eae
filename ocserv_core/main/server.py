"""The whole server: what is opened at the start, in which order, and how it ends. `run` and `test_config` are
called by cli/ocserv.py."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from ..config.launch import Launch
from ..config.server import ServerOptions
from ..config.tree import ServerConfig
from ..config.worker import build_worker_config
from ..errors import ConfigError, ConfigErrors, OcservError, PeerLost, PeerViolation, StartError
from ..ipc.messages import BanPoints, DisconnectSession, Terminate, UpdateSession
from ..log import NOTICE, LogTarget, open_log
from ..model import DisconnectReason, Endpoint, SessionId, Traffic
from ..state.associations import MAX_SEARCHES, Associations
from ..state.bans import Bans, ban_key
from ..state.ip_pool import Pools
from ..state.resumption import ResumptionCache, capacity_for
from ..system.activation import Activated, take_activated
from ..system.adopted import adopted
from ..system.children import AWAITED, reap_others
from ..system.daemon import PidFile, Readiness, daemonize, in_foreground, sd_notify
from ..system.isolate import check_chroot_dir, resolve_user
from ..system.netlink import Netlink
from ..system.process import TRACEABLE_VARIABLE, raise_descriptor_limit, set_child_subreaper, set_title
from ..system.sockets import Accepted, open_control_socket
from ..system.statedir import StateDir
from ..system.tun import check_tun
from .admission import Admission
from .configuration import Configuration, load, read_contents, worker_entries
from .control import ControlServer
from .exposed import with_exposed
from .firewall import Firewall, table_of
from .iroutes import Iroutes
from .keeper import Keeper
from .leases import Leases
from .listeners import Listeners
from .nursery import Nurseries, check_worker_config
from .openings import Openings
from .outside import Outside
from .plugins import load_plugins
from .records import ConnectionState, WorkerRecord
from .requests import Requests
from .revocation import Revocation
from .scripts import Scripts
from .searcher import Searcher
from .secmod import Secmod
from .sessions import Sessions
from .status import Status
from .tasks import Tasks
from .udp import Udp
from .utmp import Utmp
from .workers import Workers

_log = logging.getLogger(__name__)

END_WITHIN = 4.7
"""Seconds from TERM to the end of the process, whatever hangs."""

SESSIONS_END_WITHIN = 3.7
"""Seconds of these for the sessions, which are killed then."""

GIVEN_UP_WITHIN = 0.3
"""Seconds for what is left then."""

RESUMPTION_LIFE = 300.0
"""Seconds that TLS session data is kept: the C server's default cookie-timeout."""

DESCRIPTORS_PER_CLIENT = 4
DEFAULT_CLIENTS = 8192


def run(launch: Launch) -> int:
    """Serve until told to end: the exit status. OcservError where the server cannot start."""
    activated = take_activated()
    config = load(launch.config_file)
    target = _log_target(launch, config)
    readiness = _go_to_background(launch)
    open_log("main", target)
    set_title("ocserv-main")
    try:
        return asyncio.run(_serve(launch, config, target, readiness, activated))
    except OcservError as error:
        _log.critical("%s", error)
        readiness.failed(f"ocserv: {error}")
        return error.exit_code


def test_config(launch: Launch) -> int:
    """`--test-config`: what start would find wrong, without opening a socket. Prints warnings and errors."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    config = load(launch.config_file, strict=launch.strict)
    _worker_ids(config)
    check_chroot_dir(config.server.chroot_dir)
    load_plugins(config)
    asyncio.run(_test_prepare(config))
    return 0


async def _test_prepare(config: ServerConfig) -> None:
    """What secmod and the nursery would say, without a socket: secmod's half in a child that serves nobody."""
    contents = read_contents(config)
    with_exposed(config)
    secmod = Secmod(
        LogTarget(level=0).environment(),
        open_sessions=list,
        on_fresh=lambda: None,
        on_disconnect=lambda _message: None,
        on_update=lambda _message: None,
        on_cut_off=lambda _worker: None,
        on_points=lambda _message: None,
        on_death=lambda _error: None,
    )
    secmod.start()
    try:
        configured = await secmod.configure(1, config)
    finally:
        await secmod.stop(5.0)
    await check_worker_config(build_worker_config(config, 1, contents, configured.groups, worker_entries(config)))


async def _serve(
    launch: Launch, config: ServerConfig, target: LogTarget, readiness: Readiness, activated: Activated | None
) -> int:
    async with contextlib.AsyncExitStack() as stack:
        server = Server(launch, target, activated)
        await server.start(config, stack)
        readiness.ready()
        sd_notify("READY=1")
        if launch.greeting:
            print(launch.greeting, flush=True)
        return await server.serve()


class Server:
    """The parts and what binds them. Start in `start`, signals in `serve`, the end in `_end`."""

    def __init__(self, launch: Launch, target: LogTarget, activated: Activated | None = None) -> None:
        self._launch = launch
        self._openings = Openings(activated)
        self._target = target
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._end_by = 0.0
        self._reloading = asyncio.Lock()
        self._tasks = Tasks()
        self._secmod = Secmod(
            self._environment(),
            open_sessions=self._open_sessions,
            on_fresh=self._attach_workers,
            on_disconnect=self._on_disconnect_session,
            on_update=self._on_update_session,
            on_cut_off=self._on_cut_off,
            on_points=self._on_points,
            on_death=self._on_secmod_death,
        )

    # ---- start

    async def start(self, config: ServerConfig, stack: contextlib.AsyncExitStack) -> None:
        """Open everything, in the order in which it can fail; `stack` closes it again."""
        config = self._openings.adapt(config)
        server = config.server
        check_tun()
        check_chroot_dir(server.chroot_dir)
        uid, gid = _worker_ids(config)
        state = StateDir.open(server.state_dir)
        stack.callback(state.close)
        self._openings.open(server, stack)
        control = self._open_control_socket(server, stack)
        raise_descriptor_limit((server.max_clients or DEFAULT_CLIENTS) * DESCRIPTORS_PER_CLIENT + MAX_SEARCHES)
        set_child_subreaper()
        netlink = await Netlink.open()
        stack.push_async_callback(netlink.close)
        self._plugins = load_plugins(config)
        bans = Bans(await netlink.local_subnets())
        self._build(config, netlink, bans, [str(uid), str(gid), state.empty_root])
        stack.push_async_callback(self._firewall.close)
        stack.push_async_callback(self._sessions.utmp.close)
        await self._firewall.start()
        stack.push_async_callback(self._stop_siblings)
        self._secmod.start()
        await self._configuration.apply(config)
        # Before anybody can know that the server is up: a HUP that comes at once must not end it.
        self._catch_signals()
        self._write_pid_file(config, stack)
        if control is not None:
            await self._control.start(control)
        self._listeners = Listeners(self._openings.tcp, self._ready, self._on_connection)
        self._listeners.resume()
        self._udp.serve(self._openings.udp)
        self._tasks.start(self._revocation.run())
        self._tasks.start(self._admission.run())
        for address in self._listeners.addresses:
            _log.log(NOTICE, "listening on %s port %d (TCP)", *address)
        for address in self._udp.addresses:
            _log.log(NOTICE, "listening on %s port %d (UDP)", *address)

    def _open_control_socket(self, server: ServerOptions, stack: contextlib.AsyncExitStack) -> socket.socket | None:
        if not server.use_occtl:
            return None
        control = open_control_socket(server.occtl_socket_file)
        stack.callback(_remove, server.occtl_socket_file)
        stack.callback(control.close)
        return control

    def _build(self, config: ServerConfig, netlink: Netlink, bans: Bans, nursery_arguments: list[str]) -> None:
        self._admission = Admission(lambda: self._config().server, bans, self._on_banned)
        resumption = ResumptionCache(capacity_for(config.server.max_clients), RESUMPTION_LIFE)
        self._status = Status(self._config, self._secmod, resumption, self._admission)
        associations = Associations()
        self._firewall = Firewall(table_of(config.server.state_dir))
        outside = Outside(
            Scripts(lambda: self._config().server), self._firewall, Iroutes(lambda: self._config().server)
        )
        leases = Leases(lambda: self._config().server, Pools())
        self._sessions = Sessions(self._config, self._secmod, netlink, leases, self._status, associations, outside)
        self._sessions.plugins = self._plugins
        self._sessions.utmp = Utmp(lambda: self._config().server)
        searcher = Searcher(associations, lambda: self._workers, self._openings.connect)
        requests = Requests(
            self._sessions, resumption, lambda: self._workers, self._config, self._status.latency, searcher
        )
        self._nurseries = Nurseries(nursery_arguments, self._environment())
        self._workers = Workers(self._nurseries, self._secmod, requests.new_gate, self._on_worker_end, self._refuses)
        self._udp = Udp(associations, searcher, self._workers, self._admission.is_banned, self._openings.connect)
        self._nurseries.events = self._workers
        self._sessions.workers = self._workers
        self._status.workers = self._workers
        self._configuration = Configuration(self._secmod, self._nurseries, self._openings.adapt)
        self._revocation = Revocation(self._configuration)
        self._keeper = Keeper(self._secmod, self._configuration.renew, self._on_doomed)
        self._control = ControlServer(self._secmod, self._workers, self._status, self, self._plugins, self._admission)

    def _environment(self) -> dict[str, str]:
        """For secmod and nurseries, beside what they inherit."""
        traceable = {TRACEABLE_VARIABLE: "1"} if self._launch.traceable else {}
        return self._target.environment() | traceable

    def _config(self) -> ServerConfig:
        return self._configuration.current

    def _write_pid_file(self, config: ServerConfig, stack: contextlib.AsyncExitStack) -> None:
        path = self._launch.pid_file or config.server.pid_file
        if path:
            stack.callback(PidFile(path).remove)

    # ---- serving

    async def serve(self) -> int:
        """Until TERM or INT, `occtl stop`, or the end of what cannot be restarted: the exit status."""
        await self._stopping.wait()
        sd_notify("STOPPING=1")
        await self._drain()
        await self._end()
        return self._exit_code

    async def _drain(self) -> None:
        """server-drain-ms: nobody new is served, sessions go on until then, or until the last of them has ended."""
        left = self._config().server.server_drain_ms / 1000
        if not left:
            return
        self._listeners.close()
        _log.log(NOTICE, "draining: %d connections may go on for %.1f s", len(self._workers.records), left)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._workers.idle.wait()

    def _catch_signals(self) -> None:
        """They are caught until the loop is closed, so that a second TERM does not cut the end short."""
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGHUP: lambda: self._tasks.start(self._reload_on_signal()),
            signal.SIGCHLD: self._reap_adopted,
            signal.SIGUSR1: self._status.log,
            signal.SIGUSR2: lambda: self._tasks.start(self._maintain()),
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)

    def _reap_adopted(self) -> None:
        """What a script has left in the background is main's when the script has ended, and nobody waits for it."""
        workers = {record.pid for record in self._workers.records.values()}
        known = {*AWAITED, *workers, *self._nurseries.pids, self._secmod.pid}
        reap_others([pid for pid in adopted(()) if pid not in known])

    def stop(self) -> None:
        """Begin the end; a second time changes nothing."""
        if not self._stopping.is_set():
            _log.log(NOTICE, "the server ends")
            self._stopping.set()

    async def reload(self) -> tuple[str, ...]:
        """Read the configuration again; what of it waits for the next start, a sentence each. OcservError where it
        cannot be used: everything stays as it is."""
        async with self._reloading:
            sd_notify("RELOADING=1")
            try:
                postponed = await self._configuration.reload()
            except OcservError as error:
                _log.error("the configuration is not reloaded, the running one stays in force")
                for fault in error.errors if isinstance(error, ConfigErrors) else (error,):
                    _log.error("%s", fault)
                raise
            finally:
                sd_notify("READY=1")
            for sentence in postponed:
                _log.warning("%s", sentence)
            _log.log(NOTICE, "the configuration is reloaded")
            return postponed

    async def _maintain(self) -> None:
        """At once what is done every quarter of an hour."""
        async with self._reloading:
            _log.log(NOTICE, "SIGUSR2: revocation lists are looked at, bans that are over forgotten")
            self._admission.sweep()
            await self._revocation.look()

    async def _reload_on_signal(self) -> None:
        with contextlib.suppress(OcservError):
            await self.reload()

    # ---- events

    def _ready(self) -> bool:
        return self._nurseries.generation > 0 and self._secmod.ready

    def _on_connection(self, accepted: Accepted) -> None:
        # Behind a balancer only the worker learns whose the connection is: it is asked again then (Workers.on_address).
        if not self._workers.proxied and self._refuses(accepted.remote, accepted.local):
            accepted.connection.close()
            return
        if self._admission.refuses(len(self._workers.records)):
            _log.warning("%s is refused: max-clients is reached", accepted.remote)
            accepted.connection.close()
            self._listeners.pause(1.0)
            return
        self._workers.spawn(accepted)
        rate_limit = self._config().server.rate_limit_ms
        if rate_limit and self._secmod.is_behind:
            self._listeners.pause(rate_limit / 1000)

    def _refuses(self, remote: Endpoint, local: Endpoint, counts: bool = True) -> bool:
        """Whether a client at this address is not served, which is logged. All that is decided by addresses, asked once
        for each connection; it `counts` where it is not a balancer's own."""
        if self._admission.refuses_address(remote.ip, counts=counts):
            return True
        reason = self._plugins.refuses(remote, local)
        if reason:
            _log.info("%s is refused: %s", remote, reason)
        return bool(reason)

    def _on_worker_end(self, record: WorkerRecord, traffic: Traffic) -> None:
        self._udp.on_worker_end(record.number)
        self._sessions.on_worker_end(record, traffic)

    def _open_sessions(self) -> list[SessionId]:
        return [record.sid for record in self._workers.records.values() if record.sid]

    def _attach_workers(self) -> None:
        self._workers.attach_all()

    def _on_disconnect_session(self, message: DisconnectSession) -> None:
        self._tasks.start(self._disconnect(message))

    def _on_update_session(self, message: UpdateSession) -> None:
        self._sessions.update(message)

    def _on_cut_off(self, worker: int) -> None:
        self._workers.cut_off(worker)

    def _on_points(self, message: BanPoints) -> None:
        self._admission.add_points(message.ip, message.offence)

    def _on_banned(self, ip: str) -> None:
        """Who is in the middle of a login there does not go on guessing; tunnels do."""
        message = Terminate(DisconnectReason.SERVER, "Your address is banned")
        for record in list(self._workers.records.values()):
            if record.state is ConnectionState.PRE_AUTH and ban_key(record.remote.ip) == ip:
                self._tasks.start(self._workers.end(record, message))

    async def _disconnect(self, message: DisconnectSession) -> None:
        await self._sessions.disconnect(message.sid, message.reason, message.text)

    def _on_secmod_death(self, error: PeerLost | PeerViolation) -> None:
        self._keeper.on_death(error)

    def _on_doomed(self) -> None:
        self._exit_code = 1
        self._stopping.set()

    # ---- end

    async def _stop_siblings(self) -> None:
        """Both at once, within what is left of the time that the end may take."""
        self._keeper.stop()
        left = max(0.5, self._end_by - time.monotonic())
        await asyncio.gather(self._secmod.stop(left), self._nurseries.stop(left))

    async def _end(self) -> None:
        """BYE to every client, their accounting, then everything else; bounded at each step."""
        self._end_by = time.monotonic() + END_WITHIN
        self._listeners.close()
        self._udp.close()
        self._control.close()
        message = Terminate(DisconnectReason.SERVER, "The server is shutting down")
        try:
            async with asyncio.timeout(SESSIONS_END_WITHIN):
                records = [r for r in self._workers.records.values() if r.state is not ConnectionState.ENDED]
                await asyncio.gather(*(self._workers.end(record, message) for record in records))
                await self._sessions.tasks.settle()
        except TimeoutError:
            if self._workers.records:
                _log.warning("%d connections did not end in time, they are killed", len(self._workers.records))
            self._workers.kill_all()
            await self._sessions.give_up(GIVEN_UP_WITHIN)
        self._tasks.cancel()


def _worker_ids(config: ServerConfig) -> tuple[int, int]:
    """uid and gid of workers. ConfigError with the line where run-as-user or run-as-group cannot be used."""
    try:
        return resolve_user(config.server.run_as_user or None, config.server.run_as_group or None)
    except StartError as error:
        written = config.origins.get(str(error).partition(":")[0].split()[0])
        if written is None:
            raise
        raise ConfigError(str(error), written.file, written.line) from None


def _log_target(launch: Launch, config: ServerConfig) -> LogTarget:
    """-d counts where the file says nothing of log-level; the file goes before the command line, as upstream."""
    level = config.server.log_level
    if launch.debug and "log-level" not in config.origins:
        level = launch.debug
    facility = launch.syslog_facility or config.server.syslog_facility
    return LogTarget(level, launch.log_stderr, facility if launch.syslog else "")


def _go_to_background(launch: Launch) -> Readiness:
    if launch.foreground:
        return in_foreground()
    return daemonize(change_directory=not launch.no_chdir, keep_stderr=launch.log_stderr)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
