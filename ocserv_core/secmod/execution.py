"""The three ways in which a hook of a back end runs: in a task of the event loop (`async def`), in a thread, or in a
child of a host (a plain `def`; the class says which). instance.py bounds them alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ..plugin.backends import Ask, Login, Prompt, Session
from ..plugin.calls import encode_arguments
from ..plugin.manager import Plugin
from .child import Child
from .hosts import Host
from .tasks import Attending
from .threads import Conversing

Arguments = Mapping[str, object]


class Execution(Protocol):
    """How a hook runs. `begin` returns what waits for its result: cancelled, it lets go of the call. `done` is
    called on the loop when nothing of it is left; RuntimeError, and no `done`, where it cannot begin."""

    def begin(
        self, hook: str, arguments: Arguments, ask: Ask | None, done: Callable[[], None]
    ) -> Awaitable[object]: ...

    def retire(self) -> None: ...

    async def end(self) -> None: ...


class InTask:
    """A task for each call: one that hangs in its clean-up holds up nobody. caller: by a hook's name."""

    def __init__(self, name: str, caller: Callable[[str], Callable[..., Any]]) -> None:
        self._name = name
        self._caller = caller

    def begin(self, hook: str, arguments: Arguments, ask: Ask | None, done: Callable[[], None]) -> Awaitable[object]:
        """Begins with the loop's next turn."""
        call = self._caller(hook)
        attending = Attending(lambda asking: call(**arguments, **({"ask": asking} if ask else {})), ask or _ask_nobody)
        attending.start(self._name, done)
        return attending.outcome()

    def retire(self) -> None:
        """Nothing of it stays."""

    async def end(self) -> None:
        """Nothing of it stays."""


class InThread:
    """A thread for each call: one that hangs holds up nobody, and cannot be ended. caller: by a hook's name."""

    def __init__(self, name: str, caller: Callable[[str], Callable[..., Any]]) -> None:
        self._name = name
        self._caller = caller

    def begin(self, hook: str, arguments: Arguments, ask: Ask | None, done: Callable[[], None]) -> Awaitable[object]:
        """RuntimeError where there is no thread to be had."""
        call = self._caller(hook)
        conversing = Conversing(
            lambda blocking: call(**arguments, **({"ask": blocking} if ask else {})), ask or _ask_nobody
        )
        conversing.start(self._name, done)
        return conversing.outcome()

    def retire(self) -> None:
        """Nothing of it stays."""

    async def end(self) -> None:
        """Nothing of it stays."""


class InChild:
    """A child for each call: it may hang and crash, and is killed."""

    def __init__(self, plugin: Plugin) -> None:
        self.host = Host(plugin)

    def begin(self, hook: str, arguments: Arguments, ask: Ask | None, done: Callable[[], None]) -> Awaitable[object]:
        """Begun by whoever awaits it."""
        return self._run(hook, arguments, ask, done)

    async def _run(self, hook: str, arguments: Arguments, ask: Ask | None, done: Callable[[], None]) -> object:
        try:
            encoded = encode_arguments(hook, arguments)
            child = await self.host.new_child(done)
        except BaseException:
            done()
            raise
        _name_speaker(child, arguments)
        return await child.call(hook, encoded, ask)

    def retire(self) -> None:
        """Its host ends with the last call."""
        self.host.retire()

    async def end(self) -> None:
        """Its host ends now, and with it every call."""
        await self.host.closed()


def _name_speaker(child: Child, arguments: Arguments) -> None:
    """Whose call it is, for the log."""
    for value in arguments.values():
        if isinstance(value, Login | Session):
            child.voice.speaker.user = value.username
            child.voice.speaker.client = value.remote_ip


async def _ask_nobody(_prompt: Prompt) -> str:
    raise TypeError("a hook without a login asks a question")
