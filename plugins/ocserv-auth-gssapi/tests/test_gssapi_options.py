"""What may stand in the brackets of gssapi."""

from __future__ import annotations

import pytest
from ocserv_auth_gssapi.auth import GssapiAuth
from ocserv_auth_gssapi.options import Settings, read_options

from ocserv_core.plugin import BackendContext, OptionError


def test_without_any_there_are_the_c_server_s_defaults() -> None:
    assert read_options({}) == Settings(
        keytab="", maps_to_local_user=True, freshness=0, requires_bindings=False, gid_min=0
    )


def test_each_may_be_said() -> None:
    options = {
        "keytab": "/etc/http.keytab",
        "require-local-user-map": "No",
        "tgt-freshness-time": "360",
        "require-channel-bindings": "yes",
        "gid-min": "1000",
    }
    assert read_options(options) == Settings("/etc/http.keytab", False, 360, True, 1000)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("keytabs", "x", "unknown option 'keytabs'; there are keytab=FILE, require-local-user-map=true or false, "),
        ("keytab", "", "keytab= names no file"),
        ("require-local-user-map", "maybe", "require-local-user-map=maybe: it is true or false"),
        ("tgt-freshness-time", "0", "tgt-freshness-time=0: it is a number from 1 to "),
        ("tgt-freshness-time", "5m", "tgt-freshness-time=5m: it is a number from 1 to "),
        ("gid-min", "-1", "gid-min=-1: it is a number from 0 to "),
        ("gid-min", "9" * 5000, "it is a number from 0 to "),
        ("gid-min", "٣", "it is a number from 0 to "),
    ],
)
def test_what_is_wrong_is_told(name: str, value: str, said: str) -> None:
    with pytest.raises(OptionError) as refusal:
        read_options({name: value})
    assert said in str(refusal.value)


def test_a_keytab_that_is_not_there_is_told() -> None:
    with pytest.raises(OptionError) as refusal:
        GssapiAuth({"keytab": "/nowhere/http.keytab"}, BackendContext("default", "gssapi"))
    assert "keytab=/nowhere/http.keytab cannot be used: " in str(refusal.value)
    assert "nonexistent or empty" in str(refusal.value)
