"""What one vhost answers on one connection: each method is one HTTP response, made of settings and facts.

Used by login.py, which decides when; nothing here has a state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from ..config.values import Group
from ..model import Cookie
from .cookie import build_context, build_context_cleared, build_phone_cookies, build_success_cookies
from .forms import (
    PASSWORD,
    USERNAME,
    Field,
    Form,
    Success,
    answer_field,
    build_acknowledgement,
    build_error,
    build_form,
    build_success,
)
from .http1 import Response
from .kkdcp import build_kdc_reply
from .login_words import ConnectionFacts, LoginSettings, Prompt
from .negotiate import SCHEME
from .pages import Page, build_refusal

ASK_USERNAME = "Please enter your username."
ASK_GROUP = "Please select your group."
START_AGAIN = "The login was interrupted. Please log in again."

_XML = ("Content-Type", "text/xml; charset=utf-8")
_TRANSCEND = ("X-Transcend-Version", "1")


class Answers:
    """The responses of a login."""

    def __init__(self, settings: LoginSettings, facts: ConnectionFacts, form_query: str = "") -> None:
        """form_query: what stands behind the form's address."""
        self._settings = settings
        self._form_query = form_query
        self._facts = facts
        self._included = tuple(_header(line) for line in settings.included_headers)

    def login_form(
        self, groups: Sequence[Group], chosen: str, *, error: str = "", v3: bool = False, token: str = ""
    ) -> Response:
        """User name and password in one form, as clients of today answer it; no conversation yet. `token` is what
        the client's security mechanism is to be told, which has failed."""
        form = self._form(ASK_USERNAME, (USERNAME, PASSWORD), groups, chosen, error=error, v3=v3)
        return replace(form, headers=(*form.headers, _challenge(token))) if token else form

    def group_form(self, groups: Sequence[Group], *, v3: bool = False) -> Response:
        """Only the group is missing: the certificate says the rest."""
        return self._form(ASK_GROUP, (), groups, "", v3=v3)

    def _form(
        self,
        message: str,
        fields: Sequence[Field],
        groups: Sequence[Group],
        chosen: str,
        *,
        error: str = "",
        v3: bool = False,
    ) -> Response:
        banner = self._settings.pre_login_banner
        form = Form(message, fields, groups, chosen, banner=banner, error=error)
        return self._document(build_form(form, v3=v3, query=self._form_query), build_context_cleared())

    def certificate_missing(self) -> Response:
        """Without a client certificate there is no way in; the words are those of the ASA."""
        return self._document(build_error("Certificate Validation Failure"))

    def prompt(self, prompt: Prompt, *, v3: bool = False) -> Response:
        """A back end's question."""
        field = answer_field(prompt.counter, prompt.secret)
        document = build_form(Form(prompt.text, (field,), handle=prompt.handle), v3=v3, query=self._form_query)
        return self._document(document, build_context(prompt.handle, self._settings.cookie_timeout))

    def negotiate(self, token: str, *, fallback: bool) -> Response:
        """The client's security mechanism is asked, and told `token`. fallback: there are other ways in."""
        others = (("X-HTTP-Auth-Support", "fallback"),) if fallback else ()
        return Response(401, "Unauthorized", (_challenge(token), *others, *self._included))

    def success(
        self, cookie: str, handle: str, *, v3: bool = False, keep_alive: bool = True, token: str = ""
    ) -> Response:
        """Logged in. `token` is what the client's security mechanism is to be told."""
        profile, sha1 = self._profile(), self._facts.server_certificate_sha1
        document = build_success(Success(cookie, self._settings.banner, sha1, profile), v3=v3)
        connection = (("Connection", "Keep-Alive"),) if keep_alive else ()
        cookies = build_success_cookies(cookie, handle, sha1, profile)
        mutual = (_challenge(token),) if token else ()
        return self._ok((*connection, _XML, _TRANSCEND, *mutual, *cookies), document)

    def phone(self, cookie: Cookie) -> Response:
        """For an IP phone, which shows no document: its cookie, or "" where it is to log in."""
        return self._ok(build_phone_cookies(cookie), b"")

    def logged_out(self) -> Response:
        """The answer to a logout."""
        return self._document(build_acknowledgement())

    def page(self, page: Page) -> Response:
        """One of the fixed pages."""
        return self._ok((("Content-Type", page.content_type),), page.body)

    def profile(self) -> Response | None:
        """The user profile byte for byte, since clients compare its SHA-1; None where none is configured."""
        if self._settings.profile is None:
            return None
        return self._ok((("Content-Type", "text/xml"),), self._settings.profile)

    def denied(self, text: str) -> Response:
        """The login failed for good."""
        return build_refusal(401, "Authentication failed", text)

    def denied_by_mechanism(self, token: str) -> Response:
        """The same, where there is no other way in: with what the client's security mechanism is to be told."""
        return Response(401, "Authentication failed", (_challenge(token),), close=True)

    def kdc_reply(self, message: bytes) -> Response:
        """What a key server has answered."""
        return Response(200, "OK", (("Content-Type", "application/kerberos"),), build_kdc_reply(message))

    def _profile(self) -> tuple[str, str] | None:
        if self._settings.profile is None:
            return None
        sha1 = hashlib.sha1(self._settings.profile, usedforsecurity=False).hexdigest().upper()
        return self._settings.profile_name, sha1

    def _document(self, document: bytes, *headers: tuple[str, str]) -> Response:
        return self._ok((*headers, _XML, _TRANSCEND), document)

    def _ok(self, headers: tuple[tuple[str, str], ...], body: bytes) -> Response:
        return Response(200, "OK", (*headers, *self._included), body)


def _challenge(token: str) -> tuple[str, str]:
    return "WWW-Authenticate", f"{SCHEME} {token}".rstrip()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
