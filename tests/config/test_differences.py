"""What lines mean to the C server and not here."""

from __future__ import annotations

import pytest

from ocserv_core.config.differences import Difference, differences

SAME = "run-as-user = nobody\nisolate-workers = true\nsession-store = memory\n"
"""Three lines; what is added begins in line 4."""


def said(line: str) -> list[str]:
    """Of one line, which is the fourth."""
    found = differences(SAME + line, "o.conf")
    assert {one.line for one in found[1:]} <= {4}
    return [one.text for one in found[1:]]


@pytest.mark.parametrize(
    "line",
    [
        *("tcp-port = 443", "udp-port = 0", "dpd = 90", "mtu = +1400", "use-occtl = no", "use-utmp = YES"),
        *("rx-data-per-sec = 5000", "rekey-method = new-tunnel", "rekey-time = 60", "banner = Welcome"),
        *("acct = pam", "ipv4-network = 192.0.2.0/24", "nonsense = 1", "session-control = true", "min-reauth-time = 5"),
        *("ipv6-prefix = 300", "net-priority = 6", "# use-occtl = 1", "included-http-headers = X: y"),
    ],
)
def test_what_means_the_same_to_both_is_not_named(line: str) -> None:
    assert said(line) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("dpd = 5m", "the C server reads '5m' as 5; 300 means the same to both"),
        ("dpd = soon", "the C server reads 'soon' as 0"),
        ("mtu = 1400 bytes", "the C server reads '1400 bytes' as 1400"),
        ("mtu = -5", "the C server lets '-5' wrap into a large number"),
        ("mtu = 70000", "the C server does not bound this number, and takes 70000"),
        ("min-reauth-time = 5m", "the C server reads '5m' as 5; 300 means the same to both"),
        ("use-utmp = on", "the C server reads 'on' as false; true means the same to both"),
        ("use-utmp = maybe", "the C server reads 'maybe' as false"),
        ("auth = oidcs[config=/c]", "the C server takes 'oidcs' for oidc; here names are whole"),
        ("dns = nowhere", "the C server does not look at this value when it starts"),
        ("device = a/b", "the C server does not look at this value when it starts"),
        ("net-priority = 9", "the C server passes over a priority above 6"),
        ("rekey-method = ssl", "under TLS 1.2 it is announced as new-tunnel"),
        ("rekey-time = 0s", "never is announced as a year"),
        ("tx-data-per-sec = 1500", "the C server cuts it to whole thousands"),
        ("banner = <b>", "it is escaped"),
        ("acct = pam[service=vpn]", "the C server always asks ocserv"),
        ("latency-stats = true", "the C server does not know this option"),
        ("run-as-user = root", "workers are never root here"),
        ("dtls-legacy = true", "3DES"),
        ("dtls-legacy = false", "to clients that list it"),
        ("idle-timeout = 60", "in the file of a user or group it is obeyed"),
        ('auth = "plain[passwd=/p,otp=/o]"', "of who has a token"),
    ],
)
def test_what_differs_is_named_with_its_sentence(line: str, what: str) -> None:
    assert any(what in sentence for sentence in said(line))


def test_what_is_the_default_virtual_hosts_alone_differs_in_a_section() -> None:
    found = differences(f"{SAME}[vhost:a]\nincluded-http-headers = X: y\n", "o.conf")
    assert [(one.line, one.option) for one in found[1:]] == [(4, "[vhost:a]"), (5, "included-http-headers")]


def test_what_comes_of_unset_options_stands_last_and_without_a_line() -> None:
    found = differences("dpd = 5m\n", "o.conf")
    assert [(one.line, one.option) for one in found] == [
        (1, "dpd"),
        (0, "run-as-user"),
        (0, "isolate-workers"),
        (0, "session-store"),
    ]


def test_a_difference_has_its_line_and_the_word_that_stands_there() -> None:
    assert differences(SAME + "ipv4-dns = nowhere\n", "o.conf")[1:] == [
        Difference(4, "ipv4-dns", "the C server does not look at this value when it starts")
    ]
