"""What the nursery and the workers get: contents of files, and no secrets."""

from __future__ import annotations

import msgspec
import pytest

from ocserv_core.config.values import BackendSpec, Group
from ocserv_core.config.vhost import CertificateRequest
from ocserv_core.config.worker import WorkerCertificate, WorkerConfig, WorkerVhost, build_worker_config

from .texts import config

CONTENTS = {"cert.pem": b"CERT", "b.pem": b"CERT B", "ca.pem": b"CA", "crl.pem": b"CRL", "p.xml": b"PROFILE"}


def worker_config(
    more: str = "", groups: dict[str, tuple[str, ...]] | None = None, contents: dict[str, bytes] = CONTENTS
) -> WorkerConfig:
    return build_worker_config(config(more), 7, contents, groups or {})


def default(more: str = "", groups: dict[str, tuple[str, ...]] | None = None) -> WorkerVhost:
    return worker_config(more, groups).vhosts[0]


def test_the_generation_is_kept() -> None:
    assert worker_config().generation == 7


def test_certificates_come_with_their_contents_and_the_number_of_their_key() -> None:
    vhost = default("server-cert = b.pem\nserver-key = b.key\n")
    assert vhost.certificates == (WorkerCertificate(b"CERT", None, 0), WorkerCertificate(b"CERT B", None, 1))


def test_a_response_is_stapled_to_the_first_certificate() -> None:
    read = worker_config("ocsp-response = o.der\n", contents={**CONTENTS, "o.der": b"OCSP"})
    assert read.vhosts[0].certificates[0].ocsp == b"OCSP"


def test_a_missing_response_is_not_stapled() -> None:
    assert default("ocsp-response = o.der\n").certificates[0].ocsp is None


def test_another_missing_file_is_the_callers_mistake() -> None:
    with pytest.raises(KeyError):
        worker_config(contents={})


def test_authorities_come_only_where_a_certificate_is_asked_for() -> None:
    assert default("ca-cert = ca.pem\n").ca_pem is None


def test_authorities_and_lists_come_where_a_certificate_is_asked_for() -> None:
    vhost = default("auth = certificate\ncert-user-oid = 2.5.4.3\nca-cert = ca.pem\ncrl = crl.pem\n")
    assert (vhost.request, vhost.ca_pem, vhost.crl) == (CertificateRequest.REQUIRE, b"CA", b"CRL")


def test_the_profile_comes_by_content() -> None:
    assert default("user-profile = p.xml\n").profile == b"PROFILE"


def test_methods_are_names_only() -> None:
    vhost = default("auth = certificate\ncert-user-oid = 2.5.4.3\nenable-auth = gssapi[keytab=/k]\n")
    assert vhost.methods == (("plain", "certificate"), ("gssapi",))


def test_back_ends_have_no_options_there() -> None:
    assert default().options.auth == (BackendSpec("plain"),)


def test_no_secret_of_the_key_is_there() -> None:
    read = worker_config("key-pin = SECRET1\npin-file = SECRET2\nsrk-pin = SECRET3\nsrk-pin-file = SECRET4\n")
    text = msgspec.msgpack.encode(read)
    assert b"SECRET" not in text
    assert b"key.pem" not in text
    assert b"ocpasswd" not in text


def test_groups_are_those_of_the_configuration() -> None:
    assert default("select-group = a[B]\n", {"default": ("x",)}).groups == (Group("a", "B"),)


def test_groups_may_be_those_of_the_back_end() -> None:
    vhost = default("select-group = a[B]\nauto-select-group = true\n", {"default": ("x", "y")})
    assert vhost.groups == (Group("x", "x"), Group("y", "y"))


def test_the_groups_of_a_back_end_are_bounded() -> None:
    many = tuple(f"g{n}" for n in range(600))
    assert len(default("auto-select-group = true\n", {"default": many}).groups) == 512


def test_workers_hear_whether_to_measure() -> None:
    assert [worker_config(more).server.latency_stats for more in ("", "latency-stats = true\n")] == [False, True]


def test_a_workers_configuration_travels() -> None:
    read = worker_config("select-group = a[B]\n[vhost:a]\n")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read), type=WorkerConfig) == read


def test_workers_halves_come_once_in_the_order_of_the_lines() -> None:
    entries = {"certificate": "c:C", "plain": "p:P"}
    more = "auth = certificate\ncert-user-oid = 2.5.4.3\nca-cert = ca.pem\nacct = plain\n"
    vhost = build_worker_config(config(more), 7, CONTENTS, {}, entries).vhosts[0]
    assert [(plugin.name, plugin.entry) for plugin in vhost.plugins] == [("plain", "p:P"), ("certificate", "c:C")]
    assert all(plugin.origin.line for plugin in vhost.plugins)


def test_the_half_of_a_plugin_of_main_is_every_vhost_s() -> None:
    more = "plugin = quota\n[vhost:b.example]\nauth = plain[passwd=x]\n"
    read = build_worker_config(config(more), 7, CONTENTS, {}, {"quota": "q:Q"})
    assert [[plugin.name for plugin in vhost.plugins] for vhost in read.vhosts] == [["quota"], ["quota"]]


def test_a_back_end_without_a_worker_s_half_is_not_told_of() -> None:
    assert default().plugins == ()
