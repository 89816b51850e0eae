"""Plugins in workers: what they add, and that what they do wrong hurts no more than it must."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .authority import CN, Authority
from .environment import Environment, start
from .hostile import TlsClient
from .lab import GATEWAY4, Lab, Option
from .server import Server
from .test_certificate import either_will_do, present

HALF = """\
import sys
from ocserv_core.plugin.worker import CertificateFacts, CertificateRefused, StaticPage

class Backend:
    ocserv_api = (1, 0)

    def __init__(self, context):
        self.context = context

    {hook}
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def half_of_plain(environment: Environment, hook: str) -> None:
    """`plain` gets a worker's half with this hook."""
    environment.write("plain", HALF.format(hook=hook.replace("\n", "\n    ")), group="worker")


def start_with_cards(lab: Lab, environment: Environment, ca: Authority, **more: Option) -> Server:
    options: dict[str, Option] = {**either_will_do(lab), "cert_user_oid": CN, "ca_cert": ca.file, **more}
    return start(lab, environment, **options)


# ---- ocserv_certificate_identity


def test_a_plugin_says_whom_a_certificate_names(lab: Lab, environment: Environment) -> None:
    ca = Authority(lab)
    names = 'CertificateFacts("x-" + certificate.names("2.5.4.3")[0])'
    half_of_plain(environment, f"def ocserv_certificate_identity(self, certificate):\n    return {names}")
    server = start_with_cards(lab, environment, ca)
    present(lab, ca.issue("zoe")).await_connected()
    assert server.log.wait_for("'x-zoe' from .* is authenticated by certificate")


def test_one_that_does_not_know_leaves_it_to_the_next(lab: Lab, environment: Environment) -> None:
    ca = Authority(lab)
    half_of_plain(environment, "def ocserv_certificate_identity(self, certificate):\n    return None")
    server = start_with_cards(lab, environment, ca)
    present(lab, ca.issue("zoe")).await_connected()
    assert server.log.wait_for("'zoe' from .* is authenticated by certificate")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return {}['no such key']", "the back end 'plain' failed in ocserv_certificate_identity: KeyError"),
        ("sys.exit(3)", "the back end 'plain' failed in ocserv_certificate_identity: SystemExit"),
        (
            "return 'zoe'",
            "the back end 'plain' said in ocserv_certificate_identity: a str, which is no CertificateFacts",
        ),
        (
            "return CertificateFacts('a\\nb')",
            "ocserv_certificate_identity: a name that is empty, unprintable, or of more",
        ),
    ],
)
def test_one_that_fails_costs_its_client_alone(lab: Lab, environment: Environment, body: str, said: str) -> None:
    ca = Authority(lab)
    half_of_plain(environment, f"def ocserv_certificate_identity(self, certificate):\n    {body}")
    server = start_with_cards(lab, environment, ca)
    before = lab.connect("alice")
    assert present(lab, ca.issue("zoe")).wait() != 0
    assert server.log.wait_for(rf"ocserv-worker: \S+ the connection ends: .*{said}")
    lab.connect("bob")
    assert before.host.ping(GATEWAY4)


# ---- ocserv_offer_headers


def test_a_plugin_adds_headers_to_the_answer_to_connect(lab: Lab, environment: Environment) -> None:
    hook = (
        'def ocserv_offer_headers(self, tunnel):\n    return {"X-Motto": f"hello {tunnel.username} of {tunnel.group}"}'
    )
    half_of_plain(environment, hook)
    start(lab, environment)
    client = TlsClient(lab.host())
    answer = client.connect(client.login("alice", lab.passwords["alice"]))
    assert (answer.status, answer.headers["x-motto"]) == (200, "hello alice of staff")
    client.close()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ('{"X-CSTP-MTU": "9000"}', "the header X-CSTP-MTU, which is the server's own"),
        ('{"content-length": "5"}', "the header content-length, which is the server's own"),
        (r'{"X-Motto": "a\r\nX-CSTP-MTU: 9000"}', "a value of X-Motto that is no printable ASCII"),
        ('{"X Motto": "a"}', "'X Motto', which is no name of a header"),
        ("1 / 0", "failed in ocserv_offer_headers: ZeroDivisionError"),
    ],
)
def test_headers_that_may_not_be_fail_their_client(lab: Lab, environment: Environment, headers: str, said: str) -> None:
    half_of_plain(environment, f"def ocserv_offer_headers(self, tunnel):\n    return {headers}")
    server = start(lab, environment)
    assert lab.login("alice").wait() != 0
    assert server.log.wait_for(said)


