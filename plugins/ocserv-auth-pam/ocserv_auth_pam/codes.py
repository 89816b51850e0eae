"""What PAM's codes mean for a login: a user's own failure, or something behind PAM that does not work."""

from __future__ import annotations

import pam

_NAMES = {
    getattr(pam, name): name
    for name in (
        "PAM_ABORT",
        "PAM_ACCT_EXPIRED",
        "PAM_AUTHINFO_UNAVAIL",
        "PAM_AUTHTOK_ERR",
        "PAM_AUTHTOK_EXPIRED",
        "PAM_AUTHTOK_LOCK_BUSY",
        "PAM_AUTH_ERR",
        "PAM_BUF_ERR",
        "PAM_CONV_ERR",
        "PAM_CRED_INSUFFICIENT",
        "PAM_MAXTRIES",
        "PAM_MODULE_UNKNOWN",
        "PAM_NEW_AUTHTOK_REQD",
        "PAM_OPEN_ERR",
        "PAM_PERM_DENIED",
        "PAM_SERVICE_ERR",
        "PAM_SYMBOL_ERR",
        "PAM_SYSTEM_ERR",
        "PAM_TRY_AGAIN",
        "PAM_USER_UNKNOWN",
    )
}

NOBODY_KNOWS = frozenset(
    (
        pam.PAM_ABORT,
        pam.PAM_AUTHINFO_UNAVAIL,
        pam.PAM_BUF_ERR,
        pam.PAM_MODULE_UNKNOWN,
        pam.PAM_OPEN_ERR,
        pam.PAM_SERVICE_ERR,
        pam.PAM_SYMBOL_ERR,
        pam.PAM_SYSTEM_ERR,
        pam.PAM_AUTHTOK_LOCK_BUSY,
    )
)
"""Not the user's failure: a module cannot be loaded, or cannot reach what it asks."""


def name_of(code: int) -> str:
    """As pam(3) spells it."""
    return _NAMES.get(code, f"code {code}")
