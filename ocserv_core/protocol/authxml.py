"""The bodies that clients post while they log in: config-auth XML, or a form's url-encoding.

Used by login.py. Which of the two it is, the body decides and not its headers. XML is read by expat with
everything that a stranger could abuse refused: DOCTYPE, entities, depth. Unknown elements are passed over.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl
from xml.parsers import expat

from ..errors import HttpViolation
from ..model import Cookie
from .cookie import parse_handle, parse_webvpn

MAX_DEPTH = 64
MAX_FIELDS = 64
MAX_USERNAME = 63
"""Bytes of a user name."""
MAX_PASSWORD = 1024
"""Bytes of any answer."""


class BodyKind(enum.Enum):
    """What a client wants with its POST."""

    INIT = "init"
    REPLY = "auth-reply"
    LOGOUT = "logout"


@dataclass(frozen=True, slots=True)
class AuthBody:
    """One posted body. `fields` are the answers by name; `group` is None where none was named.

    `handle` is the conversation named in `<opaque>`, as untrusted as everything here; `token` the cookie in
    `<session-token>`, "" where there is none.
    """

    kind: BodyKind
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    group: str | None = None
    handle: str = field(default="", repr=False)
    token: Cookie = field(default=Cookie(""), repr=False)

    @property
    def username(self) -> str | None:
        """The user's name, None where the body has none."""
        return self.fields.get("username") or None

    @property
    def password(self) -> str | None:
        """The first field that can be an answer to a question for a secret, None where there is none."""
        return next((value for name, value in self.fields.items() if _is_password(name)), None)


_ANSWERS = frozenset(("answer", "passcode", "whichpin", "new_password"))


def _is_password(name: str) -> bool:
    return name in _ANSWERS or name.startswith("password") or name.endswith("_password")


def parse_auth_body(body: bytes) -> AuthBody:
    """Read a POST's body. Raises HttpViolation(400) for XML that is malformed or not config-auth."""
    text = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    parsed = _parse_xml(text) if text.startswith(b"<") else _parse_form(text)
    _check_limits(parsed)
    return parsed


def _check_limits(body: AuthBody) -> None:
    username = body.username or ""
    if len(username.encode(errors="replace")) > MAX_USERNAME or not username.isprintable():
        raise HttpViolation(400, "a user name that is too long or not printable")
    if any(len(value.encode(errors="replace")) > MAX_PASSWORD for value in body.fields.values()):
        raise HttpViolation(400, "a field that is too long")


def _parse_form(text: bytes) -> AuthBody:
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise HttpViolation(400, "a url-encoded body that is not UTF-8 or has too many fields") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    group = fields.pop("group_list", None)
    return AuthBody(BodyKind.REPLY, MappingProxyType(fields), group)


def _parse_xml(text: bytes) -> AuthBody:
    reader = _ConfigAuthReader()
    try:
        reader.parse(text)
    except expat.ExpatError as error:
        raise HttpViolation(400, f"malformed XML: {error}") from error
    return reader.result()


_ROOT = "config-auth"
_AUTH = (_ROOT, "auth")


class _ConfigAuthReader:
    """Keeps the texts that matter, by their path, while expat walks through the document once."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._texts: list[list[str]] = []
        self._type = ""
        self._fields: dict[str, str] = {}
        self._found: dict[tuple[str, ...], str] = {}

    def parse(self, text: bytes) -> None:
        # The encoding is fixed, so that a document cannot choose a codec.
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.Parse(text, True)

    def result(self) -> AuthBody:
        kind = _KINDS.get(self._type)
        if kind is None:
            raise HttpViolation(400, "XML that is no config-auth of a known type")
        return AuthBody(
            kind=kind,
            fields=MappingProxyType(self._fields),
            group=self._found.get(_GROUP),
            handle=parse_handle(self._found.get(_HANDLE, "")),
            token=parse_webvpn(self._found.get(_TOKEN, "")),
        )

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise HttpViolation(400, f"XML nested deeper than {MAX_DEPTH}")
        if not self._path:
            if name != _ROOT:
                raise HttpViolation(400, "XML that is no config-auth")
            self._type = attributes.get("type", "")
        self._path.append(name)
        self._texts.append([])

    def _on_text(self, text: str) -> None:
        self._texts[-1].append(text)

    def _on_end(self, _name: str) -> None:
        path, text = tuple(self._path), "".join(self._texts.pop())
        self._path.pop()
        if len(path) == 3 and path[:2] == _AUTH:
            self._add_field(path[2], text)
        elif path in _KEPT:
            self._found.setdefault(path, text)

    def _add_field(self, name: str, text: str) -> None:
        if len(self._fields) >= MAX_FIELDS:
            raise HttpViolation(400, "too many fields")
        self._fields.setdefault(name, text)

    @staticmethod
    def _on_doctype(*_declaration: object) -> None:
        raise HttpViolation(400, "XML with a DOCTYPE")


_GROUP = (_ROOT, "group-select")
_HANDLE = (_ROOT, "opaque", "aggauth-handle")
_TOKEN = (_ROOT, "session-token")
_KEPT = frozenset((_GROUP, _HANDLE, _TOKEN))

_KINDS = {kind.value: kind for kind in BodyKind}
