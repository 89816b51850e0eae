"""One transaction with libpam, from pam_start(3) to pam_end(3). Every function of it may ask the user, by the dialogue,
and raises PamError where it does not succeed."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import pam

from .bindings import LIBPAM, PamConv, PamHandle, conv_func
from .codes import name_of
from .dialogue import Dialogue


class PamError(Exception):
    """A function of libpam returned `code`."""

    def __init__(self, function: str, code: int, text: str) -> None:
        super().__init__(f"{function}: {text} ({name_of(code)})")
        self.code = code


class Transaction:
    """Opened by `transaction`."""

    def __init__(self, handle: PamHandle, dialogue: Dialogue) -> None:
        self._handle = handle
        self.dialogue = dialogue
        self.code = int(pam.PAM_SUCCESS)

    def authenticate(self) -> None:
        """pam_authenticate(3)."""
        self._do("pam_authenticate", LIBPAM.pam_authenticate(self._handle, 0))

    def check_account(self) -> bool:
        """pam_acct_mgmt(3): whether the password must be changed before the account may be used."""
        code = LIBPAM.pam_acct_mgmt(self._handle, 0)
        if code == pam.PAM_NEW_AUTHTOK_REQD:
            return True
        self._do("pam_acct_mgmt", code)
        return False

    def change_expired_password(self) -> None:
        """pam_chauthtok(3)."""
        self._do("pam_chauthtok", LIBPAM.pam_chauthtok(self._handle, pam.PAM_CHANGE_EXPIRED_AUTHTOK))

    def set_remote_host(self, address: str) -> None:
        """PAM_RHOST."""
        text = ctypes.c_char_p(address.encode())
        self._do("pam_set_item", LIBPAM.pam_set_item(self._handle, pam.PAM_RHOST, ctypes.cast(text, ctypes.c_void_p)))

    def user(self) -> bytes:
        """PAM_USER: a module may have another name for the user than was given. Empty where it has none."""
        found = ctypes.c_char_p()
        self._do("pam_get_item", LIBPAM.pam_get_item(self._handle, pam.PAM_USER, ctypes.byref(found)))
        return found.value or b""

    def _do(self, function: str, code: int) -> None:
        """What the dialogue could not say comes first: libpam knows of it only as PAM_CONV_ERR, if at all."""
        self.code = code
        failure, self.dialogue.failure = self.dialogue.failure, None
        if failure is not None:
            raise failure
        if code != pam.PAM_SUCCESS:
            raise _error(function, code, self._handle)


@contextlib.contextmanager
def transaction(service: str, username: bytes, dialogue: Dialogue) -> Iterator[Transaction]:
    """PamError where libpam cannot even read the service."""
    # Kept by this frame: libpam calls it until pam_end has returned.
    conversation = PamConv(conv_func(dialogue.converse), None)
    handle = PamHandle()
    code = LIBPAM.pam_start(service.encode(), username, ctypes.byref(conversation), ctypes.byref(handle))
    if code != pam.PAM_SUCCESS:
        raise _error("pam_start", code, handle)
    opened = Transaction(handle, dialogue)
    try:
        yield opened
    finally:
        LIBPAM.pam_end(handle, opened.code)


def _error(function: str, code: int, handle: PamHandle) -> PamError:
    return PamError(function, code, LIBPAM.pam_strerror(handle, code).decode(errors="replace"))
