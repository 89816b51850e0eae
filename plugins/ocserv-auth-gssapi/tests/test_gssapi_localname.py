"""Which local user a principal is, by a krb5.conf of the test's."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocserv_auth_gssapi.localname import local_name

_CONF = """\
[libdefaults]
  default_realm = EXAMPLE.TEST
[realms]
  EXAMPLE.TEST = {
    auth_to_local_names = {
      carol = caroline
    }
    auth_to_local = RULE:[2:$1;$2](.*;admin)s/;admin//
    auth_to_local = DEFAULT
  }
"""


@pytest.fixture(autouse=True)
def _krb5_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "krb5.conf").write_text(_CONF)
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))


@pytest.mark.parametrize(
    ("principal", "name"),
    [
        ("alice@EXAMPLE.TEST", "alice"),
        ("carol@EXAMPLE.TEST", "caroline"),
        ("dave/admin@EXAMPLE.TEST", "dave"),
        ("alice@OTHER.TEST", None),
        ("HTTP/vpn.example@EXAMPLE.TEST", None),
        ("", None),
        ("a@b@c", None),
        ("alice\0@EXAMPLE.TEST", None),
        ("a" * 300 + "@EXAMPLE.TEST", None),
        ("\\", None),
    ],
)
def test_the_rules_decide(principal: str, name: str | None) -> None:
    assert local_name(principal) == name


def test_without_a_krb5_conf_that_can_be_read_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "krb5.conf").write_text("[libdefaults\n")
    with pytest.raises(OSError, match=r"see krb5\.conf"):
        local_name("alice@EXAMPLE.TEST")
