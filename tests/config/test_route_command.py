"""Commands that route, and what is filled into them."""

from __future__ import annotations

import pytest

from ocserv_core.config.route_command import fill_route_command, parse_route_command

PLACES = "add %{R} %R %{RI} dev %{D} %D"


@pytest.mark.parametrize(
    ("route", "filled"),
    [
        (
            "192.0.2.0/24",
            "add 192.0.2.0/255.255.255.0 192.0.2.0/255.255.255.0 192.0.2.0/24 dev vpns3 vpns3",
        ),
        ("2001:db8::/32", "add 2001:db8::/32 2001:db8::/32 2001:db8::/32 dev vpns3 vpns3"),
    ],
)
def test_the_places_are_filled(route: str, filled: str) -> None:
    assert fill_route_command(parse_route_command(PLACES), route, "vpns3") == filled


@pytest.mark.parametrize("command", ["date +%s", "x %{Q}", "50%", "%{R", "%%R"])
def test_any_other_percent_sign_is_an_error(command: str) -> None:
    with pytest.raises(ValueError, match="stands for nothing"):
        parse_route_command(command)


def test_what_was_filled_in_is_not_looked_at_again() -> None:
    assert fill_route_command("%{D}", "192.0.2.0/24", "%{R}") == "%{R}"
