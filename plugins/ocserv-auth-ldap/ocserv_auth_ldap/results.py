"""What the result codes of RFC 4511 (§4.1.9) mean for a login."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUCCESS = 0
SIZE_LIMIT = 4
REFERRAL = 10
NO_SUCH_OBJECT = 32
INVALID_CREDENTIALS = 49

ELSEWHERE = frozenset((51, 52))
"""busy and unavailable: another server may know."""

_OF_THE_USER = {
    19: "the account is restricted",
    32: "there is no such entry",
    34: "the name makes no valid DN",
    48: "the account has no password",
    49: "wrong password",
    50: "the account may not log in",
    53: "the account may not log in",
}
"""Of a bind with a user's password: what says something of this user alone."""

_OF_THE_SERVER = {
    3: "the search took too long",
    4: "more was found than the server gives",
    8: "the server demands TLS: say ldaps:// or starttls=yes",
    10: "it refers to another server, which is not followed",
    11: "more was asked than the server permits",
    13: "the server demands TLS: say ldaps:// or starttls=yes",
    32: "there is no such entry",
    48: "an account without a password",
    49: "the password is refused",
    50: "this may not be read; see the server's access rules",
    51: "it is busy",
    52: "it is unavailable",
    53: "it is unwilling",
}

_ACTIVE_DIRECTORY = {
    "525": "no such user",
    "530": "not at this time",
    "531": "not from this machine",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed first",
    "775": "the account is locked",
}


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended. `said` is the server's own text, on one line."""

    code: int
    name: str = ""
    said: str = ""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == SUCCESS

    @property
    def is_the_users(self) -> bool:
        """Whether a refused bind says something of this user, and nothing of the server."""
        return self.code in _OF_THE_USER

    def explain_bind(self) -> str:
        """Why a user's bind was refused, for the log."""
        match = re.search(r"\bdata ([0-9a-f]{3})\b", self.said)
        reason = _ACTIVE_DIRECTORY.get(match[1], "") if match else ""
        return reason or self._with_said(_OF_THE_USER.get(self.code, ""))

    def explain(self) -> str:
        """Why the server did not do what was asked, for the log."""
        return self._with_said(_OF_THE_SERVER.get(self.code, ""))

    def _with_said(self, meaning: str) -> str:
        own = f"{self.code} {self.name}".strip()
        return f"{meaning or 'it refused'} ({own}{': ' if self.said else ''}{self.said})"


def result_of(code: int, name: str, said: str) -> Result:
    """A result with the server's words, which may be anything, fit for a line of the log."""
    return Result(code, name, " ".join(said.replace("\0", " ").split())[:200])
