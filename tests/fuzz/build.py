"""Builds the fuzzers, a program for each C file here: libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer.

Needs clang with its runtime libraries. Called by test_fuzz.py; a fuzzer that is newer than its sources stays.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from ocserv_core.bridge.native.build import SOURCES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NATIVE = ROOT / "ocserv_core" / "bridge" / "native"
BUILT = ROOT / "build" / "fuzz"
TARGETS = tuple(sorted(path.stem for path in HERE.glob("*.c")))

# callbacks.c calls Python; hello.c takes it in by itself.
LINKED = tuple(name for name in SOURCES if name != "callbacks")
SANITIZERS = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-DOC_FUZZ", "-Wall", "-Wextra", "-Werror", *SANITIZERS)


def compiler() -> str | None:
    """clang, also under the name that Debian gives its version."""
    names = (os.environ.get("CLANG", ""), "clang", *(f"clang-{version}" for version in range(21, 12, -1)))
    return next((found for name in names if name and (found := shutil.which(name))), None)


@functools.cache
def missing() -> str:
    """Why nothing can be built here; "" where it can."""
    clang = compiler()
    if clang is None:
        return "clang is not installed"
    probe = "int LLVMFuzzerTestOneInput(const char *d, long n){return d && n < 0;}"
    command = [clang, *SANITIZERS, "-x", "c", "-", "-o", os.devnull]
    result = subprocess.run(command, input=probe, capture_output=True, text=True, timeout=60)
    return "" if result.returncode == 0 else f"{clang} cannot build a fuzzer: {result.stderr.strip()[-200:]}"


def _is_new(program: Path, sources: list[Path]) -> bool:
    return program.exists() and program.stat().st_mtime > max(source.stat().st_mtime for source in sources)


def build(target: str) -> Path:
    """The program. CalledProcessError, with what clang said on stderr."""
    clang = compiler()
    assert clang is not None
    program = BUILT / target
    sources = [HERE / f"{target}.c", *(NATIVE / f"{name}.c" for name in LINKED)]
    if _is_new(program, [*sources, *HERE.glob("*.h"), *NATIVE.glob("*.h"), NATIVE / "callbacks.c", Path(__file__)]):
        return program
    BUILT.mkdir(parents=True, exist_ok=True)
    # Another worker of the tests may build the same.
    fresh = program.with_suffix(f".{os.getpid()}")
    includes = (f"-I{HERE}", f"-I{NATIVE}")
    libraries = ("-lgnutls", "-llz4", "-lm")
    subprocess.run(
        [clang, *FLAGS, *includes, *map(str, sources), *libraries, "-o", str(fresh)], check=True, timeout=300
    )
    fresh.replace(program)
    return program
