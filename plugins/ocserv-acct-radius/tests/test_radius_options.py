"""The options in the brackets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocserv_acct_radius.acct import RadiusAcct
from ocserv_acct_radius.auth import RadiusAuth
from ocserv_acct_radius.config import RadiusConfig
from ocserv_acct_radius.options import CoaOptions, read_options
from radius_world import CONTEXT, client_file

from ocserv_core.plugin import OptionError


@pytest.fixture
def file(tmp_path: Path) -> str:
    return client_file(tmp_path, 1812, **{"nas-identifier": "of-the-file"})


def test_what_holds_when_nothing_is_said(file: str) -> None:
    settings = read_options({"config": file})
    assert (settings.separator, settings.require_message_authenticator, settings.coa) == (";", True, None)
    assert settings.nas_identifier == "of-the-file"


def test_the_brackets_go_before_the_file(tmp_path: Path) -> None:
    file = client_file(tmp_path, 1812, **{"nas-identifier": "of-the-file", "require-message-authenticator": "no"})
    assert not read_options({"config": file}).require_message_authenticator
    settings = read_options({"config": file, "nas-identifier": "mine", "require-message-authenticator": "yes"})
    assert (settings.nas_identifier, settings.require_message_authenticator) == ("mine", True)


def test_coa(file: str) -> None:
    options = {"config": file, "coa": "*:3799", "coa-client": "192.0.2.1; radius.example", "coa-window": "60"}
    clients = ("192.0.2.1", "radius.example")
    assert read_options(options).coa == CoaOptions("::", 3799, clients, 60, require_timestamp=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "config=FILE is missing"),
        ({"config": "F", "group-separator": "dot"}, "group-separator=dot: it is semicolon or comma"),
        ({"config": "F", "groupconfig": "maybe"}, "groupconfig=maybe: it is true or false"),
        ({"config": "F", "require-message-authenticator": "2"}, "it is yes or no"),
        ({"config": "F", "service": "x"}, "unknown option 'service'; there are config=FILE"),
        ({"config": "F", "coa": "3799"}, "write ADDRESS:PORT"),
        ({"config": "F", "coa": "192.0.2.1:70000"}, "write ADDRESS:PORT"),
        ({"config": "F", "coa-window": "60"}, "coa-window means nothing without coa=ADDRESS:PORT"),
        ({"config": "F", "coa": "::1:3799", "coa-window": "long"}, "it is a number of seconds"),
    ],
)
def test_a_wrong_option_is_told_what_would_be_right(file: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(OptionError) as refused:
        read_options({**options, **({"config": file} if "config" in options else {})})
    assert said in str(refused.value)


def test_without_servers_there_is_nothing_to_ask(tmp_path: Path) -> None:
    file = client_file(tmp_path, 1812, authserver="", acctserver="")
    with pytest.raises(OptionError, match="has no authserver"):
        RadiusAuth({"config": file}, CONTEXT)
    with pytest.raises(OptionError, match="has no acctserver"):
        RadiusAcct({"config": file}, CONTEXT)


def test_configuration_alone_needs_no_file() -> None:
    RadiusConfig({}, CONTEXT)
    with pytest.raises(OptionError, match="unknown option"):
        RadiusConfig({"file": "x"}, CONTEXT)
