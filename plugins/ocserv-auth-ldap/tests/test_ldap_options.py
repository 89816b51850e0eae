"""What may be configured, and the sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocserv_auth_ldap import LdapAuth
from ocserv_auth_ldap.connection import Address
from ocserv_auth_ldap.options import Settings, read_settings

from ocserv_core.plugin import BackendContext, OptionError

MINIMAL = ("uri = ldaps://ldap.example", "base = dc=example,dc=test")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ldap.conf"


def read(file: Path, *lines: str, mode: int = 0o600, **inline: str) -> Settings:
    """A file of these lines, and what stands in the brackets beside it."""
    file.write_text("\n".join(lines))
    file.chmod(mode)
    return read_settings({"config": str(file), **{name.replace("_", "-"): value for name, value in inline.items()}})


def complaint(file: Path, *lines: str, mode: int = 0o600, **inline: str) -> str:
    with pytest.raises(OptionError) as caught:
        read(file, *lines, mode=mode, **inline)
    return str(caught.value).replace(str(file), "FILE")


def test_a_server_and_a_base_are_enough(file: Path) -> None:
    settings = read(file, *MINIMAL)
    assert settings.servers == (Address("ldap.example", 636, "ldaps"),)
    assert (settings.filter, settings.username, settings.group_attribute) == ("(uid={user})", "uid", "memberof")
    assert settings.verify


def test_everything_may_stand_in_the_brackets() -> None:
    settings = read_settings({"uri": "ldap://127.0.0.1", "user-dn": "uid={user}", "username": "typed"})
    assert (settings.user_dn, settings.username) == ("uid={user}", "")


def test_the_brackets_replace_what_the_file_says(file: Path) -> None:
    settings = read(file, *MINIMAL, "timeout = 9", uri="ldaps://other", timeout="3")
    assert (settings.servers[0].host, settings.timeout) == ("other", 3)


def test_comments_blanks_and_case_do_not_count(file: Path) -> None:
    assert read(file, "# a comment", "", "  URI=ldaps://a  ", "base=dc=x", "\t# more").servers[0].host == "a"


@pytest.mark.parametrize(
    ("uri", "servers"),
    [
        ("ldap://a", [Address("a", 389, "starttls")]),
        ("ldap://a:1389/", [Address("a", 1389, "starttls")]),
        ("ldaps://[2001:db8::1]:6636", [Address("2001:db8::1", 6636, "ldaps")]),
        ("ldaps://a ldap://b", [Address("a", 636, "ldaps"), Address("b", 389, "starttls")]),
    ],
)
def test_servers_are_uris(file: Path, uri: str, servers: list[Address]) -> None:
    assert list(read(file, f"uri = {uri}", "base=dc=x").servers) == servers


def test_servers_may_stand_in_several_lines(file: Path) -> None:
    assert [server.host for server in read(file, "uri=ldaps://a", "uri=ldaps://b ldaps://c", "base=dc=x").servers] == [
        *("a", "b", "c")
    ]


def test_a_server_is_written_as_a_uri() -> None:
    assert str(Address("2001:db8::1", 636, "ldaps")) == "ldaps://[2001:db8::1]:636"


def test_the_password_may_have_a_file_of_its_own(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pass=word #1\nnot this\n")
    secret.chmod(0o600)
    settings = read(file, *MINIMAL, "bind-dn = cn=reader,dc=test", f"bind-password-file = {secret}", mode=0o644)
    assert settings.bind_password == "pass=word #1"


def test_no_repr_has_the_password(file: Path) -> None:
    assert "hidden" not in repr(read(file, *MINIMAL, "bind-dn=cn=reader", "bind-password=hidden"))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["base = dc=x"], "uri=ldaps://SERVER is missing"),
        (["uri=ldaps://a"], "base=DN is missing, below which the users are; or user-dn=TEMPLATE"),
        (["urn = ldaps://a"], "FILE:1: unknown option 'urn'; there are uri, "),
        (["", "only words"], "FILE:2: this is no line of the form name = value"),
        (["base = dc=x", "base = dc=y"], "FILE:2: base was said before (FILE:1)"),
        (["uri = http://a", "base = dc=x"], "FILE:1: uri: 'http://a' is not ldaps://SERVER or ldap://SERVER"),
        (["uri = ldap://a:99999", "base = dc=x"], "FILE:1: uri: 'ldap://a:99999' is not"),
        (["uri = ldap://a/dc=x", "base = dc=x"], "FILE:1: uri: 'ldap://a/dc=x' is not"),
        (["base = people"], "FILE:1: base: 'people' is no DN; write it like ou=people,dc=example,dc=com"),
        (["user-dn = uid={name},dc=x"], "FILE:1: user-dn: 'uid={name},dc=x' has something in braces"),
        (["user-dn = uid=x"], "FILE:1: user-dn: 'uid=x' must contain {user}"),
        (["user-dn = {user}"], "FILE:1: user-dn: 'x' is no DN"),
        ([*MINIMAL, "filter = uid={user}"], "FILE:3: filter: 'uid={user}' is not a filter; write it like (uid={user})"),
        ([*MINIMAL, "filter = (&(uid={user})"], "FILE:3: filter: '(&(uid={user})' is not a filter"),
        ([*MINIMAL, "timeout = 0"], "FILE:3: timeout: '0' is not a number from 1 to 20"),
        ([*MINIMAL, "tls-verify = maybe"], "FILE:3: tls-verify: 'maybe' is neither yes nor no"),
        ([*MINIMAL, "ca-file = /nowhere"], "FILE:3: ca-file: cannot read '/nowhere'"),
        ([*MINIMAL, "username = u i d"], "FILE:3: username: 'u i d' is not the name of an attribute"),
        ([*MINIMAL, "group-map = a b"], "FILE:3: group-map: 'a b' is not LDAP-GROUP -> GROUP"),
        ([*MINIMAL, "group-filter = (x={who})"], "FILE:3: group-filter: '(x={who})' has something in braces"),
        ([*MINIMAL, "group-base = x"], "FILE:3: group-base: 'x' is no DN"),
        ([*MINIMAL, "require-group ="], "FILE:3: require-group: a value is missing"),
        ([*MINIMAL, "bind-dn = cn=a"], "FILE:3: bind-password-file=FILE or bind-password is missing"),
        ([*MINIMAL, "bind-password = x"], "bind-dn=DN is missing: bind-dn and its password belong together"),
        ([*MINIMAL, "bind-dn = cn=a", "bind-password-file = /nowhere"], "FILE:4: cannot read /nowhere: No such file"),
        ([f"uri = {'ldaps://a ' * 17}", "base = dc=x"], "FILE:1: uri: 17 servers; 16 at most"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(file: Path, lines: list[str], says: str) -> None:
    assert complaint(file, *lines).startswith(says)


def test_a_dn_in_the_brackets_is_told_where_it_belongs() -> None:
    # What `ldap[base=dc=example,dc=test]` is read as.
    with pytest.raises(OptionError, match=r"^unknown option 'dc'; .* a value with a comma in it must stand"):
        read_settings({"base": "dc=example", "dc": "test"})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_password_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    said = complaint(file, *MINIMAL, "bind-dn=cn=a", "bind-password=hidden", mode=mode)
    assert said == "FILE:4: FILE has a password in it and others may read it; chmod 600 FILE"


def test_a_password_s_own_file_that_others_may_read_is_refused(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    secret.chmod(0o644)
    said = complaint(file, *MINIMAL, "bind-dn=cn=a", f"bind-password-file={secret}")
    assert said == f"FILE:4: {secret} has a password in it and others may read it; chmod 600 {secret}"


def test_a_line_that_is_none_is_not_repeated(file: Path) -> None:
    assert "hidden" not in complaint(file, *MINIMAL, "bind-password: hidden")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=f"^cannot read {tmp_path}/nothing: No such file or directory$"):
        read_settings({"config": f"{tmp_path}/nothing"})


def test_a_file_that_is_no_utf8_is_told(file: Path) -> None:
    file.write_bytes(b"base = ou=\xff")
    with pytest.raises(OptionError, match="is no UTF-8"):
        read_settings({"config": str(file)})


def test_a_ca_file_without_certificates_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    options = {"uri": "ldaps://a", "base": "dc=x", "ca-file": f"{tmp_path}/ca.pem"}
    with pytest.raises(OptionError, match=f"^ca-file: {tmp_path}/ca.pem has no certificates in PEM"):
        LdapAuth(options, BackendContext("default", "ldap"))
