"""Escaping (RFC 4514, RFC 4515) and the parts of DNs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import compile_filter, parse_filter
from ocserv_auth_ldap.names import (
    check_template,
    escape_dn,
    escape_filter,
    fill,
    first_value,
    fold_dn,
    is_dn,
    split_dn,
)

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("alice", "alice"),
        ("*", "\\2a"),
        ("a)(b", "a\\29\\28b"),
        ("\\", "\\5c"),
        ("\0", "\\00"),
        (" a ", "\\20a\\20"),
        ("ü", "\\c3\\bc"),
    ],
)
def test_a_value_in_a_filter_is_escaped(text: str, escaped: str) -> None:
    assert escape_filter(text) == escaped


@given(TEXT)
def test_whatever_is_put_into_a_filter_stays_one_value(text: str) -> None:
    """As ldap3 reads it, which is what goes to the server."""
    written = f"(uid={escape_filter(text)})"
    compiled = compile_filter(parse_filter(written, None, False, False, None, False).elements[0])
    assert bytes(compiled["equalityMatch"]["assertionValue"]) == text.encode()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a.b-c_d@e", "a.b-c_d@e"),
        ("Smith, John", "Smith\\2c\\20John"),
        ("a+b=c", "a\\2bb\\3dc"),
        ("#x", "\\23x"),
        (' "<>;\\\0', "\\20\\22\\3c\\3e\\3b\\5c\\00"),
    ],
)
def test_a_value_in_a_dn_is_escaped(text: str, escaped: str) -> None:
    assert escape_dn(text) == escaped


@given(TEXT)
def test_whatever_is_put_into_a_dn_stays_one_value(text: str) -> None:
    written = fill("uid={user},ou=people", {"user": text}, escape_dn)
    assert split_dn(written) == [(("uid", text),), (("ou", "people"),)]


def test_what_is_put_in_is_not_filled_itself() -> None:
    assert fill("{a}{b}", {"a": "{b}", "b": "x"}, str) == "{b}x"


@pytest.mark.parametrize(
    ("dn", "levels"),
    [
        ("cn=a", [(("cn", "a"),)]),
        ("CN = a b ,DC=x", [(("cn", "a b"),), (("dc", "x"),)]),
        ("cn=a+ou=b,dc=x", [(("cn", "a"), ("ou", "b")), (("dc", "x"),)]),
        ("cn=a\\,b\\2Cc,dc=x", [(("cn", "a,b,c"),), (("dc", "x"),)]),
        ("cn=\\ a\\ ,dc=x", [(("cn", " a "),), (("dc", "x"),)]),
        ("cn=\\c3\\bc", [(("cn", "ü"),)]),
        ("2.5.4.3=a", [(("2.5.4.3", "a"),)]),
        ("cn=", [(("cn", ""),)]),
    ],
)
def test_a_dn_has_levels(dn: str, levels: object) -> None:
    assert split_dn(dn) == levels


@pytest.mark.parametrize("text", ["", "alice", "=x", "cn=a,", "cn=a,b", 'cn="a"', "c n=a", "cn=a\\"])
def test_what_is_no_dn_is_refused(text: str) -> None:
    assert not is_dn(text)


@given(TEXT)
def test_any_text_is_a_dn_or_it_is_not(text: str) -> None:
    assert is_dn(text) in (True, False)
    assert isinstance(fold_dn(text), str)


@pytest.mark.parametrize("other", ["CN=Vpn,DC=Test", "cn = vpn , dc = test", "cn=\\76pn,dc=test", "cn=vpn;dc=test"])
def test_spellings_of_one_dn_are_the_same(other: str) -> None:
    assert fold_dn(other) == fold_dn("cn=vpn,dc=test")


@pytest.mark.parametrize("other", ["cn=vpn,dc=test2", "cn=vpn", "cn=vpn\\,dc\\=test", "cn=vpn+dc=test"])
def test_other_dns_are_others(other: str) -> None:
    assert fold_dn(other) != fold_dn("cn=vpn,dc=test")


def test_the_name_of_a_group_is_its_innermost_value() -> None:
    assert first_value("cn=odd\\2c name+ou=x,dc=test") == "odd, name"


@pytest.mark.parametrize("template", ["x", "{user", "{User}", "{user}{dn}", "{}", "}{user}"])
def test_a_template_has_what_is_known_in_its_braces(template: str) -> None:
    with pytest.raises(ValueError, match=r"\{user\}"):
        check_template(template, ("user",))
