"""Logins, by FreeRADIUS; what that cannot be made to do, by a server of the test's."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path

import pytest
from ocserv_acct_radius.auth import MAX_CHALLENGES, RadiusAuth
from radius_world import ACCEPT, CHALLENGE, User, answer, attribute, auth, client_file, freeradius, hostile, login
from radius_world import needs_freeradius as needs

from ocserv_core.plugin import Denied, Identity, Prompt, Unavailable
from tests.loop import on_loop
from tests.servers.freeradius import FreeRadius

PASSWORD = Prompt("Please enter your password.")
MANY = [f"g{number:03}" for number in range(500)]


def user(name: str, *replies: str) -> str:
    return f'{name} Cleartext-Password := "{name}s-password"\n' + (f"\t{', '.join(replies)}\n" if replies else "")


CLASSES = [f'Class += "OU={";".join(MANY[start : start + 40])}"' for start in range(0, 500, 40)]

USERS = "".join(
    (
        user("bob"),
        user("grouped", 'Class := "OU=staff;guests"', 'Class += "admins"', "Service-Type := Framed-User"),
        user("commas", 'Class := "OU=staff,guests"'),
        user("opaque", "Class := 0x00ff10"),
        user("many", *CLASSES),
        user("shell", "Service-Type := Login-User"),
        user("pooled", "Framed-IP-Address := 255.255.255.254", 'Framed-Route := "192.0.2.0/24 0.0.0.0 1"'),
        user("renamed", 'User-Name := "bob@example.com"'),
        user("jürgen"),
        'bob@example.com Cleartext-Password := "realms-password"\n',
    )
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreeRadius]:
    with freeradius(tmp_path_factory.mktemp("auth"), USERS) as running:
        yield running


def outcome(backend: RadiusAuth, name: str, user: User) -> Identity:
    found: list[Identity] = []

    async def dialogue() -> None:
        found.append(await backend.ocserv_authenticate(login(name), user.ask))

    on_loop(dialogue())
    return found[0]


def denied(backend: RadiusAuth, name: str, user: User) -> str:
    with pytest.raises(Denied) as refused:
        outcome(backend, name, user)
    return str(refused.value)


# ---- FreeRADIUS ---------------------------------------------------------------------------------------------------


@needs
def test_the_right_password(server: FreeRadius) -> None:
    user = User("bobs-password")
    assert outcome(auth(server.radiusclient()), "bob", user) == Identity("bob", attributes={"User-Name": "bob"})
    assert user.asked == [PASSWORD]


def test_the_server_hears_who_asks(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def listen(request: bytes) -> Sequence[bytes]:
        heard.append(request)
        return [answer(request, ACCEPT)]

    async def dialogue() -> None:
        async with hostile(listen) as listener:
            backend = auth(client_file(tmp_path, listener.port), nas_identifier="vpn.example")
            await backend.ocserv_authenticate(login(), User("x").ask)
            await backend.ocserv_authenticate(login(local_ip="192.0.2.1"), User("x").ask)

    on_loop(dialogue())
    assert attribute(4, bytes((192, 0, 2, 1))) in heard[1]
    for value in (b"bob", b"vpn.example", b"192.0.2.7", b"Tester 1.0", attribute(4, bytes((127, 0, 0, 1)))):
        assert value in heard[0]
    assert attribute(6, (8).to_bytes(4, "big")) + attribute(61, bytes(4)) in heard[0]


@needs
def test_a_wrong_password_is_asked_for_again_with_what_the_server_says(
    server: FreeRadius, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    user = User("wrong", "bobs-password")
    outcome(auth(server.radiusclient()), "bob", user)
    assert user.asked[1] == Prompt("Login failed.\nThis is not your password", again=True)
    assert "radius: 'bob' from 192.0.2.7 is rejected: This is not your password" in caplog.text
    assert "wrong" not in caplog.text


@needs
def test_three_wrong_passwords_are_the_end(server: FreeRadius) -> None:
    user = User("one", "two", "three", "bobs-password")
    assert denied(auth(server.radiusclient()), "bob", user) == "Login failed."
    assert len(user.asked) == 3


@needs
def test_a_challenge_is_the_next_question(server: FreeRadius) -> None:
    user = User("first", "123456")
    assert outcome(auth(server.radiusclient()), "otp-bob", user).username == "otp-bob"
    assert user.asked == [PASSWORD, Prompt("Enter your code")]


@needs
def test_a_wrong_answer_to_a_challenge_is_the_end(server: FreeRadius) -> None:
    user = User("first", "654321")
    assert denied(auth(server.radiusclient()), "otp-bob", user) == "Login failed."


@needs
def test_challenges_have_an_end(server: FreeRadius, caplog: pytest.LogCaptureFixture) -> None:
    user = User(*["more"] * 99)
    assert denied(auth(server.radiusclient()), "endless", user) == "Login failed."
    assert len(user.asked) == 1 + MAX_CHALLENGES
    assert "'endless': the server asked more than 16 questions" in caplog.text


@needs
def test_class_names_groups_and_is_kept_as_it_came(server: FreeRadius) -> None:
    found = outcome(auth(server.radiusclient()), "grouped", User("groupeds-password"))
    assert (found.group, found.groups) == ("staff", ("staff", "guests", "admins"))
    assert found.attributes["Class"] == [b"OU=staff;guests".hex(), b"admins".hex()]


@needs
def test_the_separator_is_an_option(server: FreeRadius) -> None:
    backend = auth(server.radiusclient(), group_separator="comma")
    assert outcome(backend, "commas", User("commass-password")).groups == ("staff", "guests")


@needs
def test_a_class_that_is_no_text_is_no_group_and_is_kept(server: FreeRadius) -> None:
    found = outcome(auth(server.radiusclient()), "opaque", User("opaques-password"))
    assert (found.groups, found.attributes["Class"]) == ((), ["00ff10"])


@needs
def test_five_hundred_groups(server: FreeRadius) -> None:
    assert outcome(auth(server.radiusclient()), "many", User("manys-password")).groups == tuple(MANY)


@needs
def test_who_is_accepted_for_another_service_is_refused(server: FreeRadius, caplog: pytest.LogCaptureFixture) -> None:
    assert denied(auth(server.radiusclient()), "shell", User("shells-password")) == "Login failed."
    assert "'shell' is accepted for the Service-Type 1, which is not Framed (2)" in caplog.text


@needs
def test_what_later_hooks_need_is_kept(server: FreeRadius) -> None:
    found = outcome(auth(server.radiusclient()), "pooled", User("pooleds-password"))
    assert found.attributes == {
        "User-Name": "pooled",
        "Framed-IP-Address": "255.255.255.254",
        "Framed-Route": ["192.0.2.0/24 0.0.0.0 1"],
    }


@needs
def test_the_server_may_want_another_name_in_the_accounts(server: FreeRadius) -> None:
    found = outcome(auth(server.radiusclient()), "renamed", User("renameds-password"))
    assert (found.username, found.attributes["User-Name"]) == ("renamed", "bob@example.com")


@needs
def test_a_name_in_utf_8(server: FreeRadius) -> None:
    assert outcome(auth(server.radiusclient()), "jürgen", User("jürgens-password")).username == "jürgen"


@needs
def test_a_realm_is_added_to_a_name_that_has_none(server: FreeRadius) -> None:
    backend = auth(server.radiusclient("realm.conf", default_realm="example.com"))
    found = outcome(backend, "bob", User("realms-password"))
    assert (found.username, found.attributes["User-Name"]) == ("bob", "bob@example.com")
    again = auth(server.radiusclient("realm.conf", default_realm="example.com"))
    outcome(again, "bob@example.com", User("realms-password"))


@needs
def test_a_wrong_secret_is_no_answer(server: FreeRadius, tmp_path: Path) -> None:
    file = client_file(tmp_path, server.auth_port, radius_retries=0)
    with pytest.raises(Unavailable, match="its secret right"):
        outcome(auth(file), "bob", User("bobs-password"))


@needs
def test_a_server_that_signs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with freeradius(tmp_path, user("bob"), signed=False) as unsigned:
        file = unsigned.radiusclient(radius_timeout=3, radius_retries=0)
        with pytest.raises(Unavailable):
            outcome(auth(file), "bob", User("bobs-password"))
        assert "dropped: no Message-Authenticator (CVE-2024-3596)" in caplog.text
        outcome(auth(file, require_message_authenticator="no"), "bob", User("bobs-password"))


@needs
def test_it_goes_on_when_the_server_is_back(tmp_path: Path) -> None:
    with freeradius(tmp_path, user("bob")) as server:
        backend = auth(server.radiusclient())

        async def dialogue() -> None:
            await backend.ocserv_authenticate(login(), User("bobs-password").ask)
            server.stop()
            with pytest.raises(Unavailable, match="Connection refused"):
                await backend.ocserv_authenticate(login(), User("bobs-password").ask)
            server.start()
            await backend.ocserv_authenticate(login(), User("bobs-password").ask)

        on_loop(dialogue())


# ---- what does not fit --------------------------------------------------------------------------------------------


def against(tmp_path: Path, act: object, dialogue: object) -> None:
    """A dialogue with a server of the test's."""

    async def run() -> None:
        async with hostile(act) as server:  # type: ignore[arg-type]
            spoken: Coroutine[object, object, None] = dialogue(auth(client_file(tmp_path, server.port)))  # type: ignore[operator]
            await spoken

    on_loop(run())


