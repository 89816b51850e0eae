"""The arithmetic of MTUs."""

from __future__ import annotations

import pytest

from ocserv_core.protocol.mtu import AEAD_OVERHEAD, cstp_data_mtu, dtls_data_mtu, dtls_overhead, link_mtu


def link(
    configured: int = 1500,
    *,
    base: int | None = None,
    inner: int | None = None,
    path: int | None = None,
    outer_ipv6: bool = False,
    inner_ipv6: bool = False,
) -> int:
    return link_mtu(
        configured, client_base=base, client_mtu=inner, path=path, outer_ipv6=outer_ipv6, inner_ipv6=inner_ipv6
    )


def test_the_configured_value_is_the_upper_bound() -> None:
    assert link(1400, base=1500, path=65536) == 1400


def test_the_clients_link_counts() -> None:
    assert link(base=1420) == 1420


def test_the_path_counts() -> None:
    assert link(base=1500, path=1400) == 1400


@pytest.mark.parametrize(("outer_ipv6", "expected"), [(False, 1400), (True, 1420)])
def test_without_a_link_mtu_it_is_worked_out_from_the_tunnels(outer_ipv6: bool, expected: int) -> None:
    assert link(inner=1290, outer_ipv6=outer_ipv6) == expected


def test_the_tunnels_mtu_is_nothing_beside_the_links() -> None:
    assert link(base=1500, inner=900) == 1500


@pytest.mark.parametrize(("inner_ipv6", "expected"), [(True, 1500), (False, 1279)])
def test_below_the_floor_nothing_is_believed(inner_ipv6: bool, expected: int) -> None:
    assert link(base=1279, inner_ipv6=inner_ipv6) == expected


def test_a_path_below_the_floor_is_not_believed() -> None:
    assert link(path=576) == 1500


def test_no_link_is_larger_than_a_record() -> None:
    assert link(65536) == 16384


@pytest.mark.parametrize(
    ("outer_ipv6", "version", "expected"),
    [(False, "TLS1.3", 1418), (False, "TLS1.2", 1411), (True, "TLS1.3", 1398), (True, "TLS1.2", 1391)],
)
def test_an_inner_packet_fills_one_segment(outer_ipv6: bool, version: str, expected: int) -> None:
    assert cstp_data_mtu(1500, outer_ipv6=outer_ipv6, tls_version=version) == expected


@pytest.mark.parametrize(
    ("cipher", "mac", "overhead", "data"),
    [
        ("AES-128-GCM", "AEAD", 37, 1434),
        ("AES-256-GCM", "AEAD", 37, 1434),
        ("AES-128-CCM", "AEAD", 37, 1434),
        ("AES-256-CCM-8", "AEAD", 29, 1442),
        ("CHACHA20-POLY1305", "AEAD", 29, 1442),
        ("AES-256-CBC", "SHA1", 65, 1406),
        ("AES-128-CBC", "SHA256", 77, 1394),
        ("AES-256-CBC", "SHA384", 93, 1378),
        ("CAMELLIA-256-CBC", "GOST28147-TC26Z-MAC", 93, 1378),
    ],
)
def test_an_inner_packet_fills_one_datagram(cipher: str, mac: str, overhead: int, data: int) -> None:
    assert dtls_overhead(cipher, mac) == overhead
    assert dtls_data_mtu(1500, outer_ipv6=False, overhead=overhead) == data


def test_over_ipv6_a_datagram_holds_less() -> None:
    assert dtls_data_mtu(1500, outer_ipv6=True, overhead=37) == 1414


def test_every_aead_is_within_the_largest() -> None:
    assert dtls_overhead("AES-256-GCM", "AEAD") == AEAD_OVERHEAD
