"""What may change while the server runs."""

from __future__ import annotations

import contextlib

import pytest

from ocserv_core.config.build import read_config
from ocserv_core.config.declare import with_aliases
from ocserv_core.config.reload import reloaded, restart_only_changes
from ocserv_core.config.server import SERVER
from ocserv_core.config.tree import ServerConfig
from ocserv_core.config.vhost import VHOST
from ocserv_core.errors import ConfigErrors

from .options import OPTIONS, names
from .texts import MINIMAL, config

ALL = with_aliases({**SERVER, **VHOST})
OTHER_PORT = MINIMAL.replace("443", "4443")


def test_nothing_changed() -> None:
    assert restart_only_changes(config(), config()) == []


def test_what_a_reload_may_change_is_not_named() -> None:
    assert restart_only_changes(config(), config("dpd = 5\nmax-clients = 5\n")) == []


def test_what_needs_a_restart_is_named() -> None:
    assert restart_only_changes(config(), read_config(OTHER_PORT, "o.conf").config) == ["tcp-port"]


def test_the_control_socket_comes_and_goes_at_a_restart() -> None:
    assert restart_only_changes(config(), config("use-occtl = true\n")) == ["use-occtl"]


def test_what_needs_a_restart_is_named_with_its_vhost() -> None:
    old = config("[vhost:a]\n")
    new = config("[vhost:a]\nserver-cert = a.pem\nserver-key = a.key\n")
    assert restart_only_changes(old, new) == ["server-cert (vhost:a)", "server-key (vhost:a)"]


def test_a_back_end_that_moved_has_not_changed() -> None:
    assert restart_only_changes(config(), read_config("\n" + MINIMAL, "o.conf").config) == []


def test_a_back_end_with_another_file_has_changed() -> None:
    new = read_config(MINIMAL.replace("ocpasswd", "other"), "o.conf").config
    assert restart_only_changes(config(), new) == ["auth"]


def test_vhosts_come_and_go() -> None:
    assert restart_only_changes(config("[vhost:a]\n"), config("[vhost:b]\n")) == []


def test_a_reload_takes_new_values() -> None:
    assert reloaded(config(), config("dpd = 5\n")).default.options.dpd == 5


def test_a_reload_keeps_what_needs_a_restart() -> None:
    new = read_config(OTHER_PORT + "max-clients = 5\n", "o.conf").config
    server = reloaded(config(), new).server
    assert (server.tcp_port, server.max_clients) == (443, 5)


def test_a_reload_keeps_a_vhosts_keys() -> None:
    new = config("[vhost:a]\nserver-cert = a.pem\nserver-key = a.key\n")
    vhost = reloaded(config("[vhost:a]\n"), new).vhost("a")
    assert vhost.options.server_certs == ("cert.pem",)


def test_a_kept_value_keeps_its_place() -> None:
    new = read_config("\n\n" + MINIMAL, "o.conf").config
    assert reloaded(config(), new).default.origin("server-cert").line == 4


def test_a_reload_adds_and_removes_vhosts() -> None:
    names = [vhost.name for vhost in reloaded(config("[vhost:a]\n"), config("[vhost:b]\n")).vhosts]
    assert names == ["default", "b"]


def test_old_and_new_must_go_together() -> None:
    old = config("auth = certificate\ncert-user-oid = 2.5.4.3\n")
    with pytest.raises(ConfigErrors, match="certificate needs cert-user-oid"):
        reloaded(old, config())


# ---- every option --------------------------------------------------------------------------------------------------


def before_and_after(name: str) -> tuple[ServerConfig, ServerConfig]:
    """Two configurations that differ in this option alone: without it if that can be, and with the last
    value that makes a difference."""
    row = OPTIONS[name]
    set_beside = {name} | {line.partition(" = ")[0] for line in row.beside.splitlines()}
    base = [line for line in MINIMAL.splitlines() if line.partition(" = ")[0] not in set_beside]
    # What socket-file says is in state-dir too, where that is not set.
    rest = "\n".join([*base, "" if name == "state-dir" else "state-dir = /s", row.beside])
    readings = []
    for line in ("", *(f"{name} = {value}\n" for value in (*row.good, *row.read))):
        with contextlib.suppress(ConfigErrors):
            readings.append(read_config(rest + line, "o.conf").config)
    old = readings[0]
    return old, [new for new in readings if value_of(new, name) != value_of(old, name)][-1]


def value_of(of: ServerConfig, name: str) -> object:
    declared = ALL[name]
    return getattr(of.server if name in SERVER else of.default.options, declared.field)


@pytest.mark.parametrize("name", names("G", "V", "VU"))
def test_a_reload_takes_it(name: str) -> None:
    old, new = before_and_after(name)
    assert restart_only_changes(old, new) == []
    assert value_of(reloaded(old, new), name) == value_of(new, name) != value_of(old, name)


@pytest.mark.parametrize("name", names("G!", "V!"))
def test_a_reload_leaves_it_and_it_is_named(name: str) -> None:
    old, new = before_and_after(name)
    assert restart_only_changes(old, new) == [name]
    assert value_of(reloaded(old, new), name) == value_of(old, name) != value_of(new, name)