@pytest.mark.parametrize(("name", "password"), [("x" * 254, "x"), ("bob", "x" * 129), ("", "x")])
def test_what_fits_no_attribute_is_denied(tmp_path: Path, name: str, password: str) -> None:
    async def dialogue(backend: RadiusAuth) -> None:
        with pytest.raises(Denied, match=r"Login failed\."):
            await backend.ocserv_authenticate(login(name), User(password).ask)

    against(tmp_path, lambda request: [answer(request, ACCEPT)], dialogue)


def test_half_a_character_in_a_name_is_denied(tmp_path: Path) -> None:
    async def dialogue(backend: RadiusAuth) -> None:
        with pytest.raises(Denied):
            await backend.ocserv_authenticate(login("b\udcffb"), User("x").ask)

    against(tmp_path, lambda request: [answer(request, ACCEPT)], dialogue)


def test_a_challenge_may_ask_for_what_can_be_seen_and_say_nothing(tmp_path: Path) -> None:
    asked: list[Prompt] = []

    def act(request: bytes) -> Sequence[bytes]:
        state = attribute(24, b"0x00")
        if state in request:
            return [answer(request, ACCEPT)]
        return [answer(request, CHALLENGE, state + attribute(76, (1).to_bytes(4, "big")) + attribute(18, b"\xff"))]

    async def dialogue(backend: RadiusAuth) -> None:
        user = User("x", "y")
        await backend.ocserv_authenticate(login(), user.ask)
        asked.extend(user.asked)

    against(tmp_path, act, dialogue)
    assert asked == [PASSWORD, Prompt("Please enter your answer.", secret=False)]
