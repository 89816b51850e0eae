"""The lab of a test, closed after it in every case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..machine import no_lab
from .lab import Lab, remove_folders
from .network import remove_leftovers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/interop/" in str(item.path):
            item.add_marker(pytest.mark.needs_lab)


@pytest.fixture(scope="session", autouse=True)
def clean_machine() -> None:
    """What killed runs left behind is removed first."""
    if not no_lab():
        remove_leftovers()
        remove_folders()


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab without a server yet."""
    lab = Lab()
    try:
        yield lab
    finally:
        lab.close()
