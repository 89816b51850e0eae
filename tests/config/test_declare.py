"""Every option that ocserv.conf knows is declared, once, and its default has its type."""

from __future__ import annotations

import msgspec
import pytest

from ocserv_core.config.declare import Declared, with_aliases
from ocserv_core.config.old_words import OLD_WORDS
from ocserv_core.config.server import SERVER, ServerOptions
from ocserv_core.config.user import USER, UserOptions
from ocserv_core.config.vhost import VHOST, VhostOptions


def _names(text: str) -> list[str]:
    return text.split()


NAMES = _names("""
auth enable-auth acct cert-user-oid cert-group-oid ca-cert crl select-group auto-select-group default-select-group
select-group-by-url tcp-port udp-port listen-host udp-listen-host listen-netns listen-host-is-dyndns
listen-proxy-proto run-as-user run-as-group socket-file occtl-socket-file use-occtl chroot-dir pid-file log-level
syslog-facility sec-mod-scale server-stats-reset-time isolate-workers limit-worker-memory max-clients
max-same-clients rate-limit-ms server-drain-ms auth-timeout use-utmp connect-script disconnect-script
host-update-script route-add-cmd route-del-cmd ping-leases try-mtu-discovery device sec-mod-db-cleanup-time
debug-no-secmod-stats net-priority server-cert server-key key-pin srk-pin pin-file srk-pin-file dh-params
ocsp-response tls-priorities cisco-client-compat always-require-cert cisco-svc-client-compat dtls-psk dtls-legacy
match-tls-dtls-ciphers no-udp switch-to-tcp-timeout compression compression-algo-priority no-compress-limit
keepalive dpd mobile-dpd rekey-time rekey-method mtu output-buffer rx-data-per-sec tx-data-per-sec idle-timeout
mobile-idle-timeout session-timeout cookie-timeout persistent-cookies deny-roaming client-bypass-protocol banner
pre-login-banner user-profile custom-header included-http-headers camouflage camouflage_secret camouflage_realm
kkdcp proxy-url ipv4-network ipv4-netmask ipv6-network ipv6-prefix ipv6-subnet-prefix predictable-ips dns ipv4-dns
ipv6-dns nbns ipv4-nbns ipv6-nbns split-dns default-domain tunnel-all-dns route no-route append-routes
expose-iroutes restrict-user-to-routes restrict-user-to-ports config-per-user config-per-group default-user-config
default-group-config max-ban-score ban-time min-reauth-time ban-reset-time ban-points-wrong-password
ban-points-connection ban-points-kkdcp stats-report-time listen-clear-file session-control use-seccomp use-dbus
iroute explicit-ipv4 explicit-ipv6 hostname session-store session-config plugin state-dir latency-stats
""")

PER_USER = _names("""
no-udp restrict-user-to-routes tunnel-all-dns deny-roaming route no-route iroute split-dns dns nbns ipv4-network
ipv4-netmask explicit-ipv4 ipv6-network ipv6-subnet-prefix explicit-ipv6 hostname rx-data-per-sec tx-data-per-sec
stats-report-time session-timeout mtu dpd mobile-dpd idle-timeout mobile-idle-timeout keepalive max-same-clients
net-priority user-profile client-bypass-protocol restrict-user-to-ports
""")

RESTART_ONLY = _names("""
tcp-port udp-port listen-host udp-listen-host listen-netns run-as-user run-as-group socket-file occtl-socket-file
chroot-dir pid-file log-level syslog-facility sec-mod-scale server-stats-reset-time debug-no-secmod-stats
session-store session-config plugin state-dir use-occtl auth enable-auth acct ca-cert server-cert server-key key-pin
srk-pin pin-file srk-pin-file dh-params
""")

ALL = {**with_aliases(SERVER), **with_aliases(VHOST), **with_aliases(USER)}


def test_every_option_is_declared() -> None:
    assert sorted(NAMES) == sorted(ALL.keys() | OLD_WORDS.keys())


def test_no_option_is_both_the_servers_and_a_vhosts() -> None:
    assert not SERVER.keys() & (VHOST.keys() | USER.keys())


def test_what_a_users_file_may_say() -> None:
    assert sorted(USER) == sorted(PER_USER)


def test_what_a_users_file_may_say_is_declared_there() -> None:
    assert {name for name, option in VHOST.items() if option.per_user} == USER.keys() & VHOST.keys()


def test_what_needs_a_restart() -> None:
    assert sorted(name for name, option in ALL.items() if not option.option.reloadable) == sorted(RESTART_ONLY)


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_has_a_sentence_for_the_manual(name: str) -> None:
    assert ALL[name].option.doc.endswith(".")


@pytest.mark.parametrize("struct", [ServerOptions, VhostOptions, UserOptions])
def test_defaults_have_the_types_of_their_fields(struct: type[msgspec.Struct]) -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(struct)}
    assert msgspec.convert(defaults, struct) == struct()


@pytest.mark.parametrize("option", [o for o in ALL.values() if o.many], ids=lambda o: o.name)
def test_what_is_repeated_begins_empty(option: Declared) -> None:
    assert option.default == ()


def test_a_user_sets_nothing_by_default() -> None:
    assert all(option.default in (None, ()) for option in USER.values())
