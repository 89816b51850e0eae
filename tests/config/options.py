"""Every option of ocserv.conf: where it may stand, values that it takes and values that it must not take.

Made by hand from the C server's reference and from what this server adds. The tests of the declarations go by it, those
of a reload, and tests/cli/test_test_config.py, which gives every value to the real command.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """scope: `G` the whole server, `V` each virtual host, `U` a user or group; a `!` after it: a reload does not change
    it; `-` an old word. good: taken. read: taken, but this machine need not have what it names. bad: refused when the
    line is read. late: refused afterwards, when lines are compared and files opened. beside: lines that the good and
    late values need. `/HOME/` stands for the folder of files that the tests make."""

    scope: str
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    beside: str = ""


def _row(scope: str, good: tuple[str, ...], *bad: str, beside: str = "") -> Row:
    return Row(scope, good, bad, beside=beside)


def _switch(scope: str, beside: str = "") -> Row:
    return _row(scope, ("true", "no", "ON", "0"), "maybe", "2", beside=beside)


def _time(scope: str) -> Row:
    return _row(scope, ("0", "90", "5m", "2h"), "soon", "-5", "5 weeks", "1.5")


def _number(scope: str) -> Row:
    return _row(scope, ("0", "1500"), "many", "-1", "1.5", "10s")


def _text(scope: str, *good: str, beside: str = "") -> Row:
    return Row(scope, good, beside=beside)


def _file(scope: str, good: str, *late: str, beside: str = "") -> Row:
    return Row(scope, (good,), late=late, beside=beside)


AUTH = "auth = plain[passwd=/HOME/passwd]\n"
BY_CERTIFICATE = "auth = certificate\ncert-user-oid = 2.5.4.3\n"
ASKING = f"{BY_CERTIFICATE}ca-cert = /HOME/ca.pem\n"
POOL6 = "ipv6-network = 2001:db8::/48\n"

_BROKEN = ("/HOME/none", "/HOME/passwd")
_ADDRESSES = _row("VU", ("192.0.2.53", "2001:db8::53"), "nowhere", "192.0.2.300", "192.0.2.0/24")
_ROUTES = _row(
    "VU",
    ("default", "192.0.2.0/24", "192.0.2.0/255.255.255.0", "2001:db8::/32", "0.0.0.0/0"),
    *("nowhere", "192.0.2.0", "192.0.2.0/33", "192.0.2.0/255.0.255.0", "2001:db8::/129"),
)
_HEADERS = _row("V", ("X-One: value", "X-Two: %{U}"), "no header", "Bad Name: x")
_POINTS = _number("G")
_NAME4 = _row("VU", ("192.0.2.0/24", "198.51.100.7/255.255.255.0"), "nowhere", "192.0.2.0/33", "0.0.0.0/0")

OPTIONS: dict[str, Row] = {
    # ---- authentication and accounting ----
    "auth": Row(
        "V!",
        ("plain[passwd=/HOME/passwd]", "PLAIN[passwd=/HOME/passwd, otp=/HOME/otp]", "plain[/HOME/passwd]", "pam"),
        ("plain[passwd=/p", "plain[passwd]", "[passwd=/p]", "two words"),
        ("plain", "plain[no-such=1]", "plainfoo[passwd=/HOME/passwd]", "nonsense"),
        ("radius[config=/r,groupconfig=true]", "radius[/r,groupconfig]", "gssapi[keytab=/k]", "oidc[config=/o]"),
    ),
    "enable-auth": Row(
        "V!", ("certificate",), ("certificate[",), ("nonsense",), beside=f"{AUTH}cert-user-oid = 2.5.4.3\n"
    ),
    "acct": Row("V!", ("pam", "pam[service=vpn]"), ("pam[service",), ("nonsense",), ("radius[config=/r]",), AUTH),
    "session-config": Row("V!", ("files[per-user=/HOME/users]",), ("files[x",), ("files", "nonsense")),
    "cert-user-oid": _row("V", ("2.5.4.3", "0.9.2342.19200300.100.1.1", "SAN(rfc822name)"), "CN", "SAN(dnsname)", "2."),
    "cert-group-oid": _row("V", ("2.5.4.11",), "OU", "9.1"),
    "ca-cert": _file("V!", "/HOME/ca.pem", "/HOME/none", "/HOME/passwd", beside=BY_CERTIFICATE),
    "crl": _file("V", "/HOME/crl.pem", "/HOME/none", "/HOME/passwd", beside=ASKING),
    "select-group": _row("V", ("staff", "staff[The staff]"), "[The staff]"),
    "auto-select-group": _switch("V"),
    "default-select-group": _text("V", "no group", "any"),
    "select-group-by-url": _switch("V"),
    # ---- process and listeners ----
    "tcp-port": _row("G!", ("443", "4443"), "https", "-1", "65536"),
    "udp-port": _row("G!", ("443", "0"), "https", "-1", "65536"),
    "listen-host": _text("G!", "192.0.2.1", "2001:db8::1"),
    "udp-listen-host": _text("G!", "192.0.2.1", "2001:db8::1"),
    "listen-netns": _text("G!", "outside", "inside"),
    "listen-host-is-dyndns": _switch("V"),
    "listen-proxy-proto": _switch("G"),
    "run-as-user": Row("G!", ("nobody", "daemon"), late=("no-such-user",)),
    "run-as-group": Row("G!", ("nogroup", "daemon"), late=("no-such-group",)),
    "socket-file": _text("G!", "/HOME/sock", "/HOME/other"),
    "state-dir": _text("G!", "/HOME/state", "/HOME/other"),
    "session-store": Row("G!", ("sqlite", "memory"), ("sqlite[",), ("nonsense", "sqlite[no-such=1]")),
    "occtl-socket-file": _text("G!", "/HOME/occtl", "/HOME/other"),
    "use-occtl": _switch("G!"),
    "chroot-dir": _text("G!", "/HOME", "/HOME/users"),
    "pid-file": _text("G!", "/HOME/pid", "/HOME/other"),
    "log-level": _row("G!", ("0", "9"), "10", "-1", "debug"),
    "syslog-facility": _row("G!", ("daemon", "LOCAL7"), "local8", "kern"),
    "sec-mod-scale": _row("G!", ("0", "4"), "-1", "many"),
    "sec-mod-db-cleanup-time": _time("G"),
    "server-stats-reset-time": _time("G!"),
    "isolate-workers": _switch("G"),
    "limit-worker-memory": _switch("G"),
    "max-clients": _number("G"),
    "max-same-clients": _number("VU"),
    "rate-limit-ms": _number("G"),
    "server-drain-ms": _number("G"),
    "auth-timeout": _time("G"),
    "use-utmp": _switch("G"),
    "plugin": Row("G!", bad=("door[", "door[x]"), late=("no-such-plugin",), read=("door[file=/f]", "window")),
    "connect-script": _text("G", "/HOME/script", "/HOME/other"),
    "disconnect-script": _text("G", "/HOME/script", "/HOME/other"),
    "host-update-script": _text("G", "/HOME/script", "/HOME/other"),
    "route-add-cmd": _text("G", "ip route add %{RI} dev %{D}", "/HOME/script %R"),
    "route-del-cmd": _text("G", "ip route del %{RI} dev %{D}", "/HOME/script %R"),
    "ping-leases": _switch("G"),
    "try-mtu-discovery": _switch("G"),
    "device": _row("G", ("vpns", "tun"), "a/b", "vp ns", "twelve-bytes", "vpn%d"),
    "debug-no-secmod-stats": _switch("G!"),
    "net-priority": _row("VU", ("0", "6", "0x10"), "7", "0x100", "high", "-1"),
    "latency-stats": _switch("G"),
    # ---- TLS, DTLS, the protocol ----
    "server-cert": Row(
        "V!",
        ("/HOME/cert.pem", "/HOME/same.pem"),
        (),
        ("/HOME/none", "/HOME/passwd"),
        beside="server-key = /HOME/key.pem\n",
    ),
    "server-key": Row(
        "V!",
        ("/HOME/key.pem", "/HOME/same.key"),
        (),
        ("/HOME/none", "/HOME/passwd"),
        beside="server-cert = /HOME/cert.pem\n",
    ),
    "key-pin": _text("V!", "1234", "the password"),
    "srk-pin": _text("V!", "1234", "the password"),
    "pin-file": _file("V!", "/HOME/pin", "/HOME/none", "/HOME/empty"),
    "srk-pin-file": _text("V!", "/HOME/pin"),
    "dh-params": _file("V!", "/HOME/dh.pem", "/HOME/none", "/HOME/passwd"),
    "ocsp-response": _file("V", "/HOME/ocsp.der", "/HOME/passwd"),
    "tls-priorities": _file("V", "NORMAL:-VERS-TLS1.3", "NONSENSE"),
    "cisco-client-compat": _switch("V"),
    "cisco-svc-client-compat": _switch("V"),
    "dtls-psk": _switch("G"),
    "dtls-legacy": _switch("V"),
    "match-tls-dtls-ciphers": Row("V", ("true", "no"), ("maybe",), beside="dtls-legacy = false\n"),
    "no-udp": _switch("VU"),
    "switch-to-tcp-timeout": _time("V"),
    "compression": _switch("V"),
    "compression-algo-priority": _text("G", "oc-lz4:90", "lzs:80"),
    "no-compress-limit": _row("V", ("64", "1000"), "63", "few"),
    "keepalive": _time("VU"),
    "dpd": _time("VU"),
    "mobile-dpd": _time("VU"),
    "rekey-time": _time("V"),
    "rekey-method": _row("V", ("ssl", "new-tunnel"), "SSL", "never"),
    "mtu": _row("VU", ("0", "1400"), "-1", "65536", "wide"),
    "output-buffer": _number("V"),
    "rx-data-per-sec": _number("VU"),
    "tx-data-per-sec": _number("VU"),
    "idle-timeout": _time("VU"),
    "mobile-idle-timeout": _time("VU"),
    "session-timeout": _time("VU"),
    "cookie-timeout": _time("V"),
    "persistent-cookies": _switch("V"),
    "deny-roaming": _switch("VU"),
    "client-bypass-protocol": _switch("VU"),
    "banner": _row("V", ("Welcome", '"To <all>"'), "x" * 257),
    "pre-login-banner": _text("V", "Welcome", "x" * 257),
    "user-profile": _file("VU", "/HOME/profile.xml", "/HOME/none"),
    "custom-header": _HEADERS,
    "included-http-headers": _HEADERS,
    "camouflage": _switch("V"),
    "camouflage_secret": _text("V", "secret", "other"),
    "camouflage_realm": _text("V", "Members", "other"),
    "kkdcp": Row(
        "V",
        ("/KdcProxy EXAMPLE.COM tcp@127.0.0.1:88", "/KdcProxy EXAMPLE.COM udp@[::1]:88"),
        ("/KdcProxy EXAMPLE.COM 127.0.0.1:88", "EXAMPLE.COM tcp@127.0.0.1:88", "/KdcProxy EXAMPLE.COM tcp@127.0.0.1"),
        ("/KdcProxy EXAMPLE.COM tcp@no-such-host.invalid:88",),
    ),
    "proxy-url": _text("V", "http://192.0.2.1/proxy.pac", "http://192.0.2.1/%{U}.pac"),
    # ---- the network ----
    "ipv4-network": _NAME4,
    "ipv4-netmask": Row(
        "VU",
        ("255.255.255.0", "255.255.0.0"),
        ("255.0.255.0", "24", "wide"),
        ("255.255.255.254",),
        beside="ipv4-network = 192.0.2.0\n",
    ),
    "ipv6-network": Row("VU", ("2001:db8::/48", "fd00::/112"), ("nowhere", "2001:db8::/129", "::/0"), ("2001:db8::1",)),
    "ipv6-prefix": Row("V", ("48", "64"), ("10", "129", "long"), ("128",), beside="ipv6-network = 2001:db8::\n"),
    "ipv6-subnet-prefix": Row("VU", ("64", "128"), ("10", "129", "long"), ("48",), beside=POOL6),
    "predictable-ips": _switch("V"),
    "dns": Row("VU", _ADDRESSES.good, (*_ADDRESSES.bad, "local")),
    "ipv4-dns": _ADDRESSES,
    "ipv6-dns": _ADDRESSES,
    "nbns": _ADDRESSES,
    "ipv4-nbns": _ADDRESSES,
    "ipv6-nbns": _ADDRESSES,
    "split-dns": _text("VU", "example.com", "example.org"),
    "default-domain": _text("V", "example.com", "example.com example.org"),
    "tunnel-all-dns": _switch("VU"),
    "route": _ROUTES,
    "no-route": _ROUTES,
    "append-routes": _switch("V"),
    "expose-iroutes": _switch("V"),
    "restrict-user-to-routes": _switch("VU"),
    "restrict-user-to-ports": _row(
        "VU",
        ("tcp(443), udp(53), icmp()", "!(tcp(25), udp())", "ESP(), sctp(0), icmpv6()"),
        *("tcp", "tcp(70000)", "!tcp(25)", "gre()", "tcp(443)udp(53)"),
    ),
    "config-per-user": _text("V", "/HOME/users", "/HOME/groups"),
    "config-per-group": _text("V", "/HOME/groups", "/HOME/users"),
    "default-user-config": _text("V", "/HOME/default", "/HOME/other"),
    "default-group-config": _text("V", "/HOME/default", "/HOME/other"),
    "stats-report-time": _time("VU"),
    # ---- bans ----
    "max-ban-score": _POINTS,
    "ban-time": _time("G"),
    "ban-reset-time": _time("G"),
    "ban-points-wrong-password": _POINTS,
    "ban-points-connection": _POINTS,
    "ban-points-kkdcp": _POINTS,
    # ---- in the file of a user or group alone ----
    "iroute": _row("U", ("192.0.2.0/24", "2001:db8::/32"), "default", "nowhere", "192.0.2.0"),
    "explicit-ipv4": _row("U", ("192.0.2.7", "0.0.0.0"), "192.0.2.0/24", "2001:db8::7", "nowhere"),
    "explicit-ipv6": _row("U", ("2001:db8::7", "::"), "2001:db8::/64", "192.0.2.7", "nowhere"),
    "hostname": _row("U", ("laptop",), "x" * 64),
    # ---- old words ----
    "listen-clear-file": Row("-", bad=("/HOME/sock",)),
    "session-control": Row("-", ("true",)),
    "use-seccomp": Row("-", ("true",), ("maybe",)),
    "use-dbus": Row("-", ("true",), ("maybe",)),
    "always-require-cert": Row("-", ("false",), ("maybe",)),
    "min-reauth-time": Row("-", ("300",), ("soon",)),
}


def names(*scopes: str) -> list[str]:
    """The options of these scopes, in order."""
    return [name for name, row in OPTIONS.items() if row.scope in scopes]
