"""Logins by tickets of a real key server, round by round."""

from __future__ import annotations

import base64
import dataclasses
import logging
import random
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import gssapi
import pytest
from gssapi_world import World, made, needs_kdc, world
from ocserv_auth_gssapi.acceptor import KERBEROS, SPNEGO, Accepted, Acceptor, Rejected
from ocserv_auth_gssapi.auth import GssapiAuth
from ocserv_auth_gssapi.groups import groups_from, groups_of

from ocserv_core.testing.contract import AuthContract
from ocserv_core.testing.dialogue import Stage

pytestmark = needs_kdc

__all__ = ["made", "world"]

END_POINT = bytes(range(32))


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    with a_stage(world) as stage:
        yield stage


def a_stage(world: World, **options: str) -> Stage:
    brackets = {"keytab": world.keytab, **{name.replace("_", "-"): value for name, value in options.items()}}
    return Stage("ocserv.auth", GssapiAuth, brackets, "gssapi")


# ---- tokens -------------------------------------------------------------------------------------------------------


def test_a_ticket_says_who_it_is(world: World, stage: Stage) -> None:
    login = stage.log_in("")
    assert (login.prompts[0].text, login.prompts[0].token) == ("", "")
    login.answer(world.token())
    assert login.identity.username == "alice"
    assert base64.b64decode(login.identity.token).startswith(b"\xa1")


def test_the_same_token_a_second_time_is_refused(world: World, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    token = world.token()
    assert stage.log_in("").answer(token).identity
    again = stage.log_in("").answer(token)
    assert again.denied == "Login failed."
    assert "gssapi: a login from 192.0.2.7 is refused: " in caplog.text
    assert "Request is a replay" in caplog.text


def test_a_refusal_has_a_token_for_the_client(world: World, stage: Stage) -> None:
    token = world.token()
    stage.log_in("").answer(token)
    refusal = stage.log_in("").answer(token).outcome
    assert base64.b64decode(getattr(refusal, "token", "")).startswith(b"\xa1")


@pytest.mark.parametrize("answer", ["", "no base64!", "YWJj", "é", base64.b64encode(bytes(47 * 1024)).decode()])
def test_what_is_no_token_is_denied(stage: Stage, answer: str) -> None:
    assert stage.log_in("").answer(answer).denied == "Login failed."


def test_a_spoilt_token_is_denied_and_does_no_harm(world: World, stage: Stage) -> None:
    whole = base64.b64decode(world.token())
    chance = random.Random(7)
    for _ in range(300):
        token = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            token[chance.randrange(len(token))] = chance.randrange(256)
        login = stage.log_in("").answer(base64.b64encode(token[: chance.randint(1, len(token))]).decode())
        assert login.over or login.prompts[-1].token
        assert not login.over or login.fault is None
        login.cancel()
    assert stage.log_in("").answer(world.token()).identity


def test_only_kerberos_is_accepted_and_negotiated(world: World) -> None:
    found = gssapi.raw.inquire_cred(Acceptor(world.keytab)._credentials)
    assert set(found.mechs or ()) == {KERBEROS, SPNEGO}


def test_a_keytab_is_read_whole_whatever_other_threads_do(world: World) -> None:
    """Text given to the package's `acquire_cred_from` is freed while the library reads it: seen in one of 70 calls."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            [b"%d-%s" % (number, b"z" * (number % 100)) for number in range(300)]

    threads = [threading.Thread(target=churn) for _ in range(2)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(300):
            Acceptor(world.keytab)
    finally:
        stop.set()
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join()


# ---- the TLS connection -------------------------------------------------------------------------------------------


def test_a_token_may_be_bound_to_its_connection(world: World, stage: Stage) -> None:
    assert stage.log_in("", end_point=END_POINT).answer(world.token(END_POINT)).identity


def test_one_of_another_connection_is_refused(world: World, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert stage.log_in("", end_point=bytes(32)).answer(world.token(END_POINT)).denied
    assert "Incorrect channel bindings were supplied" in caplog.text


def test_it_need_not_be_bound_unless_that_is_required(world: World, stage: Stage) -> None:
    assert stage.log_in("", end_point=END_POINT).answer(world.token()).identity
    with a_stage(world, require_channel_bindings="true") as strict:
        assert strict.log_in("", end_point=END_POINT).answer(world.token()).denied
        assert strict.log_in("", end_point=END_POINT).answer(world.token(END_POINT)).identity


# ---- who it is here -----------------------------------------------------------------------------------------------

ALICE = Accepted("alice@EXAMPLE.TEST", authenticated=0, bound=False, anonymous=False, token=b"")


def name_of(backend: GssapiAuth, **changes: object) -> str:
    return backend._username(dataclasses.replace(ALICE, authenticated=int(time.time()), **changes))  # type: ignore[arg-type]


def backend(world: World, **options: str) -> GssapiAuth:
    found = a_stage(world, **options).instance.plugin.implementation
    assert isinstance(found, GssapiAuth)
    return found


def test_who_is_no_local_user_is_refused(world: World) -> None:
    with pytest.raises(Rejected, match=r"bob@OTHER\.TEST is no local user by the rules of krb5\.conf"):
        name_of(backend(world), principal="bob@OTHER.TEST")


def test_without_the_map_the_principal_is_the_user(world: World) -> None:
    found = backend(world, require_local_user_map="false")
    assert name_of(found, principal="bob/admin@OTHER.TEST") == "bob/admin@OTHER.TEST"


@pytest.mark.parametrize("local", ["true", "false"])
def test_who_hides_his_name_is_refused(world: World, local: str) -> None:
    found = backend(world, require_local_user_map=local)
    for changes in ({"anonymous": True}, {"principal": "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS"}):
        with pytest.raises(Rejected, match="its ticket is an anonymous one"):
            name_of(found, **changes)


@pytest.mark.parametrize("principal", ["a" * 250 + "@R.TEST", "a\u202eb@R.TEST", "a\nb@R.TEST"])
def test_a_name_that_nobody_should_have_is_refused(world: World, principal: str) -> None:
    with pytest.raises(Rejected, match="is too long or not printable"):
        name_of(backend(world, require_local_user_map="false"), principal=principal)


def test_a_ticket_grows_old(world: World) -> None:
    found = backend(world, tgt_freshness_time="60")
    assert name_of(found) == "alice"
    old = dataclasses.replace(ALICE, authenticated=int(time.time()) - 90)
    with pytest.raises(Rejected, match=r"was got 9\d s ago, and tgt-freshness-time is 60 s"):
        found._username(old)


# ---- groups -------------------------------------------------------------------------------------------------------


def test_groups_are_the_system_s() -> None:
    assert groups_of("root")[0] == "root"
    assert groups_of("nobody-of-this-name") == ()
    assert groups_of("a\0b") == ()
    assert "root" in groups_from(0)
    assert "root" not in groups_from(1)


def test_the_groups_to_choose_from_begin_at_gid_min(world: World) -> None:
    assert "root" in backend(world).ocserv_groups()
    assert "root" not in backend(world, gid_min="1").ocserv_groups()


# ---- the contract of back ends ------------------------------------------------------------------------------------


class TestContract(AuthContract):
    """One token serves all logins of a test here, so replays are allowed."""

    factory = GssapiAuth
    name = "gssapi"
    username = ""
    wrong = ("c3BuZWdv",)

    @pytest.fixture(autouse=True)
    def _token(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KRB5RCACHENAME", "none:")
        type(self).right = [world.token()]

    @pytest.fixture
    def options(self, world: World) -> Mapping[str, str]:
        return {"keytab": world.keytab}
