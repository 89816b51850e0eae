"""ServerOptions: the options that have one value for the whole server. They stand before the first section."""

from __future__ import annotations

from typing import Annotated

import msgspec

from . import values
from .declare import Option, Repeat, options_of
from .route_command import ROUTE_COMMAND
from .values import AlgorithmPriority, BackendSpec, Seconds


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of the server. "" means that nothing was said, 0 what the option's text says."""

    # ---- listeners ----

    tcp_port: Annotated[int, Option(values.PORT, "The TCP port. Must be set.", reloadable=False)] = 0
    udp_port: Annotated[
        int,
        Option(values.PORT, "The UDP port for DTLS; 0 turns DTLS off.", reloadable=False),
    ] = 0
    listen_host: Annotated[
        str,
        Option(values.TEXT, "The address or name to listen on; unset, every address.", reloadable=False),
    ] = ""
    udp_listen_host: Annotated[
        str,
        Option(values.TEXT, "The same for UDP; unset, as listen-host.", reloadable=False),
    ] = ""
    listen_netns: Annotated[
        str,
        Option(
            values.text_of("name"),
            "The network namespace in which the server listens, by its name for ip netns.",
            reloadable=False,
            tolerated=True,
        ),
    ] = ""
    listen_proxy_proto: Annotated[
        bool,
        Option(values.BOOLEAN, "Every TCP connection begins with a PROXY header (v1 or v2)."),
    ] = False

    # ---- process ----

    run_as_user: Annotated[
        str,
        Option(
            values.text_of("name"),
            "The user that workers run as, and that owns the control socket; unset, workers run as nobody.",
            reloadable=False,
        ),
    ] = ""
    run_as_group: Annotated[
        str,
        Option(values.text_of("name"), "The group that workers run as; unset, their user's own.", reloadable=False),
    ] = ""
    socket_file: Annotated[
        str,
        Option(values.FILE, "The path that the server's own files are named after. Must be set.", reloadable=False),
    ] = ""
    state_dir: Annotated[
        str,
        Option(
            values.DIRECTORY,
            "The folder of what outlives the server: sessions, accounting; unset, socket-file with .d after it.",
            reloadable=False,
        ),
    ] = ""
    session_store: Annotated[
        BackendSpec,
        Option(
            values.BACKEND,
            "Where sessions and their cookies are kept: sqlite outlives the server, memory does not.",
            reloadable=False,
        ),
    ] = BackendSpec("sqlite")
    use_occtl: Annotated[bool, Option(values.BOOLEAN, "Open the control socket for occtl.", reloadable=False)] = False
    occtl_socket_file: Annotated[str, Option(values.FILE, "The path of the control socket.", reloadable=False)] = (
        "/var/run/occtl.socket"
    )
    chroot_dir: Annotated[
        str,
        Option(values.DIRECTORY, "The folder that workers are locked into; unset, an empty one.", reloadable=False),
    ] = ""
    pid_file: Annotated[
        str,
        Option(
            values.FILE,
            "Where the server's process id is written; the command line goes before it.",
            reloadable=False,
            repeat=Repeat.FIRST,
            tolerated=True,
        ),
    ] = ""
    log_level: Annotated[
        int,
        Option(
            values.number(0, 9),
            "How much is logged: 0 little, 2 each session, 4 HTTP, 9 everything.",
            reloadable=False,
            tolerated=True,
        ),
    ] = 2
    syslog_facility: Annotated[
        str, Option(values.FACILITY, "The facility of messages to syslog.", reloadable=False, tolerated=True)
    ] = "daemon"
    isolate_workers: Annotated[
        bool, Option(values.BOOLEAN, "Let workers ask nothing of the kernel that they do not need.")
    ] = True
    limit_worker_memory: Annotated[
        bool, Option(values.BOOLEAN, "Let a worker have 64 MiB more than it starts with, at most.")
    ] = True
    use_utmp: Annotated[bool, Option(values.BOOLEAN, "Record sessions in utmp and wtmp.")] = True
    sec_mod_scale: Annotated[
        int,
        Option(
            values.number(0, 1024),
            "How many processes sign with the private keys; 0 is chosen by processors and max-clients.",
            reloadable=False,
        ),
    ] = 0
    sec_mod_db_cleanup_time: Annotated[
        Seconds, Option(values.SECONDS, "How often expired sessions are looked for; 0 is 310.")
    ] = 0
    debug_no_secmod_stats: Annotated[
        bool,
        Option(
            values.BOOLEAN,
            "For tests: workers report no traffic.",
            reloadable=False,
            tolerated=True,
        ),
    ] = False

    # ---- limits ----

    max_clients: Annotated[int, Option(values.number(), "How many clients are served at once; 0 is unlimited.")] = 0
    auth_timeout: Annotated[
        Seconds, Option(values.SECONDS, "How long a client may take from its connection to the tunnel.")
    ] = 240
    rate_limit_ms: Annotated[
        int,
        Option(values.number(), "Pause between connections under load, in milliseconds; 0 is none."),
    ] = 0
    server_drain_ms: Annotated[
        int,
        Option(values.number(), "How long sessions go on after SIGTERM, in milliseconds."),
    ] = 0
    server_stats_reset_time: Annotated[
        Seconds,
        Option(values.SECONDS, "How often the period of the statistics starts anew; 0 never.", reloadable=False),
    ] = 604800

    plugins: Annotated[
        tuple[BackendSpec, ...],
        Option(
            values.BACKEND,
            "A plugin of the main process: it may refuse connections, hears of tunnels, adds commands to occtl.",
            name="plugin",
            reloadable=False,
            repeat=Repeat.APPEND,
        ),
    ] = ()

    # ---- scripts ----

    connect_script: Annotated[str, Option(values.FILE, "Run when a session comes up; may refuse it.")] = ""
    disconnect_script: Annotated[str, Option(values.FILE, "Run when a session ends.")] = ""
    host_update_script: Annotated[str, Option(values.FILE, "Run when a client tells its name or version.")] = ""
    route_add_cmd: Annotated[
        str,
        Option(ROUTE_COMMAND, "Adds an iroute, by the shell; %{R} and %{RI} are the route, %{D} the device."),
    ] = ""
    route_del_cmd: Annotated[str, Option(ROUTE_COMMAND, "Deletes an iroute, in the words of route-add-cmd.")] = ""

    # ---- tunnel ----

    device: Annotated[
        str,
        Option(values.DEVICE, "The beginning of the names of TUN devices. Must be set."),
    ] = ""
    ping_leases: Annotated[bool, Option(values.BOOLEAN, "Ping an IPv4 address before it is given to a client.")] = False
    try_mtu_discovery: Annotated[bool, Option(values.BOOLEAN, "Find the largest packet that the path carries.")] = False
    dtls_psk: Annotated[bool, Option(values.BOOLEAN, "Allow DTLS with a pre-shared key.")] = True
    compression_algo_priority: Annotated[
        tuple[AlgorithmPriority, ...],
        Option(
            values.ALGORITHM_PRIORITY,
            "The rank of a compression algorithm; the higher wins. Unset, oc-lz4 has 90 and lzs 80.",
            repeat=Repeat.APPEND,
            lenient=True,
        ),
    ] = ()
    latency_stats: Annotated[
        bool,
        Option(values.BOOLEAN, "Measure how long packets that come by DTLS take; occtl and the log show it."),
    ] = False

    # ---- bans ----

    max_ban_score: Annotated[
        int,
        Option(values.number(), "An address with so many points is banned; 0 bans nobody."),
    ] = 80
    ban_time: Annotated[Seconds, Option(values.SECONDS, "How long a ban lasts.")] = 300
    ban_reset_time: Annotated[Seconds, Option(values.SECONDS, "How long an address keeps its points.")] = 1200
    ban_points_wrong_password: Annotated[int, Option(values.number(), "Points for a wrong password.")] = 10
    ban_points_connection: Annotated[int, Option(values.number(), "Points for a connection.")] = 1
    ban_points_kkdcp: Annotated[int, Option(values.number(), "Points for a Kerberos message.")] = 1


SERVER = options_of(ServerOptions)
