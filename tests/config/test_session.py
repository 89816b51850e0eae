"""What is in force for one session: the vhost's word, and the user's over it."""

from __future__ import annotations

import msgspec

from ocserv_core.config.session import SessionConfig, effective
from ocserv_core.config.user import UserOptions
from ocserv_core.config.vhost import VhostOptions

NET4 = VhostOptions(ipv4_network="192.0.2.0/24")
NET6 = VhostOptions(ipv6_network="2001:db8::", ipv6_prefix=48)


def test_without_a_user_the_vhost_has_the_word() -> None:
    session = effective(VhostOptions(dpd=7, banner="hello", dns=("192.0.2.1",)), None)
    assert (session.dpd, session.banner, session.dns) == (7, "hello", ("192.0.2.1",))


def test_the_defaults_are_the_vhosts() -> None:
    assert effective(VhostOptions(), None) == SessionConfig()


def test_a_users_value_goes_first() -> None:
    assert effective(VhostOptions(dpd=7), UserOptions(dpd=8)).dpd == 8


def test_a_users_zero_goes_first_too() -> None:
    assert effective(VhostOptions(idle_timeout=7), UserOptions(idle_timeout=0)).idle_timeout == 0


def test_a_users_list_replaces_the_vhosts() -> None:
    session = effective(VhostOptions(dns=("192.0.2.1",)), UserOptions(dns=("192.0.2.2",)))
    assert session.dns == ("192.0.2.2",)


def test_a_users_routes_replace_the_vhosts() -> None:
    session = effective(VhostOptions(routes=("198.51.100.0/24",)), UserOptions(routes=("203.0.113.0/24",)))
    assert session.routes == ("203.0.113.0/24",)


def test_the_vhosts_routes_may_be_appended() -> None:
    vhost = VhostOptions(routes=("198.51.100.0/24",), append_routes=True)
    session = effective(vhost, UserOptions(routes=("203.0.113.0/24",)))
    assert session.routes == ("203.0.113.0/24", "198.51.100.0/24")


def test_default_among_the_vhosts_routes_empties_them() -> None:
    session = effective(VhostOptions(routes=("198.51.100.0/24", "default")), None)
    assert (session.routes, session.tunnel_all_dns) == ((), False)


def test_default_among_the_users_routes_sends_all_dns_through_the_tunnel() -> None:
    session = effective(VhostOptions(routes=("198.51.100.0/24",)), UserOptions(routes=("default",)))
    assert (session.routes, session.tunnel_all_dns) == ((), True)


def test_everything_as_a_route_is_not_default() -> None:
    assert effective(VhostOptions(routes=("0.0.0.0/0",)), None).routes == ("0.0.0.0/0",)


def test_the_mask_may_stand_apart() -> None:
    vhost = VhostOptions(ipv4_network="192.0.2.0", ipv4_netmask="255.255.255.128")
    assert effective(vhost, None).ipv4_network == "192.0.2.0/25"


def test_a_later_mask_goes_before_a_prefix() -> None:
    vhost = VhostOptions(ipv4_network="192.0.2.0/24", ipv4_netmask="255.255.255.128")
    assert effective(vhost, None).ipv4_network == "192.0.2.0/25"


def test_a_users_network_goes_first() -> None:
    assert effective(NET4, UserOptions(ipv4_network="198.51.100.0/28")).ipv4_network == "198.51.100.0/28"


def test_a_users_network_without_mask_has_the_vhosts() -> None:
    assert effective(NET4, UserOptions(ipv4_network="198.51.100.0")).ipv4_network == "198.51.100.0/24"


def test_a_users_mask_goes_with_the_vhosts_network() -> None:
    assert effective(NET4, UserOptions(ipv4_netmask="255.255.255.128")).ipv4_network == "192.0.2.0/25"


def test_the_ipv6_prefix_may_stand_apart() -> None:
    assert effective(NET6, None).ipv6_network == "2001:db8::/48"


def test_a_users_ipv6_network_goes_first() -> None:
    session = effective(NET6, UserOptions(ipv6_network="2001:db8:1::/64", ipv6_subnet_prefix=80))
    assert (session.ipv6_network, session.ipv6_subnet_prefix) == ("2001:db8:1::/64", 80)


def test_a_family_without_pool_has_no_network() -> None:
    assert effective(NET4, None).ipv6_network == ""


def test_mobile_dpd_zero_is_dpd() -> None:
    assert effective(VhostOptions(dpd=7, mobile_dpd=0), None).mobile_dpd == 7


def test_a_users_mobile_dpd_zero_is_off() -> None:
    assert effective(VhostOptions(dpd=7), UserOptions(mobile_dpd=0)).mobile_dpd == 0


def test_the_mobile_idle_timeout_is_the_idle_timeout() -> None:
    assert effective(VhostOptions(idle_timeout=7), None).mobile_idle_timeout == 7


def test_the_mobile_idle_timeout_follows_the_users_idle_timeout() -> None:
    assert effective(VhostOptions(idle_timeout=7), UserOptions(idle_timeout=8)).mobile_idle_timeout == 8


def test_the_mobile_idle_timeout_may_be_off() -> None:
    assert effective(VhostOptions(idle_timeout=7, mobile_idle_timeout=0), None).mobile_idle_timeout == 0


def test_what_the_pump_is_told() -> None:
    vhost = VhostOptions(compression=True, no_compress_limit=64, switch_to_tcp_timeout=5, output_buffer=9)
    user = UserOptions(rx_data_per_sec=7, tx_data_per_sec=8, net_priority="0x10", no_udp=True)
    session = effective(vhost, user)
    assert (session.compression, session.no_compress_limit, session.switch_to_tcp_timeout) == (True, 64, 5)
    assert (session.output_buffer, session.rx_data_per_sec, session.tx_data_per_sec) == (9, 7, 8)
    assert (session.net_priority, session.no_udp) == ("0x10", True)


def test_only_a_user_has_addresses_of_his_own() -> None:
    session = effective(NET4, UserOptions(explicit_ipv4="192.0.2.9", iroutes=("198.51.100.0/24",), hostname="h"))
    assert (session.explicit_ipv4, session.iroutes, session.hostname) == ("192.0.2.9", ("198.51.100.0/24",), "h")


def test_a_session_travels() -> None:
    session = effective(NET4, UserOptions(routes=("198.51.100.0/24",), explicit_ipv4="192.0.2.9"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(session), type=SessionConfig) == session


def test_networks_behind_others_are_routes_but_for_ones_own() -> None:
    user = UserOptions(iroutes=("203.0.113.0/24",))
    exposed = ("203.0.113.0/24", "192.0.2.0/24", "198.51.100.0/24")
    session = effective(VhostOptions(routes=("198.51.100.0/24",)), user, exposed)
    assert session.routes == ("198.51.100.0/24", "192.0.2.0/24")


def test_who_sends_everything_needs_no_routes_to_what_is_behind_others() -> None:
    assert effective(VhostOptions(), None, ("192.0.2.0/24",)).routes == ()
