"""What stands in the brackets: `pam[service=NAME,gid-min=N]`."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Mapping

from ocserv_core.plugin import OptionError

_log = logging.getLogger(__name__)

DEFAULT_SERVICE = "ocserv"

FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d")
"""Where libpam looks for the file of a service."""

MAX_GID = 2**32 - 2


def check_names(options: Mapping[str, str], known: Collection[str]) -> None:
    """OptionError for an option that is not known."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise OptionError(f"there is no option {unknown[0]}; there are {', '.join(known)}")


def read_service(options: Mapping[str, str]) -> str:
    """The PAM service; OptionError where it cannot be the name of a file. One without a file is warned of: libpam then
    goes by the rules of `other`, which usually deny."""
    service = options.get("service", DEFAULT_SERVICE)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", service):
        raise OptionError(f"service={service}: say the name of a file of {FOLDERS[0]}, such as {DEFAULT_SERVICE}")
    # libpam makes lower case of it.
    if not any(os.path.exists(os.path.join(folder, service.lower())) for folder in FOLDERS):
        _log.warning("PAM has no service '%s' (%s/%s): it goes by 'other'", service, FOLDERS[0], service.lower())
    return service


def read_gid_min(options: Mapping[str, str]) -> int:
    """The lowest number of a group that may be chosen; OptionError where it is no number."""
    text = options.get("gid-min", "0")
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_GID):
        raise OptionError(f"gid-min={text}: say a number from 0 to {MAX_GID}, such as gid-min=1000")
    return int(text)
