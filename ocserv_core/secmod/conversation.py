"""Logins in progress. A back end runs as a task that is parked while the user is asked; this file owns rounds,
deadlines and the public handle (`webvpncontext`) by which a login goes on, also from another connection of the
same address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from ..ipc.messages import AuthDenied, AuthGranted, AuthLost, AuthPrompt
from ..model import Identity
from ..plugin.backends import Denied, Login, Prompt
from .composition import Composition, Method, merge

_log = logging.getLogger(__name__)

MAX_ROUNDS = 8
"""Questions per login; protocol.md's clients ask for no more."""

MAX_CONVERSATIONS = 4096
"""Logins in progress over all clients; each is a parked task of a few kilobytes."""

Reply = Callable[[AuthPrompt | AuthGranted | AuthDenied | AuthLost], None]
Grant = Callable[[Login, Method, Identity], Awaitable[AuthGranted]]
Failed = Callable[[Login], None]


@dataclass(slots=True)
class Conversation:
    """One login: its back end's task, and whoever waits for its next reply."""

    handle: str
    login: Login
    reply: Reply
    task: asyncio.Task[None] | None = None
    answer: asyncio.Future[str] | None = None
    rounds: int = 0
    counter: int = 0

    @property
    def parked(self) -> bool:
        """Whether the back end waits for the user."""
        return self.answer is not None and not self.answer.done()

    async def ask(self, prompt: Prompt) -> str:
        """What a back end calls: shows the prompt and waits for the answer."""
        self.rounds += 1
        if self.rounds > MAX_ROUNDS:
            raise Denied("Too many questions.")
        if self.rounds > 1 and not prompt.again:
            self.counter += 1
        self.answer = asyncio.get_running_loop().create_future()
        self.reply(AuthPrompt(self.handle, prompt.text, self.counter, prompt.secret))
        return await self.answer


class Conversations:
    """All logins in progress, by handle."""

    def __init__(self, new_handle: Callable[[], str], grant: Grant, failed: Failed) -> None:
        self._new_handle = new_handle
        self._grant = grant
        self._failed = failed
        self._by_handle: dict[str, Conversation] = {}

    def __len__(self) -> int:
        return len(self._by_handle)

    def start(
        self, login: Login, composition: Composition, method: Method, deadline: float, reply: Reply
    ) -> Conversation | None:
        """Begin a login that must end within `deadline` seconds. None (and a denial) when there are too many."""
        if len(self._by_handle) >= MAX_CONVERSATIONS:
            _log.warning("login of '%s' refused: %d logins are in progress", login.username, len(self._by_handle))
            reply(AuthDenied("The server is busy, please try again later."))
            return None
        conversation = Conversation(self._new_handle(), login, reply)
        self._by_handle[conversation.handle] = conversation
        conversation.task = asyncio.create_task(self._run(conversation, composition, method, deadline))
        # Not in `_run`: a task that is cancelled before its first step runs none of its code.
        conversation.task.add_done_callback(lambda _task: self._by_handle.pop(conversation.handle, None))
        return conversation

    def answer(self, handle: str, remote_ip: str, answer: str, reply: Reply) -> Conversation | None:
        """Go on with a parked login, from the address that began it. None: there is none (AuthLost is sent)."""
        conversation = self._by_handle.get(handle)
        if conversation is None or not conversation.parked or conversation.login.remote_ip != remote_ip:
            reply(AuthLost())
            return None
        assert conversation.answer is not None
        conversation.reply = reply
        conversation.answer.set_result(answer)
        return conversation

    def abandon(self, conversation: Conversation, reply: Reply) -> None:
        """The worker that hears by `reply` is gone. A parked login may still go on from another connection, one
        that went on already is not its any more; else it ends."""
        if conversation.reply == reply and not conversation.parked and conversation.task is not None:
            conversation.task.cancel()

    def give_up(self, conversation: Conversation, reply: Reply) -> None:
        """The worker that hears by `reply` begins another login: this one ends, parked or not."""
        if conversation.reply == reply and conversation.task is not None:
            conversation.task.cancel()

    def cancel_all(self) -> None:
        """At the end of the process."""
        for conversation in list(self._by_handle.values()):
            if conversation.task is not None:
                conversation.task.cancel()

    async def _run(self, conversation: Conversation, composition: Composition, method: Method, deadline: float) -> None:
        login = conversation.login
        try:
            async with asyncio.timeout(deadline):
                identity = await self._authenticate(conversation, composition, method)
            conversation.reply(await self._grant(login, method, identity))
        except Denied as denial:
            _log.info("login of '%s' from %s failed: %s", login.username, login.remote_ip, _flat(denial))
            self._failed(login)
            conversation.reply(AuthDenied(str(denial)))
        except TimeoutError:
            _log.info("login of '%s' from %s was not finished in time", login.username, login.remote_ip)
            conversation.reply(AuthDenied("The login took too long."))

    async def _authenticate(self, conversation: Conversation, composition: Composition, method: Method) -> Identity:
        login = conversation.login
        identities = []
        for plugin in method.plugins:
            try:
                identities.append(_checked(await composition.authenticate(plugin, login, conversation.ask)))
            except (Denied, TimeoutError):
                raise
            except Exception:  # noqa: BLE001 (a plugin's fault is this login's, and nobody else's)
                _log.exception("the back end '%s' failed in a login of '%s'", plugin.name, login.username)
                raise Denied("Login failed.") from None
        return merge(login, identities)


def _checked(identity: object) -> Identity:
    """What a back end returned, of the types that a store and a channel can carry. TypeError, ValidationError."""
    if not isinstance(identity, Identity):
        raise TypeError(f"it returned {identity!r}, which is no Identity")
    return msgspec.convert(msgspec.to_builtins(identity), Identity)


def _flat(denial: Denied) -> str:
    return " ".join(str(denial).split())
