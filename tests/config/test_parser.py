"""The lines of ocserv.conf as the C server's reader sees them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.config.parser import MAX_LINE, Token, Tokens, parse_tokens, sections_of


def tokens(text: str) -> list[Token]:
    parsed = parse_tokens(text, "o.conf")
    assert not parsed.errors
    return [item for item in parsed.items if isinstance(item, Token)]


def values(text: str) -> list[tuple[str, str]]:
    return [(token.name, token.value) for token in tokens(text)]


def errors(text: str) -> list[str]:
    return [str(error) for error in parse_tokens(text, "o.conf").errors]


def warnings(text: str) -> list[str]:
    return parse_tokens(text, "o.conf").warnings


def section_names(text: str) -> list[str | None]:
    return [token.section for token in tokens(text)]


def test_a_line_is_a_name_and_a_value() -> None:
    assert values("dpd = 90") == [("dpd", "90")]


def test_a_colon_separates_too() -> None:
    assert values("dpd : 90") == [("dpd", "90")]


def test_the_first_separator_counts() -> None:
    assert values("a = b:c=d\nx: y=z") == [("a", "b:c=d"), ("x", "y=z")]


def test_names_keep_their_case() -> None:
    assert values("DPD = 90") == [("DPD", "90")]


def test_a_line_without_separator_is_an_error() -> None:
    assert errors("dpd = 1\ndpd 90") == ["o.conf:2: 'dpd 90' is not an option; write name = value"]


def test_every_wrong_line_is_told() -> None:
    assert len(errors("one\ntwo\n[three")) == 3


def test_comments_begin_with_a_hash_or_a_semicolon() -> None:
    assert values("# a = b\n; c = d\n  # e = f\n\n") == []


def test_a_comment_may_follow_a_value() -> None:
    assert values("dpd = 90 # seconds") == [("dpd", "90")]


def test_a_comment_needs_a_blank_before_it() -> None:
    assert values("banner = a#b") == [("banner", "a#b")]


def test_a_hash_right_behind_the_separator_is_a_value() -> None:
    assert values("banner=#b") == [("banner", "#b")]


def test_a_semicolon_is_no_inline_comment() -> None:
    assert values("banner = a ; b") == [("banner", "a ; b")]


def test_a_comment_begins_within_quotes_too() -> None:
    assert values('banner = "a # b"') == [("banner", "a")]


def test_quoted_text_without_blanks_keeps_its_hash() -> None:
    assert values('banner = "a#b"') == [("banner", "a#b")]


def test_a_comment_before_the_separator_leaves_no_option() -> None:
    assert len(errors("dpd # = 90")) == 1


def test_quotes_and_blanks_are_stripped_in_any_mixture() -> None:
    assert values('banner = " "" hello "world" " ') == [("banner", 'hello "world')]


def test_single_quotes_are_ordinary() -> None:
    assert values("banner = 'a'") == [("banner", "'a'")]


def test_the_raw_value_keeps_its_quotes() -> None:
    assert tokens('h = "a: b" ')[0].raw == '"a: b"'


def test_a_blank_value_leaves_the_option_alone() -> None:
    assert values('a = \nb = ""\nc = " "') == []


def test_no_value_at_all_is_an_empty_one() -> None:
    assert values("a=") == [("a", "")]


def test_an_indented_line_is_a_further_value() -> None:
    assert values("auth = plain\n  dns = 192.0.2.1") == [("auth", "plain"), ("auth", "dns = 192.0.2.1")]


def test_an_indented_line_is_warned_of_with_both_lines() -> None:
    (warning,) = warnings("auth = plain\n\n\tdns = 192.0.2.1")
    assert warning.startswith("o.conf:3: an indented line is one more value of 'auth' in line 1")


def test_blank_lines_and_comments_do_not_end_a_continuation() -> None:
    assert values("a = 1\n\n# x\n 2") == [("a", "1"), ("a", "2")]


def test_an_indented_comment_is_still_a_comment() -> None:
    assert values("a = 1\n  # 2\n  ; 3") == [("a", "1")]


def test_a_continuation_may_end_in_a_comment() -> None:
    assert values("a = 1\n 2 # 3") == [("a", "1"), ("a", "2")]


def test_an_indented_section_is_a_further_value() -> None:
    assert values("a = 1\n [vhost:x]") == [("a", "1"), ("a", "[vhost:x]")]


def test_a_section_ends_a_continuation() -> None:
    assert values("a = 1\n[vhost:x]\n b = 2") == [("a", "1"), ("b", "2")]


def test_the_first_line_may_be_indented() -> None:
    assert values("  a = 1") == [("a", "1")]


def test_lines_belong_to_their_section() -> None:
    assert section_names("a = 1\n[vhost:x]\nb = 2\n[y]\nc = 3") == [None, "vhost:x", "y"]


def test_text_behind_a_section_is_ignored() -> None:
    assert section_names("[vhost:x] and more\na = 1") == ["vhost:x"]


def test_a_section_without_its_bracket_is_an_error() -> None:
    assert errors("[vhost:x") == ["o.conf:1: a section has no closing ]; write [vhost:NAME]"]


def test_a_long_section_is_cut_at_43_characters_of_its_name() -> None:
    assert section_names(f"[vhost:{'x' * 44}]\na = 1") == ["vhost:" + "x" * 43]


def test_a_cut_section_is_warned_of() -> None:
    assert len(warnings(f"[vhost:{'x' * 44}]")) == 1


def test_sections_are_walked_in_their_order() -> None:
    walked = [
        (section.name if section else None, [token.value for token in members])
        for section, members in sections_of(parse_tokens("a=1\n[x]\nb=2\n[y]\n[x]\nc=3", "o.conf"))
    ]
    assert walked == [(None, ["1"]), ("x", ["2"]), ("y", []), ("x", ["3"])]


def test_a_byte_order_mark_is_accepted() -> None:
    assert values("\ufeffa = 1") == [("a", "1")]


def test_carriage_returns_at_the_end_are_blanks() -> None:
    assert values("a = 1\r\nb = 2\r\n") == [("a", "1"), ("b", "2")]


def test_the_longest_line_is_read() -> None:
    assert values("a=" + "x" * (MAX_LINE - 2)) == [("a", "x" * (MAX_LINE - 2))]


def test_a_longer_line_is_an_error() -> None:
    assert errors("a=" + "x" * (MAX_LINE - 1)) == ["o.conf:1: the line is longer than 2046 bytes"]


def test_control_characters_are_an_error() -> None:
    assert errors("a = b\0c\nd = e\rf") == [
        "o.conf:1: the line contains a control character",
        "o.conf:2: the line contains a control character",
    ]


def test_bytes_that_are_no_text_are_an_error() -> None:
    text = b"a = \xff".decode(errors="surrogateescape")
    assert errors(text) == ["o.conf:1: the line is not UTF-8"]


def test_lines_are_counted_from_one() -> None:
    assert [token.line for token in tokens("\n# x\na = 1\n\nb = 2")] == [3, 5]


@given(st.text(alphabet=st.sampled_from(' \t\n\r"#;=:[]ab\u00e9\ufeff'), max_size=80))
def test_any_text_is_parsed(text: str) -> None:
    parsed = parse_tokens(text, "o.conf")
    assert isinstance(parsed, Tokens)


@given(st.text(alphabet=st.sampled_from(' \t\n"#;=:[]ab'), max_size=80))
def test_no_value_has_blanks_or_quotes_around_it(text: str) -> None:
    for item in parse_tokens(text, "o.conf").items:
        if isinstance(item, Token):
            assert item.value == item.value.strip(' \t"')
