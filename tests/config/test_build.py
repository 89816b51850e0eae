"""A whole ocserv.conf: its sections, what they inherit, and what is said of its lines."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocserv_core.config.build import read_config, read_user_config
from ocserv_core.config.tree import Origin, ServerConfig
from ocserv_core.config.user import UserOptions
from ocserv_core.config.values import AlgorithmPriority, BackendSpec, Group
from ocserv_core.errors import ConfigErrors

from .texts import MINIMAL, config, errors, reading, warnings

VHOST = "[vhost:a.example]\n"


def test_the_smallest_configuration_is_read_without_a_word() -> None:
    assert reading().warnings == ()


def test_values_have_their_types() -> None:
    read = config("auth-timeout = 5m\nuse-occtl = yes\n")
    assert (read.server.tcp_port, read.server.auth_timeout, read.server.use_occtl) == (443, 300, True)


def test_a_users_lines_are_kept_by_todays_names() -> None:
    text = "ipv4-dns = 192.0.2.1\ndns = 192.0.2.2\nnonsense = 1\nmtu = 1400\n[section]\nmtu = 1300\n"
    assert read_user_config(text, "alice").lines == {"dns": ["192.0.2.1", "192.0.2.2"], "mtu": ["1400"]}


def test_the_last_line_of_a_scalar_wins() -> None:
    assert config("dpd = 1\ndpd = 2\n").default.options.dpd == 2


def test_the_first_pid_file_wins() -> None:
    assert config("pid-file = /a\npid-file = /b\n").server.pid_file == "/a"


def test_a_second_pid_file_is_warned_of() -> None:
    assert warnings("pid-file = /a\npid-file = /b\n") == (
        "o.conf:9: pid-file is already set in line 8; the line is ignored",
    )


def test_lists_are_appended_under_all_their_names() -> None:
    read = config("dns = 192.0.2.1\nipv4-dns = 192.0.2.2\nipv6-dns = 2001:db8::1\n")
    assert read.default.options.dns == ("192.0.2.1", "192.0.2.2", "2001:db8::1")


def test_an_indented_line_is_one_more_value() -> None:
    assert config("dns = 192.0.2.1\n  192.0.2.2\n").default.options.dns == ("192.0.2.1", "192.0.2.2")


def test_a_swallowed_option_is_explained() -> None:
    assert errors(MINIMAL + "dns = 192.0.2.1\n  dpd = 1\n") == [
        "o.conf:9: dns: 'dpd = 1' is not an IP address (an indented line is one more value of line 8)"
    ]


def test_headers_may_keep_their_quotes() -> None:
    read = config('custom-header = "X-A: b"\nincluded-http-headers = X-C: "d"\n')
    assert read.default.options.custom_headers == ("X-A: b",)
    assert read.default.options.included_http_headers == ('X-C: "d"',)


def test_rules_of_several_lines_are_one_list() -> None:
    read = config("restrict-user-to-ports = tcp(1), udp(2)\nrestrict-user-to-ports = icmp()\n")
    assert len(read.default.options.restrict_user_to_ports) == 3


def test_a_back_end_knows_its_place() -> None:
    assert config().default.options.auth == (BackendSpec("plain", {"passwd": "/etc/ocserv/ocpasswd"}, "o.conf", 1),)


def test_an_empty_text_takes_a_value_back() -> None:
    assert config("banner = hello\nbanner=\n").default.options.banner == ""


def test_the_state_folder_lies_beside_the_socket() -> None:
    assert config().server.state_dir == "/run/ocserv-socket.d"


def test_the_state_folder_may_be_elsewhere() -> None:
    assert config("state-dir = /var/lib/ocserv\n").server.state_dir == "/var/lib/ocserv"


# ---- what is said of lines ----


def test_a_wrong_value_is_an_error_with_its_place() -> None:
    assert errors(MINIMAL + "dpd = abc\n") == [
        "o.conf:8: dpd: 'abc' is not a duration; write seconds, or a number with s, m, h or d, like 5m"
    ]


def test_all_errors_are_told_in_the_order_of_the_file() -> None:
    told = errors("dpd = x\nnonsense\nmtu = y\n" + MINIMAL)
    assert [text.split(" ")[0] for text in told] == ["o.conf:1:", "o.conf:2:", "o.conf:3:"]


def test_what_is_missing_comes_last() -> None:
    told = errors("dpd = x\n" + MINIMAL.replace("device = vpns\n", ""))
    assert told[-1] == "o.conf: device is missing; write device = vpns"


def test_a_wrong_value_is_not_missing_too() -> None:
    assert errors(MINIMAL.replace("443", "https")) == ["o.conf:2: tcp-port: 'https' is not a number from 0 to 65535"]


def test_an_unknown_option_is_warned_of_with_the_nearest_name() -> None:
    assert warnings("ipv4-netwrok = 1\n") == (
        "o.conf:8: the option 'ipv4-netwrok' is unknown, did you mean 'ipv4-network'?; the line is ignored",
    )


def test_an_unknown_option_may_be_like_nothing() -> None:
    assert warnings("cgroup = cpuset\n") == ("o.conf:8: the option 'cgroup' is unknown; the line is ignored",)


def test_strictly_an_unknown_option_is_an_error() -> None:
    with pytest.raises(ConfigErrors, match=r"o\.conf:8: the option 'cgroup' is unknown"):
        reading("cgroup = x\n", strict=True)


def test_an_unknown_section_is_warned_of_and_its_lines_are_not() -> None:
    assert warnings("[other]\nabc = 1\ndpd = x\n") == (
        "o.conf:8: the section [other] is unknown; only [vhost:NAME] is known; the line is ignored",
    )


def test_to_turn_off_what_is_not_there_yet_is_fine() -> None:
    assert warnings("sec-mod-scale = 0\n") == ()


def test_udp_may_have_a_host_and_a_port_of_its_own() -> None:
    assert warnings("udp-port = 4433\nudp-listen-host = 192.0.2.1\n") == ()


def test_an_option_of_users_is_warned_of() -> None:
    assert warnings("iroute = 192.0.2.0/24\n") == (
        "o.conf:8: 'iroute' stands in the file of a user or group only; the line is ignored",
    )


def test_a_wrong_rank_of_compression_is_a_warning_only() -> None:
    read = reading("compression-algo-priority = lz4:lzs\ncompression-algo-priority = lzs:5\n")
    assert read.config.server.compression_algo_priority == (AlgorithmPriority("lzs", 5),)
    assert read.warnings[0].startswith("o.conf:8: compression-algo-priority: 'lz4:lzs' is not")


def test_groups_beyond_the_96th_are_left_out() -> None:
    read = reading("".join(f"select-group = g{n}\n" for n in range(98)))
    assert len(read.config.default.options.select_groups) == 96
    assert len(read.warnings) == 2


def test_a_group_with_too_long_a_name_is_left_out() -> None:
    read = reading(f"select-group = {'g' * 64}\nselect-group = b\n")
    assert read.config.default.options.select_groups == (Group("b", "b"),)
    assert read.config.default.origins["select-group"] == (Origin("o.conf", 9),)


# ---- places ----


def test_each_value_of_a_list_has_its_place() -> None:
    vhost = config("server-cert = b.pem\nserver-key = b.key\n").default
    assert (vhost.origin("server-cert"), vhost.origin("server-cert", 1)) == (Origin("o.conf", 4), Origin("o.conf", 8))


def test_a_default_has_no_place() -> None:
    assert config().default.origin("dpd") == Origin("", 0)


def test_server_options_have_their_place() -> None:
    assert config().origins["device"] == Origin("o.conf", 6)


# ---- networks and masks ----


def test_a_prefix_makes_an_earlier_mask_void() -> None:
    read = config("ipv4-netmask = 255.255.0.0\nipv4-network = 198.51.100.0/25\n")
    assert read.default.options.ipv4_netmask == ""


def test_a_vhosts_prefix_makes_an_inherited_one_void() -> None:
    read = config(f"ipv6-network = 2001:db8::\nipv6-prefix = 48\n{VHOST}ipv6-network = 2001:db8:1::/64\n")
    assert read.vhost("a.example").options.ipv6_prefix == 0


# ---- vhosts ----


def test_a_vhost_inherits_what_was_said_before_it() -> None:
    assert config(f"dpd = 7\n{VHOST}").vhost("a.example").options.dpd == 7


def test_a_vhosts_own_value_wins() -> None:
    read = config(f"dpd = 7\n{VHOST}dpd = 8\n")
    assert (read.default.options.dpd, read.vhost("a.example").options.dpd) == (7, 8)


def test_lists_are_appended_to_inherited_ones() -> None:
    read = config(f"dns = 192.0.2.1\n{VHOST}dns = 192.0.2.2\n")
    assert read.vhost("a.example").options.dns == ("192.0.2.1", "192.0.2.2")
    assert read.default.options.dns == ("192.0.2.1",)


def test_an_inherited_value_keeps_its_place() -> None:
    assert config(f"dpd = 7\n{VHOST}").vhost("a.example").origin("dpd") == Origin("o.conf", 8)


def test_a_vhost_may_be_opened_again() -> None:
    read = config(f"{VHOST}dpd = 8\n[vhost:b.example]\n{VHOST}mtu = 1300\n")
    options = read.vhost("a.example").options
    assert (options.dpd, options.mtu) == (8, 1300)


def test_vhosts_stand_in_the_order_of_the_file() -> None:
    read = config("[vhost:z]\n[vhost:a]\n[vhost:z]\n")
    assert [vhost.name for vhost in read.vhosts] == ["default", "z", "a"]


def test_names_differ_by_case() -> None:
    assert len(config("[vhost:A.com]\n[vhost:a.com]\n").vhosts) == 3


def test_certificates_are_inherited_where_there_is_none() -> None:
    read = config(f"{VHOST}")
    assert read.vhost("a.example").options.server_certs == ("cert.pem",)


def test_certificates_of_its_own_replace_the_inherited_ones() -> None:
    read = config(f"{VHOST}server-cert = a.pem\nserver-key = a.key\n")
    assert read.vhost("a.example").options.server_certs == ("a.pem",)


def test_certificate_and_key_are_inherited_each_for_itself() -> None:
    options = config(f"{VHOST}server-key = a.key\n").vhost("a.example").options
    assert (options.server_certs, options.server_keys) == (("cert.pem",), ("a.key",))


def test_ways_in_are_inherited_together() -> None:
    read = config(f"enable-auth = gssapi\n{VHOST}")
    options = read.vhost("a.example").options
    assert [spec.name for spec in (*options.auth, *options.enable_auth)] == ["plain", "gssapi"]


def test_an_own_way_in_does_not_take_the_alternatives() -> None:
    read = config(f"enable-auth = gssapi\n{VHOST}auth = pam\n")
    options = read.vhost("a.example").options
    assert [spec.name for spec in (*options.auth, *options.enable_auth)] == ["pam"]


def test_without_an_own_way_in_alternatives_and_accounting_are_ignored() -> None:
    read = reading(f"{VHOST}enable-auth = gssapi\nacct = pam\n")
    options = read.config.vhost("a.example").options
    assert (options.enable_auth, options.acct) == ((), None)
    assert any("o.conf:9: 'enable-auth' is ignored" in text for text in read.warnings)


def test_accounting_is_inherited_by_a_vhost_with_its_own_way_in() -> None:
    options = config(f"acct = radius[config=/r]\n{VHOST}auth = pam\n").vhost("a.example").options
    assert options.acct is not None
    assert options.acct.name == "radius"


def test_two_options_are_never_inherited() -> None:
    more = f"expose-iroutes = true\nkkdcp = /K R tcp@192.0.2.1:88\n{VHOST}"
    options = config(more).vhost("a.example").options
    assert (options.expose_iroutes, options.kkdcp) == (False, ())


def test_a_server_option_in_a_vhost_is_an_error() -> None:
    assert errors(f"{MINIMAL}{VHOST}tcp-port = 4443\n") == [
        "o.conf:9: 'tcp-port' cannot be set inside a virtual host section; write it before the first section"
    ]


@pytest.mark.parametrize("name", ["listen-netns", "log-level", "syslog-facility", "pid-file", "debug-no-secmod-stats"])
def test_some_server_options_are_tolerated_there(name: str) -> None:
    assert warnings(f"{VHOST}{name} = 1\n") == (f"o.conf:9: '{name}' has no effect inside a virtual host section",)


def test_a_vhost_needs_a_name() -> None:
    assert len(errors(MINIMAL + "[vhost: ]\n")) == 1


def test_a_vhost_cannot_be_called_default() -> None:
    assert len(errors(MINIMAL + "[vhost:default]\n")) == 1


def test_names_outside_ascii_are_mapped() -> None:
    read = reading("[vhost: münchen.example ]\n")
    assert read.config.vhosts[1].name == "xn--mnchen-3ya.example"
    assert read.warnings == ("o.conf:8: the virtual host 'münchen.example' is called 'xn--mnchen-3ya.example'",)


def test_a_name_that_cannot_be_mapped_is_an_error() -> None:
    assert "is not a host name" in errors(MINIMAL + f"[vhost:ü..{'x'}]\n")[0]


def test_an_unknown_vhost_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        config().vhost("a.example")


# ---- what options force upon each other ----


def test_cisco_compatibility_forces_its_options() -> None:
    options = config("cisco-client-compat = true\ndtls-legacy = false\n").default.options
    assert (options.dtls_legacy, options.select_group_by_url) == (True, True)


def test_compatibility_with_phones_forces_legacy_dtls() -> None:
    assert config("cisco-svc-client-compat = true\ndtls-legacy = false\n").default.options.dtls_legacy


def test_the_priorities_have_a_default() -> None:
    assert config().default.options.tls_priorities == "NORMAL:%SERVER_PRECEDENCE:%COMPAT"


def test_cisco_compatibility_turns_tls_1_3_off() -> None:
    options = config("cisco-client-compat = true\n").default.options
    assert options.tls_priorities == "NORMAL:%SERVER_PRECEDENCE:%COMPAT:-VERS-TLS1.3"


def test_priorities_that_were_set_stand_as_they_are() -> None:
    options = config("cisco-client-compat = true\ntls-priorities = NORMAL\n").default.options
    assert options.tls_priorities == "NORMAL"


def test_a_compatible_vhost_takes_tls_1_3_off_inherited_priorities() -> None:
    read = config(f"tls-priorities = NORMAL\n{VHOST}cisco-client-compat = true\n")
    assert read.vhost("a.example").options.tls_priorities == "NORMAL:-VERS-TLS1.3"


# ---- the whole ----


def test_a_configuration_travels() -> None:
    read = config(f"route = 198.51.100.0/24\nselect-group = a[B]\n{VHOST}auth = pam\nuser-profile = p.xml\n")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read), type=ServerConfig) == read


LINES = st.sampled_from(
    [
        "auth = plain[passwd=x]",
        "auth = certificate",
        "enable-auth = gssapi",
        "[vhost:a]",
        "[vhost:b]",
        "[x]",
        "[vhost:",
        "  192.0.2.1",
        "dns = 192.0.2.1",
        "ipv6-network = 2001:db8::",
        "ipv6-prefix = 64",
        "ipv4-network = 192.0.2.1",
        "server-cert = c",
        "server-key = k",
        "tcp-port = 1",
        "pid-file = p",
        "use-dbus = x",
        "cisco-client-compat = yes",
        "banner=",
        "nonsense",
    ]
)


@settings(max_examples=200)
@given(st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=15))
def test_any_text_is_read_or_refused_with_config_errors(lines: list[str]) -> None:
    try:
        outcome: object = read_config("\n".join(lines), "o.conf").config.vhosts
    except ConfigErrors as error:
        outcome = error.errors
    assert outcome


# ---- the files of users and groups ----


def test_a_users_file_sets_what_it_says() -> None:
    read = read_user_config("dpd = 1m\nroute = default\nexplicit-ipv4 = 192.0.2.9\n", "alice")
    assert read.options == UserOptions(dpd=60, routes=("default",), explicit_ipv4="192.0.2.9")


def test_the_users_values_win_over_the_groups_and_lists_are_joined() -> None:
    group = read_user_config("dpd = 1\nmtu = 1300\nroute = 198.51.100.0/24\n", "staff").options
    both = read_user_config("dpd = 2\nroute = 203.0.113.0/24\n", "alice", group).options
    assert both == UserOptions(dpd=2, mtu=1300, routes=("198.51.100.0/24", "203.0.113.0/24"))


def test_a_users_zero_wins_over_the_groups_value() -> None:
    group = read_user_config("no-udp = true\n", "staff").options
    assert read_user_config("no-udp = false\n", "alice", group).options.no_udp is False


def test_the_groups_zero_is_kept() -> None:
    group = read_user_config("idle-timeout = 0\n", "staff").options
    assert read_user_config("mtu = 1300\n", "alice", group).options.idle_timeout == 0


def test_other_options_in_a_users_file_are_warned_of() -> None:
    assert read_user_config("ipv6-prefix = 64\n", "alice").warnings[0].startswith("alice:1: the option 'ipv6-prefix'")


def test_sections_in_a_users_file_are_skipped() -> None:
    read = read_user_config("[vhost:a]\ndpd = 1\n", "alice")
    assert read.options == UserOptions()
    assert len(read.warnings) == 1


def test_a_wrong_line_in_a_users_file_is_an_error() -> None:
    with pytest.raises(ConfigErrors, match="alice:1: route: 'x' is not a route"):
        read_user_config("route = x\n", "alice")
