"""Which workers' halves are found, and what is wrong with their installation."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint

import pytest

from ocserv_core.config.values import BackendSpec
from ocserv_core.errors import ConfigError
from ocserv_core.plugin.entries import GROUP, find_worker_entries


def install(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    """These are installed, and nothing else."""
    points = [EntryPoint(name, value, GROUP) for name, value in entries]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points if group == GROUP else [])


def test_those_of_the_configuration_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("certificate", "a:A"), ("other", "b:B"))
    assert find_worker_entries([BackendSpec("plain"), BackendSpec("certificate")]) == {"certificate": "a:A"}


def test_the_same_one_seen_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("certificate", "a:A"), ("certificate", "a:A"))
    assert find_worker_entries([BackendSpec("certificate")]) == {"certificate": "a:A"}


def test_two_of_one_name_are_an_error_at_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("certificate", "b:B"), ("certificate", "a:A"))
    with pytest.raises(ConfigError) as caught:
        find_worker_entries([BackendSpec("certificate", {}, "o.conf", 3)])
    said = "the worker's half of 'certificate' is installed more than once (a:A, b:B); uninstall all but one"
    assert str(caught.value) == f"o.conf:3: {said}"
