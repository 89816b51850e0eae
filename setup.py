"""Builds the one native extension; all else is declared in pyproject.toml (cffi_modules has no place there)."""

from setuptools import setup

setup(
    cffi_modules=["ocserv_core/bridge/native/build.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
