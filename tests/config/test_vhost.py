"""Whether a vhost's handshake asks for a client certificate."""

from __future__ import annotations

import pytest

from ocserv_core.config.values import BackendSpec
from ocserv_core.config.vhost import CertificateRequest, VhostOptions, certificate_request

PLAIN, CERTIFICATE, GSSAPI = BackendSpec("plain"), BackendSpec("certificate"), BackendSpec("gssapi")


@pytest.mark.parametrize(
    ("auth", "alternatives", "compat", "request_"),
    [
        ((PLAIN,), (), False, CertificateRequest.NONE),
        ((CERTIFICATE,), (), False, CertificateRequest.REQUIRE),
        ((PLAIN, CERTIFICATE), (), False, CertificateRequest.REQUIRE),
        ((CERTIFICATE,), (), True, CertificateRequest.REQUEST),
        ((CERTIFICATE,), (GSSAPI,), False, CertificateRequest.REQUEST),
        ((PLAIN,), (CERTIFICATE,), False, CertificateRequest.REQUEST),
        ((PLAIN,), (GSSAPI,), True, CertificateRequest.NONE),
    ],
)
def test_a_certificate_is_required_only_where_nothing_else_opens_the_door(
    auth: tuple[BackendSpec, ...], alternatives: tuple[BackendSpec, ...], compat: bool, request_: CertificateRequest
) -> None:
    options = VhostOptions(auth=auth, enable_auth=alternatives, cisco_client_compat=compat)
    assert certificate_request(options) is request_
