"""What is loaded before the fork, and what is said of a configuration that cannot be used."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ocserv_core.bridge.context import TlsContext, TlsVhost
from ocserv_core.errors import ConfigError

from .peers import NORMAL, client_context, connect
from .pki import KeyHolder, crl_of, issue, ocsp_response

SERVED = issue("vpn.example")
GOOD = TlsVhost("default", NORMAL, ((SERVED.pem, None, 0),))

DH_PARAMS = b"""-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


@pytest.mark.parametrize(
    ("kind", "name"), [("RSA", "RSA"), ("P-256", "ECDSA"), ("P-521", "ECDSA"), ("ED25519", "ED25519")]
)
def test_the_type_of_a_key_is_known(kind: str, name: str) -> None:
    vhost = replace(GOOD, certificates=((issue("x", kind).pem, None, 0), (SERVED.pem, None, 1)))
    assert TlsContext([vhost]).key_types("default") == (name, "ECDSA")


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (replace(GOOD, priorities="NORMAL:+NONSENSE"), "tls-priorities: not understood from “\\+NONSENSE” on"),
        (replace(GOOD, priorities="MY-OWN"), "tls-priorities"),
        (replace(GOOD, certificates=()), "server-cert: there is no certificate"),
        (replace(GOOD, certificates=((b"nothing", None, 0),)), "server-cert"),
        (replace(GOOD, certificates=((SERVED.key_pem, None, 0),)), "server-cert"),
        (replace(GOOD, certificates=((SERVED.pem, b"nothing", 0),)), "ocsp-response"),
        (replace(GOOD, ca_pem=b"nothing"), "ca-cert"),
        (replace(GOOD, ca_pem=SERVED.pem, crl=b"nothing"), "crl"),
        (replace(GOOD, dh_params=b"nothing"), "dh-params"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_vhost(bad: TlsVhost, what: str) -> None:
    with pytest.raises(ConfigError, match=f"vhost b.example: {what}"):
        TlsContext([GOOD, replace(bad, name="b.example")])


def test_the_staple_of_another_certificate_is_refused() -> None:
    ca = issue("CA", ca=True)
    staple = ocsp_response(issue("other", by=ca), ca)
    with pytest.raises(ConfigError, match="ocsp-response"):
        TlsContext([replace(GOOD, certificates=((SERVED.pem, staple, 0),))])


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        TlsContext([GOOD, replace(GOOD, name="B"), replace(GOOD, name="b")])


def test_nothing_to_serve_is_refused() -> None:
    with pytest.raises(ConfigError):
        TlsContext([])


def test_everything_optional_is_accepted() -> None:
    ca = issue("CA", ca=True)
    TlsContext([replace(GOOD, ca_pem=ca.pem, crl=crl_of(ca), dh_params=DH_PARAMS)])


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_it_is_known_until_when_a_revocation_list_is_good(encoding: Encoding) -> None:
    ca = issue("ca", ca=True)
    context = TlsContext([replace(GOOD, ca_pem=ca.pem, crl=crl_of(ca, encoding=encoding))])
    assert context.crl_until()[GOOD.name] == pytest.approx(time.time() + 86400, abs=60)


def test_without_a_list_there_is_no_such_time() -> None:
    assert TlsContext([GOOD]).crl_until() == {}


def test_dh_parameters_serve_dhe() -> None:
    served = issue("vpn.example", "RSA")
    vhost = replace(GOOD, certificates=((served.pem, None, 0),), dh_params=DH_PARAMS, priorities=NORMAL + ":+DHE-RSA")
    client = client_context("1.2", "DHE-RSA-AES256-GCM-SHA384")
    with connect(TlsContext([vhost]), KeyHolder(served.key), client) as connection:
        assert "DHE" in connection.info.ciphersuite


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_a_chain_may_stand_in_any_order_behind_its_leaf(order: tuple[int, ...]) -> None:
    root = issue("Root", ca=True)
    middle = issue("Middle", "P-384", by=root, ca=True)
    leaf = issue("vpn.example", "P-521", by=middle)
    chain = b"".join((leaf, middle, root)[i].pem for i in order)
    with connect(
        TlsContext([replace(GOOD, certificates=((chain, None, 0),))]), KeyHolder(leaf.key), client_context("1.3")
    ) as connection:
        assert connection.client.getpeercert(binary_form=True) == leaf.der


def test_loading_asks_for_no_signature() -> None:
    """Nobody is there to answer: a signature would be an assertion."""
    TlsContext([GOOD, replace(GOOD, name="b.example")])
