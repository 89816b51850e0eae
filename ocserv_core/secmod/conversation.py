"""Logins in progress. A back end runs as a task that is parked while the user is asked; this file owns rounds,
deadlines and the public handle (`webvpncontext`) by which a login goes on, also from another connection of the
same address. A worker gets one reply to one question: a login that ends between two questions ends in silence, and
its next question is answered with AuthLost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..errors import PeerViolation
from ..ipc.messages import AuthDenied, AuthGranted, AuthLost, AuthPrompt
from ..model import Identity
from ..plugin.backends import Denied, Login, Prompt, Unavailable
from .child import ChildFault
from .composition import Method, merge
from .parking import Parking, orphan_deadline

_log = logging.getLogger(__name__)

MAX_ROUNDS = 16
"""Questions per login: a password, a token and an expired password changed are five; RADIUS has as many challenges."""

MAX_CONVERSATIONS = 4096
"""Logins in progress over all clients; each is a parked task of a few kilobytes."""

_BUSY = "The server is busy, please try again later."

Reply = Callable[[AuthPrompt | AuthGranted | AuthDenied | AuthLost], None]
Grant = Callable[[Login, Method, Identity], Awaitable[AuthGranted]]
Failed = Callable[[Login], None]


@dataclass(slots=True)
class Conversation:
    """One login: its back end's task, and the worker that asked last (`asker`). `asked` is whether it still waits for
    its reply; `limit` ends the login at its deadline."""

    handle: str
    login: Login
    asker: Reply
    on_park: Callable[[Conversation], None]
    on_wrong: Failed
    deadline: float
    limit: asyncio.Timeout
    asked: bool = True
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
        if prompt.again:
            self.on_wrong(self.login)
        self.answer = asyncio.get_running_loop().create_future()
        self.on_park(self)
        self.say(AuthPrompt(self.handle, _sendable(prompt.text), self.counter, prompt.secret, prompt.token))
        return await self.answer

    def say(self, reply: AuthPrompt | AuthGranted | AuthDenied) -> None:
        """Reply to the worker that asked. Nothing is said to one that has its reply: it would take it for the answer
        to something else."""
        if self.asked:
            self.asked = False
            self.asker(reply)

    def go_on(self, answer: str, asker: Reply) -> None:
        """The user's answer to the question that it is parked with. PeerViolation where it is not parked."""
        if self.answer is None or self.answer.done():
            raise PeerViolation("an answer to a login that asks nothing")
        self.asker, self.asked = asker, True
        self.live_until(self.deadline)
        self.answer.set_result(answer)

    def live_until(self, when: float) -> None:
        """Loop time at which it ends if it has not ended by itself."""
        with contextlib.suppress(RuntimeError):  # it is ending already
            self.limit.reschedule(when)

    def end(self) -> None:
        """In silence."""
        if self.task is not None:
            self.task.cancel()


