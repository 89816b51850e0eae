"""The words of a back end."""

from __future__ import annotations

import pytest

from ocserv_core.model import ClientInfo
from ocserv_core.plugin import Login, Prompt


def test_an_answer_is_hidden_unless_the_back_end_says_otherwise() -> None:
    assert Prompt("Password:").secret


@pytest.mark.parametrize(
    ("value", "field"), [(Prompt("?"), "text"), (Login("u", "", "v", "ip", ClientInfo()), "username")]
)
def test_a_back_end_cannot_change_what_it_was_told(value: object, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, field, "other")
