"""VhostOptions: the options of which each virtual host has its own value.

The fields of the first part may also stand in a user's file and are declared in user.py; here are their types and
the server's defaults. Read by main, secmod and (by way of worker.py) the workers.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from . import addresses, values
from .declare import Option, Repeat, options_of
from .user import UserOptions
from .values import BackendSpec, Group, KdcProxy, RekeyMethod, Seconds

DEFAULT_PRIORITIES = "NORMAL:%SERVER_PRECEDENCE:%COMPAT"
WITHOUT_TLS13 = ":-VERS-TLS1.3"


class CertificateRequest(enum.Enum):
    """Whether the TLS handshake asks for a client certificate, and whether it can do without."""

    NONE = "none"
    REQUEST = "request"
    REQUIRE = "require"


class VhostOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of one virtual host. "" and () mean that nothing was said, 0 what the option's text says."""

    # ---- also per group and user: declared in user.py ----

    ipv4_network: str = ""
    ipv4_netmask: str = ""
    ipv6_network: str = ""
    ipv6_subnet_prefix: int = 128
    routes: tuple[str, ...] = ()
    no_routes: tuple[str, ...] = ()
    restrict_user_to_routes: bool = False
    restrict_user_to_ports: tuple[addresses.PortRule, ...] = ()
    dns: tuple[str, ...] = ()
    nbns: tuple[str, ...] = ()
    split_dns: tuple[str, ...] = ()
    tunnel_all_dns: bool = False
    keepalive: Seconds = 32400
    dpd: Seconds = 90
    mobile_dpd: Seconds = 1800
    idle_timeout: Seconds = 0
    mobile_idle_timeout: Seconds | None = None
    session_timeout: Seconds = 0
    stats_report_time: Seconds = 0
    mtu: int = 0
    no_udp: bool = False
    rx_data_per_sec: int = 0
    tx_data_per_sec: int = 0
    net_priority: str = ""
    client_bypass_protocol: bool = False
    max_same_clients: int = 0
    deny_roaming: bool = False
    user_profile: str = ""

    # ---- authentication and accounting ----

    auth: Annotated[
        tuple[BackendSpec, ...],
        Option(
            values.BACKEND,
            "How users log in. All lines together are one way; `certificate` may stand beside one back end.",
            reloadable=False,
            repeat=Repeat.APPEND,
        ),
    ] = ()
    enable_auth: Annotated[
        tuple[BackendSpec, ...],
        Option(
            values.BACKEND,
            "Another way to log in, each line one of its own, at most two.",
            reloadable=False,
            repeat=Repeat.APPEND,
        ),
    ] = ()
    acct: Annotated[
        BackendSpec | None,
        Option(values.BACKEND, "Where sessions are accounted.", reloadable=False),
    ] = None
    session_config: Annotated[
        tuple[BackendSpec, ...],
        Option(
            values.BACKEND,
            "Who says what holds for a user beside this file; what a later line says goes before an earlier. Without"
            " it: the files of config-per-user and config-per-group, or a back end with groupconfig=true.",
            reloadable=False,
            repeat=Repeat.APPEND,
        ),
    ] = ()
    cert_user_oid: Annotated[
        str,
        Option(values.USER_OID, "Where a client certificate has the user's name; needed with auth = certificate."),
    ] = ""
    cert_group_oid: Annotated[str, Option(values.OID, "Where a client certificate has the groups of its user.")] = ""
    ca_cert: Annotated[
        str, Option(values.FILE, "The authorities (PEM) that client certificates are verified by.", reloadable=False)
    ] = ""
    crl: Annotated[str, Option(values.FILE, "The revoked client certificates (PEM or DER).")] = ""
    select_groups: Annotated[
        tuple[Group, ...],
        Option(
            values.GROUP,
            "A group that the user may choose at login, and in brackets what he sees of it; at most 96.",
            name="select-group",
            repeat=Repeat.APPEND,
        ),
    ] = ()
    auto_select_group: Annotated[
        bool, Option(values.BOOLEAN, "Offer the groups that the back end knows, instead of select-group.")
    ] = False
    default_select_group: Annotated[
        str, Option(values.TEXT, "What the user sees as the choice of no particular group.")
    ] = ""
    select_group_by_url: Annotated[
        bool, Option(values.BOOLEAN, "A login at https://server/NAME chooses the group NAME.")
    ] = False

    # ---- certificate and TLS ----

    server_certs: Annotated[
        tuple[str, ...],
        Option(
            values.FILE,
            "The server's certificate with its chain (PEM). The first certificate belongs to the first key.",
            name="server-cert",
            reloadable=False,
            repeat=Repeat.APPEND,
        ),
    ] = ()
    server_keys: Annotated[
        tuple[str, ...],
        Option(
            values.FILE,
            "The private key of the certificate of the same number (PEM, or a pkcs11: or tpmkey: address).",
            name="server-key",
            reloadable=False,
            repeat=Repeat.APPEND,
        ),
    ] = ()
    key_pin: Annotated[
        str, Option(values.TEXT, "The PIN or password of the key; goes before pin-file.", reloadable=False)
    ] = ""
    srk_pin: Annotated[
        str,
        Option(values.TEXT, "The PIN of the TPM's storage root key; goes before srk-pin-file.", reloadable=False),
    ] = ""
    pin_file: Annotated[
        str, Option(values.FILE, "The file whose first line is the PIN or password of the key.", reloadable=False)
    ] = ""
    srk_pin_file: Annotated[
        str,
        Option(
            values.FILE,
            "The file whose first line is the PIN of the TPM's storage root key.",
            reloadable=False,
        ),
    ] = ""
    dh_params: Annotated[
        str, Option(values.FILE, "Diffie-Hellman parameters (PEM); unset, standard groups are used.", reloadable=False)
    ] = ""
    ocsp_response: Annotated[
        str, Option(values.FILE, "An OCSP response (DER) that is stapled to the first certificate.")
    ] = ""
    tls_priorities: Annotated[
        str,
        Option(
            values.TEXT,
            f"What TLS may use, in GnuTLS's words; unset `{DEFAULT_PRIORITIES}`, without TLS 1.3 under"
            " cisco-client-compat.",
        ),
    ] = ""

    # ---- clients ----

    cisco_client_compat: Annotated[
        bool,
        Option(
            values.BOOLEAN,
            "Suit Cisco's clients: dtls-legacy and select-group-by-url are on, a client certificate is asked for"
            " but not required, and TLS 1.3 is off unless tls-priorities says otherwise.",
        ),
    ] = False
    cisco_svc_client_compat: Annotated[
        bool,
        Option(
            values.BOOLEAN,
            "Suit Cisco's IP phones: dtls-legacy is on, and udp-port must be 443 or 0.",
        ),
    ] = False
    banner: Annotated[str, Option(values.text_of("text", 256), "Shown to the user after login.")] = ""
    pre_login_banner: Annotated[str, Option(values.TEXT, "Shown to the user in the login form.")] = ""
    custom_headers: Annotated[
        tuple[str, ...],
        Option(
            values.HEADER,
            "A header for the answer to CONNECT; %{U} is the user and %{G} the group.",
            name="custom-header",
            repeat=Repeat.APPEND,
        ),
    ] = ()
    included_http_headers: Annotated[
        tuple[str, ...],
        Option(
            values.HEADER,
            "A header for nearly every HTTP answer. Its value is taken with its quotes.",
            repeat=Repeat.APPEND,
            raw=True,
        ),
    ] = ()
    proxy_url: Annotated[
        str,
        Option(values.TEXT, "The address of a proxy configuration (PAC); %{U} is the user and %{G} the group."),
    ] = ""
    listen_host_is_dyndns: Annotated[
        bool, Option(values.BOOLEAN, "Tell clients to look the server's name up again at a reconnect.")
    ] = False
    camouflage: Annotated[
        bool,
        Option(values.BOOLEAN, "Behave like an ordinary web server to who does not know the secret."),
    ] = False
    camouflage_secret: Annotated[
        str,
        Option(values.TEXT, "The secret, written after the ? of the URL.", name="camouflage_secret"),
    ] = ""
    camouflage_realm: Annotated[
        str,
        Option(
            values.TEXT,
            "Ask strangers for a password to this realm, rather than answer 404.",
            name="camouflage_realm",
        ),
    ] = ""
    kkdcp: Annotated[
        tuple[KdcProxy, ...],
        Option(
            values.KDC_PROXY,
            "Forward Kerberos messages that clients post to PATH to the key server of REALM.",
            repeat=Repeat.APPEND,
            inherited=False,
        ),
    ] = ()

    # ---- the tunnel ----

    rekey_time: Annotated[Seconds, Option(values.SECONDS, "How often the tunnel's keys are renewed; 0 never.")] = 172800
    rekey_method: Annotated[
        RekeyMethod,
        Option(
            values.REKEY_METHOD,
            "How keys are renewed: within the connection (ssl), or by a new one (new-tunnel). Under TLS 1.2 always"
            " new-tunnel.",
        ),
    ] = "new-tunnel"
    output_buffer: Annotated[
        int, Option(values.number(), "The send buffer of the TCP socket in packets; 0 leaves it alone.")
    ] = 0
    dtls_legacy: Annotated[bool, Option(values.BOOLEAN, "Allow the form of DTLS that came before the drafts.")] = True
    match_tls_dtls_ciphers: Annotated[
        bool,
        Option(values.BOOLEAN, "DTLS uses the cipher of TLS; needs dtls-legacy = false."),
    ] = False
    switch_to_tcp_timeout: Annotated[
        Seconds,
        Option(values.SECONDS, "Send over TCP when UDP was silent for so long; 0 never does."),
    ] = 25
    compression: Annotated[bool, Option(values.BOOLEAN, "Compress packets.")] = False
    no_compress_limit: Annotated[
        int,
        Option(values.number(64), "Packets of up to so many bytes are not compressed."),
    ] = 256

    # ---- sessions ----

    cookie_timeout: Annotated[
        Seconds, Option(values.SECONDS, "How long a cookie lives after its connection ended.")
    ] = 300
    persistent_cookies: Annotated[
        bool, Option(values.BOOLEAN, "A cookie outlives a disconnect by user or server, until cookie-timeout.")
    ] = False

    # ---- the network ----

    ipv6_prefix: Annotated[int, Option(values.number(11, 128), "The prefix of ipv6-network, where that has none.")] = 0
    predictable_ips: Annotated[bool, Option(values.BOOLEAN, "Give a user the same address again where it is free.")] = (
        True
    )
    default_domain: Annotated[
        str, Option(values.TEXT, "The client's DNS search domain; several are separated by blanks.")
    ] = ""
    append_routes: Annotated[
        bool,
        Option(values.BOOLEAN, "A user's own routes come before the vhost's instead of replacing them."),
    ] = False
    expose_iroutes: Annotated[
        bool,
        Option(
            values.BOOLEAN,
            "Every client gets routes to the networks behind the others (iroute in config-per-user)."
            " They are read at the start and at a reload.",
            inherited=False,
        ),
    ] = False
    config_per_user: Annotated[
        str, Option(values.DIRECTORY, "The folder of the users' files, each named as its user.")
    ] = ""
    config_per_group: Annotated[
        str, Option(values.DIRECTORY, "The folder of the groups' files, each named as its group.")
    ] = ""
    default_user_config: Annotated[str, Option(values.FILE, "Read for a user without a file in config-per-user.")] = ""
    default_group_config: Annotated[
        str, Option(values.FILE, "Read for a group without a file in config-per-group.")
    ] = ""


VHOST = options_of(VhostOptions, also=UserOptions)


def certificate_request(options: VhostOptions) -> CertificateRequest:
    """How the handshake asks for a client certificate. Required only where nothing else opens the door."""
    primary = any(spec.name == "certificate" for spec in options.auth)
    if primary and not options.enable_auth:
        return CertificateRequest.REQUEST if options.cisco_client_compat else CertificateRequest.REQUIRE
    anywhere = primary or any(spec.name == "certificate" for spec in options.enable_auth)
    return CertificateRequest.REQUEST if anywhere else CertificateRequest.NONE


def backends_of(options: VhostOptions) -> tuple[BackendSpec, ...]:
    """Every line that names a back end, in the order in which they are asked."""
    accounting = () if options.acct is None else (options.acct,)
    return (*options.auth, *options.enable_auth, *options.session_config, *accounting)
