"""What may stand in the brackets of `pam[…]`."""

from __future__ import annotations

import pytest
from ocserv_auth_pam import options as options_module
from ocserv_auth_pam.acct import PamAcct
from ocserv_auth_pam.auth import PamAuth

from ocserv_core.plugin import BackendContext, OptionError

CONTEXT = BackendContext("default", "pam")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gidmin": "1"}, "there is no option gidmin; there are service, gid-min"),
        ({"service": ""}, "service=: say the name of a file of /etc/pam.d, such as ocserv"),
        ({"service": "../shadow"}, r"service=\.\./shadow: say the name"),
        ({"service": "a/b"}, "service=a/b: say the name"),
        ({"gid-min": "users"}, "gid-min=users: say a number from 0 to 4294967294, such as gid-min=1000"),
        ({"gid-min": "-1"}, "gid-min=-1: say a number"),
        ({"gid-min": "4294967295"}, "gid-min=4294967295: say a number"),
        ({"gid-min": "²"}, "gid-min=²: say a number"),
    ],
)
def test_what_is_wrong_is_told(options: dict[str, str], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        PamAuth(options, CONTEXT)


def test_accounting_has_no_list_of_groups() -> None:
    with pytest.raises(OptionError, match="there is no option gid-min; there are service"):
        PamAcct({"gid-min": "1"}, CONTEXT)


def test_a_service_without_a_file_is_warned_of(caplog: pytest.LogCaptureFixture, tmp_path: object) -> None:
    PamAuth({"service": "Nowhere"}, CONTEXT)
    assert "PAM has no service 'Nowhere' (/etc/pam.d/nowhere): it goes by 'other'" in caplog.text


def test_one_with_a_file_is_not(
    caplog: pytest.LogCaptureFixture, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("pam.d")
    (folder / "vpn").write_text("")
    monkeypatch.setattr(options_module, "FOLDERS", (str(folder),))
    PamAuth({"service": "vpn"}, CONTEXT)
    assert caplog.text == ""
