from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from ocserv_core.cli import occtl_format as fmt
from ocserv_core.cli import occtl_views as views
from ocserv_core.ipc.control import Latency

from .conftest import ALICE, NOW, SESSION, STATUS, STRANGER

USER_TEXT = """\
	ID: 6832
	Username: alice   Groupname: staff
	State: connected
	vhost: default
	Device: vpns0   MTU: 1434
	Remote IP: 192.0.2.2   Location: unknown
	Local Device IP: 192.0.2.1
	IPv4: 198.51.100.50   P-t-P IPv4: 198.51.100.1
	IPv6: 2001:db8:5::58ef   P-t-P IPv6: 2001:db8:5::1
	User-Agent: Open AnyConnect VPN Agent v9.01-3
	Limit RX: 123.0 kB/s
	RX: 0 (0 bytes)   TX: 544 (544 bytes)
	Average bandwidth RX: 0 bytes/s  TX: 136 bytes/s
	DPD: 60   KeepAlive: 3600
	Hostname: vm
	Last connected at: 2023-11-14 22:13 (    4s)
	Session started at: 2023-11-14 20:11 ( 2h:01m)
	Session: rA204x
	TLS ciphersuite: (TLS1.3)-(ECDHE-SECP256R1)-(AES-256-GCM)
	DTLS cipher: (DTLS1.2)-(PSK)-(AES-256-GCM)

	DNS: 192.0.2.53
		192.0.2.54
	Routes: 198.51.100.0/255.255.255.0
	Restricted to routes: False

"""

USER_JSON = """\
  {
    "ID":  6832,
    "Username":  "alice",
    "Groupname":  "staff",
    "State":  "connected",
    "vhost":  "default",
    "Device":  "vpns0",
    "MTU":  "1434",
    "Remote IP":  "192.0.2.2",
    "Location":  "unknown",
    "Local Device IP":  "192.0.2.1",
    "IPv4":  "198.51.100.50",
    "P-t-P IPv4":  "198.51.100.1",
    "IPv6":  "2001:db8:5::58ef",
    "P-t-P IPv6":  "2001:db8:5::1",
    "User-Agent":  "Open AnyConnect VPN Agent v9.01-3",
    "Limit RX":  "123.0 kB/s",
    "RX":  "0",
    "TX":  "544",
    "_RX":  "0 bytes",
    "_TX":  "544 bytes",
    "Average RX":  "0 bytes/s",
    "Average TX":  "136 bytes/s",
    "DPD":  "60",
    "KeepAlive":  "3600",
    "Hostname":  "vm",
    "Last connected at":  "2023-11-14 22:13",
    "_Last connected at":  "    4s",
    "Session started at":  "2023-11-14 20:11",
    "_Session started at":  " 2h:01m",
    "raw_connected_at":  1699999996,
    "raw_session_started_at":  1699992700,
    "Full session":  "rA204xA5hML2NnqZaNMxILlyhHg0",
    "Session":  "rA204x",
    "TLS ciphersuite":  "(TLS1.3)-(ECDHE-SECP256R1)-(AES-256-GCM)",
    "DTLS cipher":  "(DTLS1.2)-(PSK)-(AES-256-GCM)",
    "DNS":	["192.0.2.53", "192.0.2.54"],
    "NBNS":	[],
    "Split-DNS-Domains":	[],
    "Routes":	["198.51.100.0/255.255.255.0"],
    "No-routes":	[],
    "iRoutes":	[],
    "Restricted to routes":  "False",
    "Restricted to ports":	[]
  }"""

STATUS_TEXT = """\

General info:
	Status: online
	Server PID: 6633
	Sec-mod PID: 6635
	Sec-mod instance count: 2
	Up since: 2023-11-13 21:13 (25h:00m)
	Active sessions: 1
	Total sessions: 2
	Total authentication failures: 3
	IPs in ban list: 4
	Clients cut off: 0

Current stats period:
	Last stats reset: 2023-11-14 22:12 (   60s)
	Sessions handled: 7
	Timed out sessions: 8
	Timed out (idle) sessions: 9
	Closed due to error sessions: 10
	Authentication failures: 11
	Average auth time:     1s
	Max auth time:     0s
	Average session time:     0s
	Max session time:  2days
	Min MTU: 1400
	RX: 1000 bytes
	TX: 1.5 kB
"""

STATUS_KEYS = [
    "Status",
    "Server PID",
    "Sec-mod PID",
    "Sec-mod instance count",
    "Up since",
    "_Up since",
    "raw_up_since",
    "uptime",
    "Active sessions",
    "Total sessions",
    "Total authentication failures",
    "IPs in ban list",
    "Clients cut off",
    "Sec-mod client entries",
    "TLS DB entries",
    "Median latency",
    "raw_median_latency",
    "STDEV latency",
    "raw_stdev_latency",
    "Last stats reset",
    "_Last stats reset",
    "raw_last_stats_reset",
    "Sessions handled",
    "Timed out sessions",
    "Timed out (idle) sessions",
    "Closed due to error sessions",
    "Authentication failures",
    "Average auth time",
    "raw_avg_auth_time",
    "Max auth time",
    "raw_max_auth_time",
    "Average session time",
    "raw_avg_session_time",
    "Max session time",
    "raw_max_session_time",
    "Min MTU",
    "RX",
    "raw_rx",
    "TX",
    "raw_tx",
]


