"""Every option that ocserv.conf knows is declared, once, and its default has its type."""

from __future__ import annotations

import msgspec
import pytest

from ocserv_core.config.build import read_user_config
from ocserv_core.config.declare import Declared, with_aliases
from ocserv_core.config.old_words import OLD_WORDS
from ocserv_core.config.server import SERVER, ServerOptions
from ocserv_core.config.user import USER, UserOptions
from ocserv_core.config.values import BACKEND
from ocserv_core.config.vhost import VHOST, VhostOptions
from ocserv_core.errors import ConfigErrors

from .options import OPTIONS, names
from .texts import MINIMAL, errors, warnings

ALL = {**with_aliases(SERVER), **with_aliases(VHOST), **with_aliases(USER)}


def test_every_option_is_declared_and_no_other() -> None:
    assert sorted(OPTIONS) == sorted(ALL.keys() | OLD_WORDS.keys())


def test_what_is_the_servers() -> None:
    assert sorted(with_aliases(SERVER)) == sorted(names("G", "G!"))


def test_what_is_a_vhosts() -> None:
    assert sorted(with_aliases(VHOST)) == sorted(names("V", "V!", "VU"))


def test_no_option_is_both_the_servers_and_a_vhosts() -> None:
    assert not SERVER.keys() & (VHOST.keys() | USER.keys())


def test_what_a_users_file_may_say() -> None:
    assert sorted(with_aliases(USER)) == sorted(names("VU", "U"))


def test_what_a_users_file_may_say_is_declared_there() -> None:
    assert {name for name, option in VHOST.items() if option.per_user} == USER.keys() & VHOST.keys()


def test_what_needs_a_restart() -> None:
    assert sorted(name for name, option in ALL.items() if not option.option.reloadable) == sorted(names("G!", "V!"))


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_has_a_sentence_for_the_manual(name: str) -> None:
    assert ALL[name].option.doc.endswith(".")


@pytest.mark.parametrize("struct", [ServerOptions, VhostOptions, UserOptions])
def test_defaults_have_the_types_of_their_fields(struct: type[msgspec.Struct]) -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(struct)}
    assert msgspec.convert(defaults, struct) == struct()


@pytest.mark.parametrize("option", [o for o in ALL.values() if o.many], ids=lambda o: o.name)
def test_what_is_repeated_begins_empty(option: Declared) -> None:
    assert option.default == ()


def test_a_user_sets_nothing_by_default() -> None:
    assert all(option.default in (None, ()) for option in USER.values())


# ---- values --------------------------------------------------------------------------------------------------------

GOOD = [(name, value) for name in ALL for value in (*OPTIONS[name].good, *OPTIONS[name].read)]
BAD = [(name, value) for name in ALL for value in OPTIONS[name].bad]

ANY_TEXT = {"text", "file", "directory", "command", "name"}
"""What takes whatever a line can hold; what it names is looked at later."""


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_a_good_value_is_taken(name: str, value: str) -> None:
    ALL[name].option.syntax.parse(value.strip('"'))


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r".{20}"):
        ALL[name].option.syntax.parse(value)


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_has_good_values_and_bad_ones(name: str) -> None:
    option, row = ALL[name].option, OPTIONS[name]
    assert row.good or row.read
    assert row.bad or option.lenient or option.syntax.says in ANY_TEXT
    assert row.late or option.syntax is not BACKEND


# ---- where they may stand ------------------------------------------------------------------------------------------


def first_value(name: str) -> str:
    row = OPTIONS[name]
    return (*row.good, *row.read)[0]


@pytest.mark.parametrize("name", names("VU", "U"))
def test_a_users_file_takes_good_values_and_refuses_bad_ones(name: str) -> None:
    row = OPTIONS[name]
    for value in row.good:
        options = read_user_config(f"{name} = {value}\n", "alice").options
        assert getattr(options, ALL[name].field) not in (None, ())
    for value in row.bad:
        with pytest.raises(ConfigErrors, match=rf"^alice:2: {name}: "):
            read_user_config(f"# a comment\n{name} = {value}\n", "alice")


@pytest.mark.parametrize("name", names("G", "G!", "V", "V!"))
def test_a_users_file_does_not_know_what_is_of_others(name: str) -> None:
    (warning,) = read_user_config(f"{name} = {first_value(name)}\n", "alice").warnings
    assert warning.startswith(f"alice:1: the option '{name}' is unknown")


@pytest.mark.parametrize("name", names("U"))
def test_what_is_a_users_alone_is_passed_over_elsewhere(name: str) -> None:
    (warning,) = warnings(f"{name} = {first_value(name)}\n")
    assert warning == f"o.conf:8: '{name}' stands in the file of a user or group only; the line is ignored"


@pytest.mark.parametrize("name", names("G", "G!"))
def test_what_is_the_servers_has_no_place_in_a_section(name: str) -> None:
    text = f"[vhost:a]\n{name} = {first_value(name)}\n"
    if ALL[name].option.tolerated:
        assert warnings(text) == (f"o.conf:9: '{name}' has no effect inside a virtual host section",)
    else:
        (error,) = errors(MINIMAL + text)
        assert error.startswith(f"o.conf:9: '{name}' cannot be set inside a virtual host section")