# ---- ocserv_http_routes


ROUTES = "def ocserv_http_routes(self):\n    return {paths}"


def test_a_plugin_serves_a_page_before_login(lab: Lab, environment: Environment) -> None:
    half_of_plain(
        environment, ROUTES.replace("{paths}", '{"/ca.pem": StaticPage("application/x-pem-file", b"OUR CA")}')
    )
    start(lab, environment)
    client = TlsClient(lab.host())
    answer = client.get("/ca.pem")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/x-pem-file", "OUR CA")
    assert client.get("/ca.pem/more").status == 404
    client.close()
    assert lab.connect("alice").host.ping(GATEWAY4)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ('{"/auth": StaticPage("text/plain", b"x")}', "/auth is served by the server itself"),
        ('{"/": StaticPage("text/plain", b"x")}', "'/' is no plain path"),
        ('{"/a": StaticPage("text/plain", b"x" * 65537)}', "/a has 65537 bytes; it must have 1 to 65536"),
        ('{f"/{n}": StaticPage("text/plain", b"x") for n in range(17)}', "17 pages are too many; 16 are the most"),
        (r'{"/a": StaticPage("text/plain\r\nX: y", b"x")}', "the content type of /a is no printable ASCII"),
        ("open('/nowhere')", "No such file or directory"),
    ],
)
def test_pages_that_may_not_be_refuse_the_configuration(
    lab: Lab, environment: Environment, paths: str, said: str
) -> None:
    half_of_plain(environment, ROUTES.replace("{paths}", paths))
    refused(lab, environment, rf"the worker's half of 'plain' \(back_end_plain:Backend\) .*{re.escape(said)}")


# ---- loading


def refused(lab: Lab, environment: Environment, said: str, **options: Option) -> None:
    """The server does not start, and names the line."""
    config = lab.configure(**options)
    server = lab.run_server([*environment.server, "-f", "--log-stderr", "-c", config], lab.path("occtl.sock"))
    assert server.wait() == 1
    assert server.log.wait_for(rf"ocserv.conf:\d+: {said}"), server.log.tail()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("class Backend:\n    pass", "plain: written for plugin API none, this server offers 1.0"),
        ("class Backend:\n    ocserv_api = (2, 0)", "plain: written for plugin API 2.0, this server offers 1.0"),
        (HALF.format(hook="def ocserv_certifikate(self): pass"), "ocserv_certifikate is no hook of a worker"),
        (HALF.replace("self.context = context", "1 / 0").format(hook=""), "cannot be set up: ZeroDivisionError"),
    ],
)
def test_a_half_that_cannot_be_used_refuses_the_configuration(
    lab: Lab, environment: Environment, source: str, said: str
) -> None:
    environment.write("plain", source, group="worker")
    refused(lab, environment, f".*{said}")


def test_a_half_that_is_installed_twice(lab: Lab, environment: Environment) -> None:
    environment.write("certificate", HALF.format(hook=""), group="worker")
    ca = Authority(lab)
    options: dict[str, Option] = {"auth": "certificate", "cert_user_oid": CN, "ca_cert": ca.file}
    refused(lab, environment, "the worker's half of 'certificate' is installed more than once", **options)


def test_a_half_of_a_back_end_that_is_not_configured_is_not_loaded(lab: Lab, environment: Environment) -> None:
    environment.write("unused", "raise SystemExit(1)", group="worker")
    start(lab, environment)
    lab.connect("alice")


def test_a_half_may_not_bring_what_workers_must_not_have(lab: Lab, environment: Environment) -> None:
    environment.write("plain", "import pluggy\n" + HALF.format(hook=""), group="worker")
    refused(lab, environment, ".*brings pluggy, which workers must not have")
