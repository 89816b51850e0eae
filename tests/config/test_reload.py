"""What may change while the server runs."""

from __future__ import annotations

import pytest

from ocserv_core.config.build import read_config
from ocserv_core.config.reload import reloaded, restart_only_changes
from ocserv_core.errors import ConfigErrors

from .texts import MINIMAL, config

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
