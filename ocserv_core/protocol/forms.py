"""The config-auth documents that the server answers with: forms, success, failure. Everything is escaped.

Used by login.py. Old openconnect (3 and before) takes the inner `<auth>` alone, without the wrapper.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..config.values import Group

PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'

# Characters that XML 1.0 cannot carry, not even escaped (§2.2).
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a form. `name` decides under which element the answer comes back."""

    type: str
    name: str
    label: str


USERNAME = Field("text", "username", "Username:")
PASSWORD = Field("password", "password", "Password:")


def answer_field(counter: int, secret: bool) -> Field:
    """The field for a back end's question; `counter` questions came before it. Later ones are numbered."""
    if not secret:
        # openconnect sends a field of this name back as the password.
        return Field("text", "answer", "Answer:")
    if counter == 0:
        return PASSWORD
    return Field("password", "secondary_password", f"Password{counter + 1}:")


@dataclass(frozen=True, slots=True)
class Form:
    """What a client is asked. `auth_id`: "main" at the start, "passwd" for later questions where v3 needs to know.

    `handle` goes out as `<opaque>` for clients that keep no cookies.
    """

    message: str
    fields: Sequence[Field]
    groups: Sequence[Group] = ()
    chosen: str = ""
    banner: str = ""
    handle: str = ""
    error: str = ""


def escape(text: str) -> str:
    """Text for an element or an attribute of XML 1.0."""
    return html.escape(_IMPOSSIBLE.sub("", text), quote=True)


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""


def _input(field: Field) -> str:
    return f'<input type="{field.type}" name="{field.name}" label="{escape(field.label)}" />\n'


def _select(groups: Sequence[Group], chosen: str) -> str:
    if not groups:
        # An empty list would be skipped by openconnect, and shown as an empty box by others.
        return ""
    options = "".join(_option(group, selected=group.name == chosen) for group in groups)
    return f'<select name="group_list" label="Group:">\n{options}</select>\n'


def _option(group: Group, *, selected: bool) -> str:
    mark = ' selected="true"' if selected else ""
    return f'<option value="{escape(group.name)}"{mark}>{escape(group.label)}</option>\n'


def build_form(form: Form, *, v3: bool = False, query: str = "") -> bytes:
    """An auth-request. The action is always /auth: clients disagree on what a missing one means. query: what follows
    it, with its question mark."""
    inputs = "".join(_input(field) for field in form.fields)
    body = (
        _element("banner", form.banner)
        + _element("message", form.message)
        + (f'<error id="1" param1="" param2="">{escape(form.error)}</error>' if form.error else "")
        + f'\n<form method="post" action="/auth{escape(query)}">\n{inputs}{_select(form.groups, form.chosen)}</form>'
    )
    if v3:
        auth_id = "passwd" if form.handle else "main"
        return f'{PROLOG}<auth id="{auth_id}">\n{body}</auth>\n'.encode()
    opaque = f'<opaque is-for="sg">{_element("aggauth-handle", form.handle)}</opaque>\n' if form.handle else ""
    return (
        f'{PROLOG}<config-auth client="vpn" type="auth-request">\n<version who="sg">0.1(1)</version>\n'
        f'{opaque}<auth id="main">\n{body}</auth>\n</config-auth>\n'
    ).encode()


@dataclass(frozen=True, slots=True)
class Success:
    """A login that succeeded. `profile` is (name, SHA-1 in upper-case hex) of the user's profile."""

    cookie: str
    banner: str = ""
    certificate_sha1: str = ""
    profile: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return "Success()"


_SESSION_ID = "32767"
"""What clients expect to see here; no client gives it back."""


def build_success(success: Success, *, v3: bool = False) -> bytes:
    """The document that ends a login: token, banner, the certificate's hash, where the profile is."""
    auth = (
        f'<auth id="success">\n<title>SSL VPN Service</title>{_element("banner", success.banner)}'
        f'<message id="0" param1="" param2=""></message></auth>\n'
    )
    if v3:
        return f"{PROLOG}{auth}".encode()
    return (
        f'{PROLOG}<config-auth client="vpn" type="complete" aggregate-auth-version="2">\n'
        f'<version who="sg">0.1(1)</version>\n<session-id>{_SESSION_ID}</session-id>\n'
        f"{_element('session-token', success.cookie)}\n{auth}{_private_config(success)}</config-auth>\n"
    ).encode()


def _private_config(success: Success) -> str:
    base = (
        f"<vpn-base-config>{_element('server-cert-hash', success.certificate_sha1)}</vpn-base-config>\n"
        if success.certificate_sha1
        else ""
    )
    if not base and success.profile is None:
        return ""
    return f'<config client="vpn" type="private">\n{base}{_manifest(success.profile)}</config>\n'


def _manifest(profile: tuple[str, str] | None) -> str:
    if profile is None:
        return ""
    name, sha1 = profile
    return (
        '<vpn-profile-manifest><vpn rev="1.0"><file type="profile" service-type="user">'
        f'<uri>/profiles/{escape(name)}</uri><hash type="sha1">{sha1}</hash>'
        "</file></vpn></vpn-profile-manifest>\n"
    )


def build_error(text: str) -> bytes:
    """A form that cannot be filled in: the client shows what is wrong and gives up."""
    # As error for Cisco's clients; openconnect shows only the message of a form without fields.
    return build_form(Form(text, (), error=text))


def build_acknowledgement() -> bytes:
    """The answer to a logout: some small document, never an empty body."""
    return (
        f'{PROLOG}<config-auth client="vpn" type="complete">\n<version who="sg">0.1(1)</version>\n</config-auth>\n'
    ).encode()
