"""What is wrong with a configuration although each of its lines is right."""

from __future__ import annotations

import pytest

from ocserv_core.config.build import read_config

from .texts import MINIMAL, config, errors, without

CERTIFICATE = "auth = certificate\ncert-user-oid = 2.5.4.3\n"


@pytest.mark.parametrize("option", ["auth", "tcp-port", "socket-file", "server-cert", "server-key", "device"])
def test_what_must_be_set(option: str) -> None:
    assert any(text.startswith(f"o.conf: {option} is missing; write") for text in errors(without(option)))


def test_a_network_must_be_set() -> None:
    (text,) = errors(without("ipv4-network"))
    assert text.startswith("o.conf: ipv4-network and ipv6-network are missing")


def test_one_family_is_enough() -> None:
    assert read_config(without("ipv4-network") + "ipv6-network = 2001:db8::/48\n", "o.conf")


def test_what_the_default_vhost_lacks_is_told_once() -> None:
    assert len(errors(without("server-key") + "[vhost:a]\n[vhost:b]\n")) == 1


def test_what_a_vhost_lacks_is_told_with_its_name() -> None:
    assert errors(MINIMAL + "[vhost:a]\nipv6-network = 2001:db8::\n") == [
        "o.conf:9: vhost:a: ipv6-network needs its prefix; write one like 2001:db8::/48"
    ]


def test_two_back_ends_cannot_be_mixed() -> None:
    (text,) = errors(MINIMAL + "auth = pam\n")
    assert text.startswith("o.conf:8: plain and pam cannot be mixed")


def test_a_certificate_may_stand_beside_a_back_end() -> None:
    assert len(config(CERTIFICATE).default.options.auth) == 2


def test_two_alternatives_are_possible() -> None:
    read = config("enable-auth = gssapi\nenable-auth = certificate\ncert-user-oid = 2.5.4.3\n")
    assert len(read.default.options.enable_auth) == 2


def test_three_alternatives_are_too_many() -> None:
    lines = "enable-auth = gssapi\nenable-auth = oidc\nenable-auth = certificate\ncert-user-oid = 2.5.4.3\n"
    assert errors(MINIMAL + lines) == ["o.conf:10: enable-auth can be given 2 times at most"]


def test_only_one_back_end_may_ask_for_a_password() -> None:
    assert errors(MINIMAL + "enable-auth = pam\n") == ["o.conf:8: plain and pam both ask for a password; choose one"]


def test_a_certificate_needs_to_say_where_the_user_is() -> None:
    (text,) = errors(MINIMAL + "auth = certificate\n")
    assert text.startswith("o.conf:8: certificate needs cert-user-oid")


def test_each_certificate_needs_its_key() -> None:
    (text,) = errors(MINIMAL + "server-cert = b.pem\n")
    assert text.startswith("o.conf:8: 2 of server-cert and 1 of server-key")


def test_a_certificate_is_a_file() -> None:
    (text,) = errors(MINIMAL.replace("cert.pem", "pkcs11:x"))
    assert text == "o.conf:4: server-cert: 'pkcs11:x' is not a file; write its path"


def test_a_key_may_lie_in_a_token() -> None:
    assert config("server-cert = b.pem\nserver-key = pkcs11:x\n")


def test_an_ipv4_network_needs_its_mask() -> None:
    assert errors(MINIMAL.replace("/24", "")) == [
        "o.conf:7: ipv4-network needs its prefix; write one like 192.0.2.0/24"
    ]


@pytest.mark.parametrize("prefix", [31, 32])
def test_an_ipv4_network_has_room_for_a_client(prefix: int) -> None:
    assert errors(MINIMAL.replace("/24", f"/{prefix}")) == [
        f"o.conf:7: ipv4-network with /{prefix} has no room for a client; write /30 or less"
    ]


def test_a_mask_leaves_room_for_a_client() -> None:
    (text,) = errors(MINIMAL + "ipv4-netmask = 255.255.255.255\n")
    assert text.startswith("o.conf:8: ipv4-network with /255.255.255.255 has no room for a client")


def test_the_smallest_ipv4_network_is_accepted() -> None:
    assert config("ipv4-network = 192.0.2.0/30\n")


def test_the_mask_may_stand_beside_it() -> None:
    assert config("ipv4-network = 192.0.2.0\nipv4-netmask = 255.255.255.0\n")


def test_the_ipv6_prefix_may_stand_beside_it() -> None:
    assert config("ipv6-network = 2001:db8::\nipv6-prefix = 48\n")


@pytest.mark.parametrize(("network", "subnet"), [("/64", 64), ("/64", 48), ("/128", 128)])
def test_a_clients_prefix_is_longer_than_the_networks(network: str, subnet: int) -> None:
    (text,) = errors(MINIMAL + f"ipv6-network = 2001:db8::{network}\nipv6-subnet-prefix = {subnet}\n")
    assert text.startswith(f"o.conf:9: ipv6-subnet-prefix {subnet} must be longer than the prefix of")


def test_matching_ciphers_need_the_new_dtls() -> None:
    assert errors(MINIMAL + "match-tls-dtls-ciphers = true\n") == [
        "o.conf:8: match-tls-dtls-ciphers needs dtls-legacy = false"
    ]


def test_matching_ciphers_are_possible() -> None:
    assert config("match-tls-dtls-ciphers = true\ndtls-legacy = false\n")


def test_phones_need_the_common_udp_port() -> None:
    assert errors(MINIMAL + "cisco-svc-client-compat = true\nudp-port = 4443\n") == [
        "o.conf:8: cisco-svc-client-compat needs udp-port 443 or 0, not 4443"
    ]


def test_users_options_come_from_one_source() -> None:
    text = MINIMAL.replace("plain[passwd=/etc/ocserv/ocpasswd]", "radius[config=/r,groupconfig=true]")
    (told,) = errors(text + "config-per-user = /etc/ocserv/users\n")
    assert told.startswith("o.conf:8: config-per-user cannot be used with groupconfig=true")


def test_a_banner_is_short() -> None:
    (text,) = errors(MINIMAL + f"banner = {'x' * 257}\n")
    assert text == "o.conf:8: banner: is 257 bytes long; at most 256 are possible"
