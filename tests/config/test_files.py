"""Which files main must read for the workers."""

from __future__ import annotations

from ocserv_core.config.files import NeededFile, files_of
from ocserv_core.config.tree import Origin

from .texts import config


def test_the_certificate_is_needed_and_the_key_is_not() -> None:
    assert files_of(config()) == (NeededFile("cert.pem", "server-cert", Origin("o.conf", 4)),)


def test_authorities_are_not_needed_where_no_certificate_is_asked_for() -> None:
    assert len(files_of(config("ca-cert = ca.pem\ncrl = crl.pem\n"))) == 1


def test_authorities_are_needed_where_a_certificate_is_asked_for() -> None:
    read = config("auth = certificate\ncert-user-oid = 2.5.4.3\nca-cert = ca.pem\ncrl = crl.pem\n")
    assert [file.path for file in files_of(read)] == ["cert.pem", "ca.pem", "crl.pem"]


def test_only_a_stapled_response_may_be_missing() -> None:
    read = config("ocsp-response = o.der\ndh-params = dh.pem\nuser-profile = p.xml\n")
    assert [(file.option, file.optional) for file in files_of(read)] == [
        ("server-cert", False),
        ("ocsp-response", True),
        ("dh-params", False),
        ("user-profile", False),
    ]


def test_a_profile_may_be_meant_within_the_workers_folder() -> None:
    files = files_of(config("chroot-dir = /jail\nuser-profile = p.xml\n"))
    assert [(file.path, file.inside) for file in files] == [("cert.pem", ""), ("p.xml", "/jail")]


def test_each_path_is_told_once() -> None:
    assert len(files_of(config("[vhost:a]\n[vhost:b]\n"))) == 1
