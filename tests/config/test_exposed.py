"""The networks behind a client, from its user's file."""

from __future__ import annotations

import pytest

from ocserv_core.config.exposed import iroutes_in
from ocserv_core.errors import ConfigErrors


def test_its_iroutes_are_found_whatever_else_is_in_it() -> None:
    text = "mtu = nonsense\niroute = 192.0.2.0/255.255.255.0\n# iroute = 203.0.113.0/24\niroute = 2001:db8:7::/48\n"
    assert iroutes_in(text, "alice") == ("192.0.2.0/24", "2001:db8:7::/48")


def test_all_that_are_none_are_told_with_their_lines() -> None:
    with pytest.raises(ConfigErrors) as caught:
        iroutes_in("iroute = default\nroute = x\niroute = 192.0.2.1\n", "alice")
    assert [str(error).partition(": iroute")[0] for error in caught.value.errors] == ["alice:1", "alice:3"]


def test_what_stands_in_a_section_is_no_line_of_a_user() -> None:
    assert iroutes_in("[vhost:x]\niroute = 192.0.2.0/24\n", "alice") == ()