@pytest.mark.usefixtures("utc")
def test_a_user_as_text() -> None:
    assert fmt.plain(views.user_view(ALICE, NOW)) == USER_TEXT


def test_a_user_as_json(utc: Callable[[], None]) -> None:
    utc()
    assert fmt.json_object(views.user_view(ALICE, NOW)) == USER_JSON


def test_without_routes_the_default_route_is_named_once() -> None:
    pairs = json.loads(
        fmt.json_object(views.user_view(STRANGER, NOW)), object_pairs_hook=lambda pairs: list(map(tuple, pairs))
    )
    assert [value for key, value in pairs if key == "Routes"] == ["defaultroute"]


def test_a_user_who_has_not_logged_in_has_no_keys_without_a_value() -> None:
    keys = json.loads(fmt.json_object(views.user_view(STRANGER, NOW))).keys()
    assert not keys & {"Username", "Device", "RX", "Session", "IPv4", "MTU", "Session started at"}


@pytest.mark.usefixtures("utc")
def test_status_as_text() -> None:
    assert fmt.plain(views.status_view(STATUS, NOW, debug=False)) == STATUS_TEXT


def test_status_as_json_keeps_the_order_of_its_keys() -> None:
    report = msgspec.structs.replace(STATUS, latency=Latency(12_345, 999))
    assert list(json.loads(fmt.json_object(views.status_view(report, NOW, debug=True)))) == STATUS_KEYS


def test_latency_is_shown_where_it_was_measured() -> None:
    report = msgspec.structs.replace(STATUS, latency=Latency(12_345, 999))
    shown = fmt.plain(views.status_view(report, NOW, debug=False))
    assert "\tMedian latency: 12ms\n\tSTDEV latency: <1ms\n" in shown


def test_a_server_that_says_so_has_an_error() -> None:
    report = msgspec.structs.replace(STATUS, online=False)
    assert "Status: error\n" in fmt.plain(views.status_view(report, NOW, debug=False))


def test_the_table_of_users() -> None:
    assert views.users_table((ALICE, STRANGER), NOW).splitlines() == [
        "      id     user    vhost             ip         vpn-ip device   since    dtls-cipher    status",
        "    6832    alice  default      192.0.2.2  198.51.100.50  vpns0      4s  (AES-256-GCM) connected",
        "    7000   (none)  default      192.0.2.9                        1m:01s      (no-dtls)  pre-auth",
    ]


def test_the_table_of_sessions() -> None:
    assert views.sessions_table((SESSION,), NOW).splitlines() == [
        "session     user    vhost             ip               user agent  created   status",
        "rA204x    alice  default      192.0.2.2 Open AnyConnect VPN Agen       4s authenticated",
    ]


@pytest.mark.parametrize("table", [views.users_table, views.sessions_table])
def test_a_table_without_rows_has_no_head(table: Callable[[tuple[()], float], str]) -> None:
    assert table((), NOW) == ""


@pytest.mark.usefixtures("utc")
def test_a_session_as_text() -> None:
    used = msgspec.structs.replace(SESSION, in_use=True)
    assert fmt.plain(views.session_view(used)) == (
        "\tSession: rA204x\n"
        "\tFull session ID: rA204xA5hML2NnqZaNMxILlyhHg0\n"
        "\tCreated: 2023-11-14 22:13\n"
        "\tState: authenticated\n"
        "\tUsername: alice   Groupname: staff\n"
        "\tvhost: default   User-Agent: Open AnyConnect VPN Agent v9.01-3\n"
        "\tRemote IP: 192.0.2.2   Location: unknown\n"
        "\tIn use: True   Activated: True\n"
        "\tCertificate auth: False\n"
    )


@pytest.mark.usefixtures("utc")
def test_a_session_as_json() -> None:
    assert json.loads(fmt.json_object(views.session_view(SESSION))) == {
        "Session": "rA204x",
        "Full session": "rA204xA5hML2NnqZaNMxILlyhHg0",
        "Created": "2023-11-14 22:13",
        "Expires": "2023-11-14 22:18",
        "State": "authenticated",
        "Username": "alice",
        "Groupname": "staff",
        "vhost": "default",
        "User-Agent": "Open AnyConnect VPN Agent v9.01-3",
        "Remote IP": "192.0.2.2",
        "Location": "unknown",
        "session_is_open": 1,
        "tls_auth_ok": 0,
        "in_use": 0,
    }
