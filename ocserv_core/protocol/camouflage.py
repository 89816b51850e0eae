"""The gate of a vhost that is camouflaged: until the secret was the whole query of a request, this server is an
ordinary web server to its client. Used by login.py."""

from __future__ import annotations

import hmac

from .http1 import Response
from .pages import NOT_FOUND, build_refusal


class Gate:
    """One connection's. Once open it stays open: the login's later requests carry no query."""

    def __init__(self, secret: str, realm: str) -> None:
        """secret: "" opens to nobody's query. realm: that of the password that strangers are asked for; "" shows them
        404 instead."""
        self._secret = secret.encode()
        self._realm = realm
        self.is_open = False

    def try_query(self, query: str) -> None:
        """Open it by a request's query, as it was sent."""
        if self._secret and hmac.compare_digest(query.encode(), self._secret):
            self.open()

    def open(self) -> None:
        """For who has a living session."""
        self.is_open = True

    @property
    def form_query(self) -> str:
        """What the form's address carries, for a client that posts it by another connection."""
        return f"?{self._secret.decode()}" if self._secret else ""

    def refuse(self) -> Response:
        """What a stranger is answered."""
        if not self._realm:
            return NOT_FOUND
        challenge = f'Basic realm="{_quotable(self._realm)}"'
        return Response(401, "Unauthorized", (("WWW-Authenticate", challenge),), close=True)

    def refuse_connect(self) -> Response:
        """The same for a CONNECT, which an ordinary web server does not know."""
        return build_refusal(405)


class OpenGate(Gate):
    """That of a vhost which is not camouflaged."""

    def __init__(self) -> None:
        super().__init__("", "")
        self.open()


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
