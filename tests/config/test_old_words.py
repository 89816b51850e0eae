"""Deprecated and removed words still do what the C server makes of them."""

from __future__ import annotations

from .texts import MINIMAL, config, errors, warnings


def test_a_removed_word_may_be_an_error() -> None:
    (text,) = errors(MINIMAL + "listen-clear-file = /run/x\n")
    assert text.startswith("o.conf:8: 'listen-clear-file' is no longer known")


def test_a_removed_word_may_be_a_warning() -> None:
    assert warnings("session-control = true\n") == ("o.conf:8: 'session-control' has no effect any more; remove it",)


def test_use_seccomp_is_isolate_workers() -> None:
    assert config("use-seccomp = false\n").server.isolate_workers is False


def test_use_dbus_is_use_occtl() -> None:
    assert config("use-dbus = true\n").server.use_occtl is True


def test_use_dbus_turns_nothing_off() -> None:
    assert config("use-occtl = true\nuse-dbus = false\n").server.use_occtl is True


def test_min_reauth_time_is_ban_time() -> None:
    assert config("min-reauth-time = 7\n").server.ban_time == 7


def test_a_certificate_not_always_required_is_cisco_compatibility() -> None:
    assert config("always-require-cert = false\n").default.options.cisco_client_compat is True


def test_a_certificate_always_required_changes_nothing() -> None:
    assert config("always-require-cert = true\n").default.options.cisco_client_compat is False


def test_an_old_word_is_warned_of() -> None:
    assert "o.conf:8: 'use-seccomp' is now called isolate-workers" in warnings("use-seccomp = true\n")


def test_an_old_words_value_is_checked() -> None:
    assert errors(MINIMAL + "use-dbus = x\n") == ["o.conf:8: use-dbus: 'x' is neither true nor false"]
