"""A PKCS #11 token of a test's own: SoftHSM in a folder, found by SOFTHSM2_CONF."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PIN = "Zebra-8642"
TOKEN = "vpn token"

needs_softhsm = pytest.mark.skipif(shutil.which("softhsm2-util") is None, reason="needs softhsm2-util")


class Token:
    """One token in `folder`. environment: what lets a process find it."""

    def __init__(self, folder: Path) -> None:
        (folder / "tokens").mkdir()
        file = folder / "softhsm2.conf"
        file.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": str(file)}
        self._count = 0
        self._run("--init-token", "--free", "--label", TOKEN, "--so-pin", "12345678")

    def add(self, label: str, key_file: str) -> str:
        """Take a key (PKCS #8, PEM) into the token; its URL."""
        self._count += 1
        self._run("--import", key_file, "--token", TOKEN, "--label", label, "--id", f"{self._count:02}")
        return url_of(label)

    def _run(self, *words: str) -> None:
        argv = ["softhsm2-util", *words, "--pin", PIN]
        subprocess.run(argv, check=True, capture_output=True, timeout=30, env={**os.environ, **self.environment})


def url_of(label: str, token: str = TOKEN) -> str:
    """As p11tool writes it."""
    return f"pkcs11:token={token.replace(' ', '%20')};object={label};type=private"
