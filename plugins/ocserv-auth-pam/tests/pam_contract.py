"""The contract of back ends, kept by this one: run by test_pam_contract.py where /etc is a test's own. The answers come
as JSON on the variables RIGHT and WRONG."""

from __future__ import annotations

import json
import os

from ocserv_auth_pam.acct import PamAcct
from ocserv_auth_pam.auth import PamAuth

from ocserv_core.testing.contract import AcctContract, AuthContract


class TestAuth(AuthContract):
    """A password, then what else the service asks."""

    factory = PamAuth
    name = "pam"
    right = json.loads(os.environ["RIGHT"])
    wrong = json.loads(os.environ["WRONG"])


class TestAcct(AcctContract):
    """The account check."""

    factory = PamAcct
    name = "pam"
