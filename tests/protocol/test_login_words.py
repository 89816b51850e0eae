"""What a login takes of a vhost's configuration."""

from __future__ import annotations

import msgspec

from ocserv_core.config.values import Group, KdcProxy
from ocserv_core.config.vhost import CertificateRequest, VhostOptions
from ocserv_core.config.worker import WorkerVhost
from ocserv_core.protocol.login_words import AskCont, LoginSettings, Send

KDC = KdcProxy("/KdcProxy", "A", "tcp", "192.0.2.88", 88)


def vhost(options: VhostOptions) -> WorkerVhost:
    return WorkerVhost(
        name="example.test",
        options=options,
        request=CertificateRequest.NONE,
        certificates=(),
        ca_pem=None,
        crl=None,
        dh_params=None,
        profile=b"<p/>",
        groups=(Group("a", "A"),),
        methods=(("plain",), ("certificate",)),
    )


def test_every_setting_is_the_vhosts() -> None:
    options = VhostOptions(
        banner="b",
        pre_login_banner="p",
        default_select_group="D",
        select_group_by_url=True,
        cookie_timeout=7,
        included_http_headers=("A: b",),
        user_profile="/etc/ocserv/staff.xml",
        kkdcp=(KDC, msgspec.structs.replace(KDC, realm="B"), msgspec.structs.replace(KDC, path="/other")),
    )
    assert LoginSettings.of(vhost(options)) == LoginSettings(
        vhost="example.test",
        methods=(("plain",), ("certificate",)),
        banner="b",
        pre_login_banner="p",
        groups=(Group("a", "A"),),
        default_group="D",
        select_group_by_url=True,
        cookie_timeout=7,
        included_headers=("A: b",),
        profile=b"<p/>",
        profile_name="staff.xml",
        kdc_paths=("/KdcProxy", "/other"),
    )


def test_commands_show_no_secrets() -> None:
    assert "hunter2" not in f"{AskCont('h', 'hunter2', b'hunter2')!r} {Send(b'hunter2')!r}"
