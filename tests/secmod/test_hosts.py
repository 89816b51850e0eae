"""Back ends in children of a real host: what becomes of a login, and of everybody else's, when one misbehaves."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from ocserv_core.config.values import BackendSpec
from ocserv_core.model import ClientInfo, DisconnectReason, Identity, SessionId, Traffic
from ocserv_core.plugin import Ask, Denied, Limits, Prompt, Session, Unavailable
from ocserv_core.plugin.manager import Plugin, new_manager
from ocserv_core.secmod.child import ChildFault
from ocserv_core.secmod.hosts import HostProcess, end_hosts
from ocserv_core.secmod.instance import Instance
from ocserv_core.state.breaker import BreakerState
from tests.interop.environment import Environment
from tests.loop import on_loop

from .backends import login

SOURCE = """\
import logging, os, signal, subprocess, time
from ocserv_core.plugin import Denied, Identity, Prompt, Unavailable, hookimpl

class Backend:
    ocserv_api = (1, 0)
    ocserv_process = "child"
    ocserv_limits = None

    def __init__(self, options, context):
        self.vhost = context.vhost
        self.preloaded = 0
        if options.get("broken") and os.environ.get("OCSERV_TEST_HOST"):
            raise RuntimeError("not in a host")

    @hookimpl
    def ocserv_preload(self):
        self.preloaded = os.getpid()

    @hookimpl
    def ocserv_authenticate(self, login, ask):
        word = ask(Prompt("Password:"))
        if word == "right":
            return Identity(login.username)
        return getattr(self, word)(login, ask)

    def wrong(self, login, ask):
        raise Denied("Login failed.")

    def silent(self, login, ask):
        raise Unavailable("the server is silent")

    def timed_out(self, login, ask):
        raise TimeoutError("timed out")

    def bug(self, login, ask):
        raise RuntimeError("a bug")

    def crash(self, login, ask):
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self, login, ask):
        os._exit(3)

    def system_exit(self, login, ask):
        raise SystemExit

    def hang(self, login, ask):
        time.sleep(3600)

    def nothing(self, login, ask):
        return None

    def surrogate(self, login, ask):
        return Identity("j\\udcfcrgen")

    def huge(self, login, ask):
        return Identity("alice", groups=("x" * 60_000,))

    def many_groups(self, login, ask):
        return Identity("alice", groups=tuple(f"department-{n}" for n in range(500)))

    def flood(self, login, ask):
        for number in range(1000):
            logging.getLogger("ocserv_moody").warning("line %d", number)
        return Identity("alice")

    def two(self, login, ask):
        again = ask(Prompt("Token:", secret=False))
        return Identity(again)

    def facts(self, login, ask):
        os.chdir("/proc")
        return Identity(login.username, attributes={
            "pid": os.getpid(), "parent": os.getppid(), "preloaded": self.preloaded, "vhost": self.vhost,
            "core": open("/proc/self/limits").read().split("Max core file size")[1].split()[0],
            "descriptors": [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                            if os.path.exists(f"/proc/self/fd/{fd}")],
            "umask": os.umask(0),
        })

    def daemon(self, login, ask):
        # Twice forked and in a session of its own: nobody's child, and in nobody's group.
        shell = "setsid sh -c 'echo $$ > \\"$0\\"; exec sleep 3600' \\"$0\\" &"
        ask(Prompt("Where?"))  # the answer is of no interest
        os.mkfifo(login.group)
        subprocess.run(["sh", "-c", shell, login.group])
        with open(login.group) as fifo:
            return Identity(login.username, attributes={"pid": int(fifo.read())})

    @hookimpl
    def ocserv_session_open(self, session):
        if session.username == "mallory":
            raise Denied("not you")

    @hookimpl
    def ocserv_session_close(self, session, at, reason):
        raise Unavailable(f"{session.username} {reason.name} {at} {session.attributes}")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Where hosts find the back end."""
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.write("moody", SOURCE)
    return made


@pytest.fixture(autouse=True)
def of_environment(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", environment.server[0])


def instance(**limits: Any) -> Instance:
    """The back end, as secmod has it."""
    names: dict[str, Any] = {}
    exec(SOURCE, names)
    implementation = names["Backend"]({}, Context)
    implementation.ocserv_limits = Limits(**limits)
    manager = new_manager()
    manager.register(implementation)
    spec = BackendSpec("moody", {}, "o.conf", 1)
    return Instance(Plugin("ocserv.auth", "moody", spec, implementation, vhost="default"), manager)


class Context:
    vhost = "default"


class User:
    """Says these words, one after another, and then nothing more."""

    def __init__(self, *words: str) -> None:
        self._words = list(words)
        self.asked: list[Prompt] = []
        self.silent = asyncio.Event()

    async def ask(self, prompt: Prompt) -> str:
        self.asked.append(prompt)
        if not self._words:
            self.silent.set()
            await asyncio.Event().wait()
        return self._words.pop(0)


def saying(*words: str) -> Ask:
    return User(*words).ask


def session(username: str = "alice") -> Session:
    return Session(
        SessionId("s" * 28), "default", username, "", (), {"Class": ["00ff"]}, "moody", ClientInfo(), "192.0.2.7"
    )


async def settled(one: Instance) -> None:
    """Until no child of it is left."""
    while one.threads:  # noqa: ASYNC110 (it is nobody's event)
        await asyncio.sleep(0.005)


async def at_work(one: Instance, user: User) -> None:
    """Until it works on this user's answer."""
    while not user.asked or one.working == 0:  # noqa: ASYNC110 (it is nobody's event)
        await asyncio.sleep(0.005)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def child_of(pid: int) -> int:
    """The one that it has."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


async def gone(pid: int) -> None:
    """Until there is no such process."""
    while not is_gone(pid):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def dialogue(act: Any) -> None:
    """Run it, with hosts that end with it."""

    async def run() -> None:
        try:
            await act()
        finally:
            await end_hosts()
        assert not HostProcess.running

    on_loop(run())


# ---- one call -----------------------------------------------------------------------------------------------------


def test_a_login_in_a_child() -> None:
    async def act() -> None:
        one = instance()
        assert await one.authenticate(login(), saying("right")) == Identity("alice")
        await settled(one)
        assert (one.counters.granted, one.working, one.places.locked()) == (1, 0, False)

    dialogue(act)


def test_its_questions_are_the_user_s() -> None:
    async def act() -> None:
        user = User("two", "jürgen")
        assert await instance().authenticate(login(), user.ask) == Identity("jürgen")
        assert user.asked == [Prompt("Password:"), Prompt("Token:", secret=False)]

    dialogue(act)


def test_what_it_raises_is_heard() -> None:
    async def act() -> None:
        one = instance()
        with pytest.raises(Denied, match=r"^Login failed\.$"):
            await one.authenticate(login(), saying("wrong"))
        with pytest.raises(Unavailable, match="the server is silent"):
            await one.authenticate(login(), saying("silent"))
        with pytest.raises(Unavailable, match="timed out"):
            await one.authenticate(login(), saying("timed_out"))
        assert (one.counters.denied, one.counters.failed) == (1, 2)

    dialogue(act)


@pytest.mark.parametrize(
    ("word", "kind", "text"),
    [
        ("bug", "RuntimeError", "a bug"),
        ("system_exit", "SystemExit", "SystemExit"),
        ("nothing", "TypeError", "it returned a NoneType, which is no Identity"),
        ("surrogate", "UnicodeEncodeError", "surrogates not allowed"),
        ("huge", "ValueError", "its result has 60"),
        ("crash", "its process ended by SIGSEGV", "SIGSEGV"),
        ("leave", "its process ended with status 3", "status 3"),
    ],
)
def test_a_fault_of_it_is_its_login_s_alone(word: str, kind: str, text: str) -> None:
    async def act() -> None:
        one = instance(failures=1)
        parked = User()
        neighbour = asyncio.create_task(one.authenticate(login("bob"), parked.ask))
        await parked.silent.wait()
        with pytest.raises(ChildFault, match=text) as caught:
            await one.authenticate(login(), saying(word))
        assert (caught.value.kind, one.counters.last_error) == (kind, kind)
        assert (one.breaker, neighbour.done()) == (BreakerState.CLOSED, False)
        assert await one.authenticate(login(), saying("right")) == Identity("alice")
        neighbour.cancel()

    dialogue(act)


def test_an_identity_with_500_groups_crosses() -> None:
    async def act() -> None:
        identity = await instance().authenticate(login(), saying("many_groups"))
        assert (len(identity.groups), identity.groups[-1]) == (500, "department-499")

    dialogue(act)


def test_a_child_has_nothing_of_secmod_s() -> None:
    async def act() -> None:
        one = instance()
        facts = (await one.authenticate(login(), saying("facts"))).attributes
        assert facts["core"] == "0"
        assert facts["umask"] == 0o077
        assert facts["vhost"] == "default"
        assert facts["preloaded"] == facts["parent"] != os.getpid()
        assert isinstance(facts["descriptors"], list)
        assert len([name for name in facts["descriptors"] if name.startswith("socket:")]) == 1, "its channel"
        assert (await one.authenticate(login(), saying("facts"))).attributes["pid"] != facts["pid"]

    dialogue(act)


def test_what_it_logs_is_written_with_its_user_at_a_bounded_rate(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        await instance().authenticate(login(), saying("flood"))

    with caplog.at_level(logging.INFO):
        dialogue(act)
    lines = [record for record in caplog.records if record.getMessage().startswith("line ")]
    assert 100 <= len(lines) < 300
    assert {str(vars(record)["ocserv_speaker"]) for record in lines} == {"ocserv-moody[alice]: 192.0.2.7 "}


# ---- other hooks --------------------------------------------------------------------------------------------------


def test_hooks_without_a_question() -> None:
    async def act() -> None:
        one = instance()
        assert await one.call("ocserv_session_open", session=session()) is None
        with pytest.raises(Denied, match="not you"):
            await one.call("ocserv_session_open", session=session("mallory"))
        told = {"session": session(), "traffic": Traffic(1, 2), "reason": DisconnectReason.USER, "at": 1.5}
        with pytest.raises(Unavailable, match=r"alice USER 1\.5 \{'Class': \['00ff'\]\}"):
            await one.call("ocserv_session_close", **told)

    dialogue(act)


# ---- bounds -------------------------------------------------------------------------------------------------------


def test_one_that_hangs_is_killed_at_its_deadline() -> None:
    async def act() -> None:
        one = instance(deadline=1.0, failures=1)
        # The host is there before the clock runs.
        await one.authenticate(login(), saying("right"))
        with pytest.raises(Unavailable, match="no answer within 1 s"):
            await one.authenticate(login(), saying("hang"))
        await settled(one)
        assert (one.breaker, one.places.locked(), one.working) == (BreakerState.OPEN, False, 0)

    dialogue(act)


@pytest.mark.parametrize("words", [(), ("hang",)])
def test_a_login_that_is_cancelled_leaves_no_child(words: tuple[str, ...]) -> None:
    async def act() -> None:
        one = instance()
        user = User(*words)
        gone_soon = asyncio.create_task(one.authenticate(login(), user.ask))
        if words:
            await at_work(one, user)
        else:
            await user.silent.wait()
        gone_soon.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone_soon
        await settled(one)
        assert (one.working, one.places.locked()) == (0, False)

    dialogue(act)


def test_a_login_that_is_cancelled_before_its_child_runs() -> None:
    async def act() -> None:
        one = instance()
        early = asyncio.create_task(one.authenticate(login(), saying("right")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        early.cancel()
        with pytest.raises(asyncio.CancelledError):
            await early
        await settled(one)
        assert await one.authenticate(login(), saying("right")) == Identity("alice")

    dialogue(act)


def test_no_more_children_than_it_may_have() -> None:
    async def act() -> None:
        one = instance(threads=2)
        users = [User(), User()]
        parked = [asyncio.create_task(one.authenticate(login(), user.ask)) for user in users]
        for user in users:
            await user.silent.wait()
        with pytest.raises(Unavailable, match="2 calls are in progress"):
            await one.authenticate(login(), saying("right"))
        for task in parked:
            task.cancel()
        await settled(one)
        assert await one.authenticate(login(), saying("right")) == Identity("alice")

    dialogue(act)


# ---- ends ---------------------------------------------------------------------------------------------------------


def test_what_a_child_has_left_behind_ends_with_it(tmp_path: Path) -> None:
    async def act() -> None:
        identity = await instance().authenticate(login(group=str(tmp_path / "fifo")), saying("daemon", "there"))
        pid = identity.attributes["pid"]
        assert isinstance(pid, int)
        await gone(pid)

    dialogue(act)


def test_a_host_that_dies_fails_its_logins_and_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        one = instance()
        await one.authenticate(login(), saying("right"))
        (process,) = HostProcess.running
        user = User("hang")
        working = asyncio.create_task(one.authenticate(login(), user.ask))
        await at_work(one, user)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="its host ended by SIGKILL"):
            await working
        assert await one.authenticate(login(), saying("right")) == Identity("alice")
        (successor,) = HostProcess.running
        assert successor.pid != process.pid

    dialogue(act)
    assert "the host of the back end 'moody' has ended; it is started again when needed" in caplog.text


def test_a_login_that_waits_for_its_user_hears_of_its_child_s_end_with_the_answer() -> None:
    async def act() -> None:
        one = instance()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asked = asyncio.Event()

        async def ask(_prompt: Prompt) -> str:
            asked.set()
            return await answer

        parked = asyncio.create_task(one.authenticate(login(), ask))
        await asked.wait()
        (process,) = HostProcess.running
        os.kill(child_of(process.pid), signal.SIGKILL)
        await settled(one)
        answer.set_result("right")
        with pytest.raises(ChildFault, match="its process ended by SIGKILL"):
            await parked

    dialogue(act)


def test_a_host_that_cannot_load_its_back_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        one = instance()
        monkeypatch.setenv("OCSERV_TEST_HOST", "1")
        one.plugin.spec.options["broken"] = "yes"
        with pytest.raises(Unavailable, match=r"its host cannot load it: .* moody: cannot be set up: RuntimeError"):
            await one.authenticate(login(), saying("right"))
        assert one.threads == 0

    dialogue(act)
    assert "the back end 'moody' cannot be loaded by its host" in caplog.text


def test_a_configuration_that_is_replaced_takes_its_host_along_when_the_last_login_has_ended() -> None:
    async def act() -> None:
        one = instance()
        user = User()
        parked = asyncio.create_task(one.authenticate(login(), user.ask))
        await user.silent.wait()
        (process,) = HostProcess.running
        one.retire()
        assert not process.ending
        parked.cancel()
        await gone(process.pid)

    dialogue(act)


def test_one_login_more_after_that_has_a_host_for_itself() -> None:
    async def act() -> None:
        one = instance()
        one.retire()
        assert await one.authenticate(login(), saying("right")) == Identity("alice")
        (process,) = HostProcess.running
        await gone(process.pid)

    dialogue(act)
