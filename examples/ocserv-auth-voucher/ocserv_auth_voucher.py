"""`auth = "voucher[file=/etc/ocserv/vouchers]"`: whoever knows a voucher gets in. The file has one in each line."""

import hmac
from collections.abc import Mapping
from pathlib import Path

from ocserv_core import plugin


class VoucherAuth:
    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: plugin.BackendContext) -> None:
        if set(options) != {"file"}:
            raise plugin.OptionError("say file=FILE, which has a voucher in each line")
        self._file = Path(options["file"])

    @plugin.hookimpl
    def ocserv_authenticate(self, login: plugin.Login, ask: plugin.BlockingAsk) -> plugin.Identity:
        voucher = ask(plugin.Prompt("Please enter your voucher.")).encode()
        try:
            vouchers = self._file.read_bytes().split()
        except OSError as error:
            raise plugin.Unavailable(f"{self._file}: {error.strerror}") from error
        if not any(hmac.compare_digest(voucher, known) for known in vouchers):
            raise plugin.Denied("This voucher is not valid.")
        return plugin.Identity(login.username)
