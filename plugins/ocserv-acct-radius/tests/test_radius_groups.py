"""Groups out of Class."""

from __future__ import annotations

import pytest
from ocserv_acct_radius.groups import groups_of


def test_ou_names_groups_between_semicolons() -> None:
    assert groups_of([b"OU=staff; guests;;"], ";", "bob") == ("staff", "guests")


def test_the_separator_may_be_a_comma() -> None:
    assert groups_of([b"OU=staff,a;b"], ",", "bob") == ("staff", "a;b")


def test_a_plain_class_is_a_group() -> None:
    assert groups_of([b"staff"], ";", "bob") == ("staff",)


def test_several_classes_add_up_and_a_group_counts_once() -> None:
    assert groups_of([b"OU=staff;guests", b"admins", b"staff"], ";", "bob") == ("staff", "guests", "admins")


@pytest.mark.parametrize("opaque", [b"\x00\x01\xfe\xff", b"\x1b[2J", b"", b"OU=", "größe\x07".encode()])
def test_a_class_that_is_the_servers_own_is_no_group(opaque: bytes) -> None:
    assert groups_of([opaque], ";", "bob") == ()


def test_a_name_that_no_client_could_choose_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert groups_of([b"OU=" + b"x" * 64 + b";staff"], ";", "bob") == ("staff",)
    assert "a group of 'bob' is left out" in caplog.text


def test_five_hundred_and_twelve_groups_are_the_most(caplog: pytest.LogCaptureFixture) -> None:
    groups = groups_of([f"OU=g{number}".encode() for number in range(600)], ";", "bob")
    assert (groups[0], groups[-1], len(groups)) == ("g0", "g511", 512)
    assert "'bob' has 600 groups" in caplog.text


@pytest.mark.parametrize("octets", [b"OU=staff\0", b" OU=staff ", b"staff\0"])
def test_what_servers_put_around_a_name_is_no_part_of_it(octets: bytes) -> None:
    assert groups_of([octets], ";", "bob") == ("staff",)
