"""For authors: a back end on a stage, as the server loads and bounds it, and a login with it round by round.

    stage = Stage("ocserv.auth", VoucherAuth, {"file": "vouchers"})
    login = stage.log_in("zoe")
    assert login.asks == "Please enter your voucher."
    login.answer("winter-2027")
    assert login.identity.username == "zoe"

Nothing runs between two lines of such a test: the stage's event loop turns only while a login waits for its back end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from ..config.build import read_user_options
from ..config.user import UserOptions
from ..config.values import BackendSpec
from ..model import CertificateFacts, ClientInfo, DisconnectReason, Identity, SessionId, Traffic
from ..plugin.backends import BackendContext, Denied, Login, Options, Prompt, Session, Unavailable
from ..plugin.manager import enter, new_manager, seal
from ..secmod.instance import Instance

PATIENCE = 10.0
"""Seconds for any stretch of work of a back end; a test fails after that."""

MAX_ROUNDS = 16

T = TypeVar("T")

NOBODYS_SID = SessionId("AAAAAAAAAAAAAAAAAAAAAAAAAAAA")


def a_session(username: str = "alice", **changes: Any) -> Session:
    """A session as accounting and configuration back ends get it."""
    words: dict[str, Any] = {
        "sid": NOBODYS_SID,
        "vhost": "default",
        "username": username,
        "group": "",
        "groups": (),
        "attributes": {},
        "method": "test",
        "client": ClientInfo(user_agent="Open AnyConnect VPN Agent v9.01"),
        "remote_ip": "192.0.2.7",
        "local_ip": "192.0.2.1",
        "created": 1000.0,
        "started": 1001.0,
    }
    return Session(**{**words, **changes})


@dataclass(slots=True)
class Deed:
    """What a back end did to a session: `text` of a disconnect, or `options` of an update."""

    sid: SessionId
    text: str = ""
    options: Options = field(default_factory=dict)


class Sessions:
    """`context.sessions` of a stage: the sessions that a test puts there, and what was done to them."""

    def __init__(self) -> None:
        self.up: list[Session] = []
        self.deeds: list[Deed] = []

    def find(self, vhost: str) -> list[Session]:
        """Those of a vhost."""
        return [session for session in self.up if session.vhost == vhost]

    def disconnect(self, sid: SessionId, text: str) -> None:
        """Noted."""
        self.deeds.append(Deed(sid, text))

    def update(self, sid: SessionId, options: Options) -> None:
        """Noted."""
        self.deeds.append(Deed(sid, options=options))


class Stage:
    """One back end, loaded as by a line of ocserv.conf. ConfigError where the server would not
    load it, with what an OptionError of its class says."""

    def __init__(
        self, group: str, factory: type, options: Mapping[str, str] | None = None, name: str = "tested"
    ) -> None:
        """group: of entry points, as `ocserv.auth`."""
        self.sessions = Sessions()
        self._runner = asyncio.Runner()
        self._closed = False
        manager = new_manager()
        spec = BackendSpec(name, dict(options or {}))
        plugin = enter(manager, group, spec, factory, BackendContext("default", name, self.sessions))
        seal(manager)
        self.instance = Instance(plugin, manager)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End every login, the process of a back end that has one, and the loop. Idempotent."""
        if not self._closed:
            self._closed = True
            self.run(self.instance.end())
            self._runner.close()

    # ---- authentication

    def log_in(
        self,
        username: str = "alice",
        group: str = "",
        *,
        remote_ip: str = "192.0.2.7",
        certificate: CertificateFacts | None = None,
        end_point: bytes = b"",
    ) -> Dialogue:
        """Begin a login; the back end has worked until its first question, or its end."""
        login = Login(username, group, "default", remote_ip, ClientInfo(), certificate, end_point=end_point)
        return Dialogue(self, login)

    # ---- accounting

    def open(self, session: Session) -> None:
        """Its first tunnel. Denied, Unavailable, and whatever the back end may raise."""
        self.run(self.instance.call("ocserv_session_open", session=session))

    def report(self, session: Session, traffic: Traffic, at: float = 1060.0) -> None:
        """Statistics on the way."""
        self.run(self.instance.call("ocserv_session_stats", session=session, traffic=traffic, at=at))

    def end(
        self,
        session: Session,
        traffic: Traffic,
        reason: DisconnectReason = DisconnectReason.USER,
        at: float = 1120.0,
    ) -> None:
        """Its end."""
        self.run(self.instance.call("ocserv_session_close", session=session, traffic=traffic, reason=reason, at=at))

    # ---- configuration

    def configure(self, session: Session) -> UserOptions:
        """What it says of a session, read as the server reads it. ConfigErrors."""
        said: Any = self.run(self.instance.call("ocserv_session_config", session=session))
        return read_user_options(said or {}, "the back end").options

    def settle(self) -> None:
        """Let the loop turn until no work is left: a child that was ended has to be reaped. TimeoutError."""

        async def idle() -> None:
            while self.instance.working:  # noqa: ASYNC110 (what ends is nobody's event)
                await asyncio.sleep(0.001)

        self.run(idle())

    def run(self, work: Awaitable[T]) -> T:
        """Let the loop turn until this is done. TimeoutError after PATIENCE seconds."""

        async def bounded() -> T:
            async with asyncio.timeout(PATIENCE):
                return await work

        return self._runner.run(bounded())


