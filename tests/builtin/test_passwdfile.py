"""The password file, fact by fact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.builtin.passwdfile import MAX_GROUPS, MAX_NAME, Entry, find, find_hash, groups_of, parse_passwd


def test_a_line_is_a_user_his_groups_and_his_hash() -> None:
    assert parse_passwd("alice:staff,admins:$5$s$h\n") == [Entry("alice", ("staff", "admins"), "$5$s$h")]


def test_the_last_line_needs_no_line_end() -> None:
    assert len(parse_passwd("alice:*:h\nbob:*:h")) == 2


def test_lines_may_end_as_on_windows() -> None:
    assert parse_passwd("alice:*:h\r\nbob:*:i\r\n") == [Entry("alice", (), "h"), Entry("bob", (), "i")]


@pytest.mark.parametrize("line", ["", "# a comment", "alice", "alice:*", ":staff:h"])
def test_a_line_that_names_no_user_with_a_hash_is_skipped(line: str) -> None:
    assert parse_passwd(f"{line}\nbob:*:h\n") == [Entry("bob", (), "h")]


def test_what_follows_the_hash_is_ignored() -> None:
    assert parse_passwd("alice:*:h:more:fields") == [Entry("alice", (), "h")]


@pytest.mark.parametrize("groups", ["*", "x", "", ",", "*,y"])
def test_one_character_is_no_group(groups: str) -> None:
    assert parse_passwd(f"alice:{groups}:h")[0].groups == ()


def test_blanks_around_groups_do_not_count() -> None:
    assert parse_passwd("alice: staff , admins :h")[0].groups == ("staff", "admins")


def test_a_user_has_so_many_groups_at_most() -> None:
    many = ",".join(f"g{number}" for number in range(MAX_GROUPS + 1))
    assert len(parse_passwd(f"alice:{many}:h")[0].groups) == MAX_GROUPS


def test_a_name_is_cut_as_the_c_server_cuts_it() -> None:
    assert parse_passwd(f"{'a' * 70}:*:h")[0].username == "a" * 63


def test_a_name_is_cut_in_bytes() -> None:
    assert parse_passwd(f"{'é' * 40}:*:h")[0].username == "é" * 31


def test_a_user_without_a_hash_is_there_without_a_password() -> None:
    assert parse_passwd("alice:*:")[0].stored == ""


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_a_line_end_ends_a_line(separator: str) -> None:
    assert [entry.username for entry in parse_passwd(f"alice:*:h{separator}eve:*:h")] == ["alice"]


def test_the_first_entry_of_a_name_is_meant() -> None:
    assert find("alice\nalice:*\nalice:*:first\nalice:*:second\n", "alice") == Entry("alice", (), "first")


@pytest.mark.parametrize("name", ["Alice", "alic", "alice ", ""])
def test_a_name_is_found_exactly(name: str) -> None:
    assert find("alice:*:h", name) is None


@pytest.mark.parametrize("name", ["b:*", "a:*:h\nb", "b\n", "\nb"])
def test_a_name_is_no_part_of_a_line(name: str) -> None:
    assert find("a:*:h\nb:*:h\n", name) is None


def test_a_long_name_is_found_as_it_is_cut() -> None:
    assert find(f"{'x' * 70}:*:h", "x" * MAX_NAME) == Entry("x" * MAX_NAME, (), "h")


LINES = st.lists(st.text("ab:$ \n\r\tx*!é", max_size=12)).map("\n".join)


@given(LINES, st.text("ab:$ \n\r\tx*!é", max_size=4))
def test_what_is_found_is_what_reading_everything_finds(text: str, name: str) -> None:
    assert find(text, name) == next((entry for entry in parse_passwd(text) if entry.username == name), None)


@given(LINES)
def test_the_hash_that_is_found_is_the_first_that_reading_everything_finds(text: str) -> None:
    hashes = (entry.stored for entry in parse_passwd(text))
    assert find_hash(text) == next((stored for stored in hashes if stored.startswith("$")), "")


def test_all_groups_come_once_in_the_order_of_the_file() -> None:
    assert groups_of(parse_passwd("a:gb,ga:h\nb:ga,gc:h")) == ("gb", "ga", "gc")


def test_a_hash_is_not_shown() -> None:
    assert "secret" not in repr(parse_passwd("alice:*:secret"))


@given(st.text(max_size=200))
def test_any_text_is_a_password_file(text: str) -> None:
    assert all(entry.username for entry in parse_passwd(text))
