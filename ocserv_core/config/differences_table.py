"""Option → what is different here, when a line has it. Beside docs/deviations.md, whose rows name these options; a
test holds the two together. Used by differences.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .parser import Token


def _always(_token: Token) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence, and the lines that it is true of."""

    says: str
    when: Callable[[Token], bool] = _always


def _on(token: Token) -> bool:
    return token.value.lower() in ("true", "yes", "on", "1")


def _off(token: Token) -> bool:
    return token.value.lower() in ("false", "no", "off", "0")


def _zero(token: Token) -> bool:
    return re.fullmatch("0+[smhd]?", token.value) is not None


def _some(token: Token) -> bool:
    return not _zero(token)


def _is(*words: str) -> Callable[[Token], bool]:
    return lambda token: token.value in words


def _has(pattern: str) -> Callable[[Token], bool]:
    return lambda token: re.search(pattern, token.value, re.IGNORECASE) is not None


def _in_vhost(token: Token) -> bool:
    return token.section is not None


def _not_thousands(token: Token) -> bool:
    return token.value.isascii() and token.value.isdigit() and int(token.value) % 1000 != 0


METHODS = ("pam", "gssapi", "radius", "plain", "certificate", "oidc")
"""What the C server knows by the beginning of a name."""

CHECKED_BY_BOTH = {"ipv6-prefix", "ipv6-subnet-prefix", "no-compress-limit"}
"""Numbers whose range the C server sees to as well, if in its own way."""

UNCHECKED = {
    *("ipv4-network", "ipv4-netmask", "ipv6-network", "dns", "nbns", "device", "cert-group-oid"),
    *("custom-header", "included-http-headers", "net-priority", "compression-algo-priority"),
}
"""What is wrong in the values of these the C server finds out later, or never."""

OF_A_SECTION = (
    "TLS sessions resume in this virtual host too, and a reload that removes the section sends new logins to the"
    " default one; the C server's ends then"
)

UNSET = {
    "run-as-user": "unset, workers run as nobody; the C server's are root",
    "isolate-workers": "unset, it is on; the C server's is off",
    "session-store": (
        "unset, sessions and their cookies outlive a restart of the server; the C server's die with it, as with"
        " session-store = memory"
    ),
}
"""What is different where no line says anything."""

_UNKNOWN = (Rule("the C server does not know this option, and passes over the line"),)

_WAYS_IN = (
    Rule(
        "an empty hash in the password file logs in by a one-time password alone; the C server asks for nothing then",
        _has(r"^plain"),
    ),
    Rule("a one-time password is asked for only of who has a token", _has(r"^plain.*\botp\s*=")),
    Rule(
        "each login has a process of its own, and a module that hangs or crashes holds up nobody else;"
        " a password may have 511 bytes, not 63",
        _has(r"^pam"),
    ),
    Rule(
        "Kerberos alone is taken within SPNEGO; a ticket that is bound to another TLS connection is refused",
        _has(r"^gssapi"),
    ),
    Rule(
        "a reply without Message-Authenticator is dropped (require-message-authenticator=no in its file takes it);"
        " Idle-Timeout is obeyed with groupconfig",
        _has(r"^radius"),
    ),
    Rule("a certificate that is for servers alone (extended key usage) logs nobody in", _has(r"^certificate")),
)

_OF_USERS_TOO = (Rule("in the file of a user or group it is obeyed; the C server passes over it there"),)

_ESCAPED = (Rule("it is escaped in the XML of the login; the C server sends it as it is", _has("[<>&]")),)

_LIMIT = (
    Rule("it is bytes a second as written; the C server cuts it to whole thousands (under 1000: none)", _not_thousands),
)

_PIN = (Rule("it is the PIN of this virtual host's key; the C server reads that of the default one alone", _in_vhost),)

_FIREWALL = (
    Rule(
        "nftables does it in one transaction for each client, not a shell script; OCSERV_FW_SCRIPT names one of your"
        " own; each packet is checked, also of what was open before a reconnect",
        lambda token: not _off(token),
    ),
)

RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("state-dir", "session-store", "session-config", "plugin", "latency-stats"), _UNKNOWN),
    **dict.fromkeys(("auth", "enable-auth"), _WAYS_IN),
    **dict.fromkeys(("idle-timeout", "mobile-idle-timeout", "client-bypass-protocol"), _OF_USERS_TOO),
    **dict.fromkeys(("banner", "pre-login-banner"), _ESCAPED),
    **dict.fromkeys(("rx-data-per-sec", "tx-data-per-sec"), _LIMIT),
    **dict.fromkeys(("key-pin", "pin-file", "srk-pin", "srk-pin-file"), _PIN),
    "sec-mod-scale": (
        Rule(
            "it is the number of processes that sign, behind one security module; the C server's modules each have the"
            " logins and sessions of some clients",
            _some,
        ),
    ),
    **dict.fromkeys(("restrict-user-to-routes", "restrict-user-to-ports"), _FIREWALL),
    "listen-host": (
        Rule("a port that is taken ends the start; the C server passes over an address that it cannot have"),
    ),
    "listen-proxy-proto": (
        Rule(
            "an unknown version or command in a PROXY header ends the connection, UNKNOWN is served, and an address is"
            " admitted or refused before the handshake",
            _on,
        ),
    ),
    "chroot-dir": (
        Rule(
            "workers are locked in there, and paths stay what they are without it: socket-file is not relative to it,"
            " and user-profile is sought in there first"
        ),
    ),
    "predictable-ips": (Rule("by another hash: a user's first address is another one than there", _on),),
    "server-drain-ms": (Rule("the end does not wait for longer than the last connection", _some),),
    "max-ban-score": (
        Rule("a ban is for hellos of DTLS too, and ends the address's connections without a tunnel", _some),
    ),
    "ban-points-kkdcp": (Rule("the points count; with the C server they never reach the main process", _some),),
    "ping-leases": (
        Rule(
            "its client alone waits, for 1 s, not every client for 3 s; four addresses are tried, and one that somebody"
            " has is left alone for ten minutes",
            _on,
        ),
    ),
    "route-add-cmd": (
        Rule(
            "it runs before the client has its tunnel, holds up nobody, and is killed after 10 s; where it fails, the"
            " disconnect-script takes back what connect-script did; a % that means nothing is an error",
        ),
    ),
    "route-del-cmd": (Rule("the device is gone when it runs, and what the kernel routed to it"),),
    "expose-iroutes": (Rule("who sends everything is sent none of these routes", _on),),
    "acct": (
        Rule("the service that is named is asked; the C server always asks ocserv", _has(r"^pam.*\bservice\s*=")),
        Rule(
            "Start is sent when the session has its addresses, and a Stop that no server takes is told again for a day",
            _has(r"^radius"),
        ),
    ),
    "crl": (
        Rule(
            "a list that has changed is read again by itself; one that cannot be read leaves the one before in force,"
            " and ends the C server"
        ),
    ),
    "run-as-user": (Rule("workers are never root here: the server does not start", _is("root", "0")),),
    "udp-port": (
        Rule("behind one NAT, a client's datagram finds the client whose keys open it, not the first", _some),
    ),
    "dtls-legacy": (
        Rule("3DES is not served", _on),
        Rule("DTLS with a pre-shared key is announced to clients that list it, not to all", _off),
    ),
    "rekey-method": (
        Rule("under TLS 1.2 it is announced as new-tunnel; the C server waits for a renegotiation", _is("ssl")),
    ),
    "rekey-time": (
        Rule("never is announced as a year; the C server announces no method, which some clients refuse", _zero),
    ),
    "session-timeout": (Rule("clients are told none; the C server tells 0", _zero),),
    "output-buffer": (Rule("it is for TCP alone; the C server cuts the buffer of UDP to 2048 bytes too", _some),),
    "camouflage": (
        Rule("of cookies, that of a living session opens the gate; the C server takes any of the right length", _on),
    ),
    "included-http-headers": (
        Rule("clients of this virtual host get it; the C server sends those of the default one alone", _in_vhost),
    ),
    "proxy-url": (Rule("the header is X-CSTP-MSIE-Proxy-PAC-URL, as clients spell it; the C server writes Pac"),),
    "kkdcp": (
        Rule(
            "a message must be whole DER of the right length, and the security module asks the key server; a worker of"
            " the C server does, and passes on what it can take out of a message"
        ),
    ),
    "use-occtl": (
        Rule("occtl's JSON is valid with each key once, and `show session` that finds nothing exits with 2", _on),
    ),
    "connect-script": (
        Rule(
            "of a reconnect it waits up to 10 s for the end of the old disconnect-script; a variable that does not"
            " apply is not set, and IPV6_LOCAL has no scope"
        ),
    ),
    "disconnect-script": (
        Rule("of a reconnect it ends before the new connect-script begins; the C server runs both at once"),
    ),
    "net-priority": (Rule("the C server passes over a priority above 6", _has(r"^([7-9]|[1-9][0-9]+)$")),),
}
