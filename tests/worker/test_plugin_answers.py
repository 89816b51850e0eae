"""What hooks of workers may answer."""

from __future__ import annotations

from typing import Any

import pytest

from ocserv_core.model import CertificateFacts
from ocserv_core.plugin.worker import StaticPage
from ocserv_core.protocol.pages import PAGES, Page
from ocserv_core.worker.plugin_answers import checked_facts, checked_headers, checked_pages

PAGE = StaticPage("text/plain", b"x")


def test_facts_pass() -> None:
    facts = CertificateFacts("zoe", ("staff",))
    assert checked_facts(facts) is facts


@pytest.mark.parametrize(
    "said",
    [
        *("zoe", CertificateFacts(), CertificateFacts("a\0b"), CertificateFacts("z" * 64)),
        *(CertificateFacts("zoe", ("",)), CertificateFacts("zoe", ("g",) * 65), CertificateFacts(5)),  # type: ignore[arg-type]
    ],
)
def test_facts_that_do_not(said: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        checked_facts(said)


def test_headers_become_lines_in_their_order() -> None:
    assert checked_headers({"X-B": "2", "X-A": ""}) == ["X-B: 2", "X-A: "]


@pytest.mark.parametrize(
    "said",
    [
        *(["X-A: b"], {"": "b"}, {"X A": "b"}, {"X-A:": "b"}, {"X-A\r\nX-B": "b"}, {1: "b"}, {"X-Ä": "b"}),
        *({"X-A": "b\n"}, {"X-A": "b\rc"}, {"X-A": "b\0"}, {"X-A": "ä"}, {"X-A": 5}, {"X-A": "b" * 1025}),
        *({"x-cstp-mtu": "9"}, {"X-DTLS-New": "9"}, {"X-DTLS12-CipherSuite": "9"}, {"Set-Cookie": "webvpn=1"}),
        *({"Transfer-Encoding": "chunked"}, {"Connection": "close"}, {f"X-{n}": "1" for n in range(33)}),
    ],
)
def test_headers_that_may_not_be(said: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        checked_headers(said)


def test_pages_pass() -> None:
    assert checked_pages({"/ca.pem": PAGE}, {}) == {"/ca.pem": Page("text/plain", b"x")}


@pytest.mark.parametrize("path", ["", "/", "ca.pem", "/a?b", "/a#b", "/%61", "/a b", "/ä", "/" + "a" * 256, 5, *PAGES])
def test_paths_that_may_not_be(path: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        checked_pages({path: PAGE}, {})


@pytest.mark.parametrize("path", ["/auth", "/auth/x", "/VPN", "/profiles/x", "/svc"])
def test_paths_that_the_server_serves(path: str) -> None:
    with pytest.raises(ValueError, match="is served by the server itself"):
        checked_pages({path: PAGE}, {})


def test_a_path_of_another_plugin() -> None:
    with pytest.raises(ValueError, match="/a is served by another plugin already"):
        checked_pages({"/a": PAGE}, {"/a": Page("text/plain", b"y")})


@pytest.mark.parametrize(
    "page",
    [b"x", StaticPage("", b"x"), StaticPage("a\r\nb: c", b"x"), StaticPage("a/b", b""), StaticPage("a", b"x" * 65537)],
)
def test_pages_that_may_not_be(page: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        checked_pages({"/a": page}, {})