class Dialogue:
    """One login. `prompts` is what was asked so far. Its end is one of `identity`, `denied`, `unavailable`, `fault`."""

    def __init__(self, stage: Stage, login: Login) -> None:
        self.login = login
        self.prompts: list[Prompt] = []
        self._stage = stage
        self._answer: asyncio.Future[str] | None = None
        self._moved = asyncio.Event()
        stage.run(self._begin())

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    @property
    def asks(self) -> str:
        """The text of the question that it waits with."""
        assert not self.over, f"it asks nothing: it ended with {self.outcome!r}"
        return self.prompts[-1].text

    def answer(self, text: str) -> Dialogue:
        """The user's answer; the back end has worked until its next question, or its end."""
        assert not self.over, f"nobody asked: it ended with {self.outcome!r}"
        self._stage.run(self._go_on(text))
        return self

    def answer_all(self, answers: Sequence[str]) -> Dialogue:
        """One after another, as long as it asks; the last again and again, for MAX_ROUNDS rounds at most."""
        for number in range(MAX_ROUNDS):
            if self.over:
                break
            self.answer(answers[min(number, len(answers) - 1)])
        return self

    def cancel(self) -> None:
        """The client is gone."""
        self._stage.run(self._cancel())

    @property
    def outcome(self) -> Identity | BaseException:
        """What it ended with; CancelledError where it was cancelled."""
        assert self.over, f"it waits with {self.prompts[-1:]}"
        if self._task.cancelled():
            return asyncio.CancelledError()
        return self._task.exception() or self._task.result()

    @property
    def identity(self) -> Identity:
        """Whom it let in."""
        outcome = self.outcome
        assert isinstance(outcome, Identity), f"it let nobody in: {outcome!r}"
        return outcome

    @property
    def denied(self) -> str:
        """The text of its denial."""
        return self._said_by(Denied)

    @property
    def unavailable(self) -> str:
        """Why it cannot tell."""
        return self._said_by(Unavailable)

    @property
    def fault(self) -> BaseException | None:
        """What it raised that no back end should; None where it behaved."""
        outcome = self.outcome
        behaved = isinstance(outcome, Identity | Denied | Unavailable | asyncio.CancelledError)
        return None if behaved or not isinstance(outcome, BaseException) else outcome

    def _said_by(self, kind: type[Exception]) -> str:
        outcome = self.outcome
        assert isinstance(outcome, kind), f"it ended with {outcome!r}"
        return str(outcome)

    # ---- on the loop

    async def _begin(self) -> None:
        self._task = asyncio.create_task(self._stage.instance.authenticate(self.login, self._ask))
        self._task.add_done_callback(self._on_end)
        await self._moved.wait()

    def _on_end(self, task: asyncio.Task[Identity]) -> None:
        if not task.cancelled():
            task.exception()  # a test may not want to know
        self._moved.set()

    async def _ask(self, prompt: Prompt) -> str:
        self.prompts.append(prompt)
        self._answer = asyncio.get_running_loop().create_future()
        self._moved.set()
        return await self._answer

    async def _go_on(self, text: str) -> None:
        assert self._answer is not None
        self._moved.clear()
        self._answer.set_result(text)
        await self._moved.wait()

    async def _cancel(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
