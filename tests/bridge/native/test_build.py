"""Our C compiles without a warning, and every file of it is built and shipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ocserv_core.bridge.native import build

NATIVE = Path(build.__file__).parent


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("name", build.SOURCES)
def test_a_source_compiles_without_a_warning(name: str) -> None:
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-c", "-o", os.devnull]
    result = subprocess.run(["gcc", *flags, str(NATIVE / f"{name}.c")], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    assert result.returncode == 0


def test_every_source_is_built() -> None:
    assert {path.stem for path in NATIVE.glob("*.c")} == set(build.SOURCES)


def test_every_header_is_known() -> None:
    assert {path.stem for path in NATIVE.glob("*.h")} == {*build.HEADERS, "cdef"}
