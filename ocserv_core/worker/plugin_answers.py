"""What the hooks of workers may answer, and what is wrong with an answer. Called by plugins.py; ValueError each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..model import CertificateFacts
from ..plugin.worker import StaticPage
from ..protocol.offer import is_own_header
from ..protocol.pages import Page, is_service

MAX_NAME = 63
MAX_GROUPS = 64
MAX_HEADERS = 32
MAX_HEADER_VALUE = 1024
MAX_PAGES = 16
MAX_PAGE = 64 * 1024

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[ -~]*")
_PATH = re.compile(r"/[!-~]{1,255}")


def checked_facts(said: Any) -> CertificateFacts:
    """Names such as a login form may send."""
    if not isinstance(said, CertificateFacts):
        raise ValueError(f"a {type(said).__name__}, which is no CertificateFacts")
    if len(said.groups) > MAX_GROUPS:
        raise ValueError(f"{len(said.groups)} groups; {MAX_GROUPS} are the most")
    for name in (said.user, *said.groups):
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name.encode()) <= MAX_NAME:
            raise ValueError(f"a name that is empty, unprintable, or of more than {MAX_NAME} bytes")
    return said


def checked_headers(said: Any) -> list[str]:
    """Whole lines."""
    if not isinstance(said, Mapping):
        raise ValueError(f"a {type(said).__name__}, which is no mapping of headers")
    if len(said) > MAX_HEADERS:
        raise ValueError(f"{len(said)} headers; {MAX_HEADERS} are the most")
    return [_header(name, value) for name, value in said.items()]


def _header(name: object, value: object) -> str:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r}, which is no name of a header")
    if is_own_header(name):
        raise ValueError(f"the header {name}, which is the server's own")
    if not isinstance(value, str) or len(value) > MAX_HEADER_VALUE or not _VALUE.fullmatch(value):
        raise ValueError(f"a value of {name} that is no printable ASCII of {MAX_HEADER_VALUE} bytes at most")
    return f"{name}: {value}"


def checked_pages(said: Any, taken: Mapping[str, Page]) -> dict[str, Page]:
    """By path. taken: those of other plugins."""
    if not isinstance(said, Mapping):
        raise ValueError(f"a {type(said).__name__} is no mapping of paths to StaticPage")
    if len(said) > MAX_PAGES:
        raise ValueError(f"{len(said)} pages are too many; {MAX_PAGES} are the most")
    return {_path(path, taken): _page(path, page) for path, page in said.items()}


def _path(path: object, taken: Mapping[str, Page]) -> str:
    if not isinstance(path, str) or not _PATH.fullmatch(path) or set(path) & set("?#%"):
        raise ValueError(f"{path!r} is no plain path; one like /ca.pem is")
    if is_service(path):
        raise ValueError(f"{path} is served by the server itself")
    if path in taken:
        raise ValueError(f"{path} is served by another plugin already")
    return path


def _page(path: object, page: object) -> Page:
    if not isinstance(page, StaticPage) or not isinstance(page.body, bytes):
        raise ValueError(f"{path} is no StaticPage with bytes")
    if not 0 < len(page.body) <= MAX_PAGE:
        raise ValueError(f"{path} has {len(page.body)} bytes; it must have 1 to {MAX_PAGE}")
    if not isinstance(page.content_type, str) or not page.content_type or not _VALUE.fullmatch(page.content_type):
        raise ValueError(f"the content type of {path} is no printable ASCII")
    return Page(page.content_type, page.body)