class Conversations:
    """All logins in progress, by handle. `failed` hears of each that was denied, `wrong` of each wrong answer (a
    password that is asked for again, a back end's denial): what points for a ban are for."""

    def __init__(
        self,
        new_handle: Callable[[], str],
        grant: Grant,
        failed: Failed,
        wrong: Failed,
        parking: Parking | None = None,
    ) -> None:
        self._new_handle = new_handle
        self._grant = grant
        self._failed = failed
        self._wrong = wrong
        self._by_handle: dict[str, Conversation] = {}
        self._parking = Parking() if parking is None else parking

    def __len__(self) -> int:
        return len(self._by_handle)

    def start(self, login: Login, method: Method, deadline: float, reply: Reply) -> Conversation | None:
        """Begin a login that must end within `deadline` seconds. None (and a denial) when there are too many."""
        if len(self._by_handle) >= MAX_CONVERSATIONS:
            _log.warning("login of '%s' refused: %d logins are in progress", login.username, len(self._by_handle))
            reply(AuthDenied(_BUSY))
            return None
        when = asyncio.get_running_loop().time() + deadline
        conversation = Conversation(
            self._new_handle(),
            login,
            reply,
            on_park=self._on_park,
            on_wrong=self._wrong,
            deadline=when,
            limit=asyncio.timeout_at(when),
        )
        self._by_handle[conversation.handle] = conversation
        conversation.task = asyncio.create_task(self._run(conversation, method))
        # Not in `_run`: a task that is cancelled before its first step runs none of its code.
        conversation.task.add_done_callback(lambda _task: self._forget(conversation.handle))
        return conversation

    def answer(self, handle: str, remote_ip: str, answer: str, reply: Reply) -> Conversation | None:
        """Go on with a parked login, from the address that began it. None: there is none (AuthLost is sent)."""
        conversation = self._by_handle.get(handle)
        if conversation is None or not conversation.parked or conversation.login.remote_ip != remote_ip:
            reply(AuthLost())
            return None
        self._parking.leave(handle)
        conversation.go_on(answer, reply)
        return conversation

    def abandon(self, conversation: Conversation, reply: Reply) -> None:
        """The worker that hears by `reply` is gone. A parked login may still go on from another connection, for a
        while; one that went on already is not its any more; else it ends."""
        if conversation.asker != reply:
            return
        if conversation.parked:
            conversation.live_until(orphan_deadline(conversation.deadline, asyncio.get_running_loop().time()))
        else:
            login = conversation.login
            said = "login of '%s' from %s ended: its client did not wait for the back end"
            _log.info(said, login.username, login.remote_ip)
            conversation.end()

    def give_up(self, conversation: Conversation, reply: Reply) -> None:
        """The worker that hears by `reply` begins another login: this one ends, parked or not."""
        if conversation.asker == reply:
            conversation.end()

    def cancel_all(self) -> None:
        """At the end of the process."""
        for conversation in list(self._by_handle.values()):
            conversation.end()

    def _on_park(self, conversation: Conversation) -> None:
        fallen = self._by_handle.get(self._parking.park(conversation.handle, conversation.login.remote_ip) or "")
        if fallen is not None:
            ip = fallen.login.remote_ip
            _log.info("the login of '%s' is dropped: too many of %s wait", fallen.login.username, ip)
            fallen.end()

    def _forget(self, handle: str) -> None:
        self._parking.leave(handle)
        self._by_handle.pop(handle, None)

    async def _run(self, conversation: Conversation, method: Method) -> None:
        login = conversation.login
        try:
            async with conversation.limit:
                identity = await self._authenticate(conversation, method)
            conversation.say(await self._grant(login, method, identity))
        except Denied as denial:
            _log.info("login of '%s' from %s failed: %s", login.username, login.remote_ip, _flat(denial))
            self._failed(login)
            conversation.say(AuthDenied(_sendable(str(denial)), denial.token))
        except Unavailable:
            # Nobody's failed attempt: no points for a ban.
            conversation.say(AuthDenied(_BUSY))
        except TimeoutError:
            _log.info("login of '%s' from %s was not finished in time", login.username, login.remote_ip)
            conversation.say(AuthDenied("The login took too long."))
        except Exception:  # noqa: BLE001 (the top of a task: its worker waits for a reply)
            _log.exception("the login of '%s' from %s failed by a fault of ours", login.username, login.remote_ip)
            conversation.say(AuthDenied("Login failed."))

    async def _authenticate(self, conversation: Conversation, method: Method) -> Identity:
        login = conversation.login
        identities = []
        for instance in method.instances:
            try:
                identities.append(await instance.authenticate(login, conversation.ask))
            except Denied:
                self._wrong(login)
                raise
            except Unavailable as silence:
                said = "login of '%s' from %s failed: the back end '%s' is not available: %s"
                _log.warning(said, login.username, login.remote_ip, instance.name, _flat(silence))
                raise
            except ChildFault as fault:
                # Where it happened stands in its own traceback, if it has one.
                said = "the back end '%s' failed in a login of '%s' from %s: %s"
                _log.error(said, instance.name, login.username, login.remote_ip, _flat(fault))
                raise Denied("Login failed.") from None
            except Exception:  # noqa: BLE001 (a plugin's fault is this login's, and nobody else's)
                _log.exception("the back end '%s' failed in a login of '%s'", instance.name, login.username)
                raise Denied("Login failed.") from None
        return merge(login, identities)


def _sendable(text: str) -> str:
    """A text of a back end's, in which half a character (what a library made of octets) can be sent to nobody."""
    return text.encode("utf-8", "replace").decode()


def _flat(denial: Exception) -> str:
    return " ".join(str(denial).split())
