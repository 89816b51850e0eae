"""Each error knows its consequence."""

from __future__ import annotations

import pytest

from ocserv_core import errors
from ocserv_core.errors import ClientError, ConfigError, ConfigErrors, HttpViolation, OcservError
from ocserv_core.model import DisconnectReason

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError("wrong"), "wrong"),
        (ConfigError("wrong", "o.conf"), "o.conf: wrong"),
        (ConfigError("wrong", "o.conf", 7), "o.conf:7: wrong"),
    ],
)
def test_an_error_of_a_configuration_names_its_place(error: ConfigError, text: str) -> None:
    assert str(error) == text


def test_several_errors_are_as_many_lines() -> None:
    both = ConfigErrors([ConfigError("a", "f", 1), ConfigError("b", "f", 2)])
    assert str(both) == "f:1: a\nf:2: b"
    assert isinstance(both, ConfigError)


def test_whatever_is_for_the_operator_ends_a_command_with_1() -> None:
    assert {kind.exit_code for kind in TREE if issubclass(kind, OcservError)} == {1}


def test_a_client_s_error_counts_as_an_error() -> None:
    assert ClientError("x").reason is DisconnectReason.ERROR


def test_a_violation_of_http_has_its_status() -> None:
    assert HttpViolation(431, "too long").status == 431


def test_the_tree_in_the_head_of_the_file_is_complete() -> None:
    assert [kind.__name__ for kind in TREE if kind.__name__ not in (errors.__doc__ or "")] == []
