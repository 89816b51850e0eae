"""The names of signature algorithms, which secmod shares by spelling only."""

from __future__ import annotations

import re

from ocserv_core.bridge.callbacks import ALGORITHMS

FORM = re.compile(r"(RSA-PKCS1-(SHA(1|256|384|512)|RAW)|RSA-PSS-SHA(256|384|512)|ECDSA-SHA(1|256|384|512)|ED25519)")


def test_every_name_has_the_agreed_form() -> None:
    assert all(FORM.fullmatch(name) for name in ALGORITHMS)


def test_there_are_thirteen() -> None:
    assert len(ALGORITHMS) == len(set(ALGORITHMS)) == 13
