"""Back ends for the tests of logins: each reads like its dialogue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ocserv_core.config.values import BackendSpec
from ocserv_core.model import ClientInfo, Identity
from ocserv_core.plugin import Ask, Denied, Limits, Login, Prompt, hookimpl
from ocserv_core.plugin.manager import Plugin, new_manager
from ocserv_core.secmod.composition import Composition, Method, method_name
from ocserv_core.secmod.instance import Instance

Rounds = Callable[[Login, Ask], Awaitable[Identity]]


class Backend:
    """A back end of one function."""

    ocserv_limits: Limits | None = None

    def __init__(self, rounds: Rounds, groups: tuple[str, ...] = ()) -> None:
        self.rounds = rounds
        self.groups = groups

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        return await self.rounds(login, ask)

    @hookimpl
    def ocserv_groups(self) -> tuple[str, ...]:
        return self.groups


async def one_password(login: Login, ask: Ask) -> Identity:
    """Asks once; "right" is right."""
    if await ask(Prompt("Password:")) != "right":
        raise Denied("Login failed.")
    return Identity(login.username)


async def two_questions(login: Login, ask: Ask) -> Identity:
    """A password, again where it is wrong, then a token."""
    while await ask(Prompt("Password:")) != "right":
        while await ask(Prompt("Again:", again=True)) != "right":
            pass
        break
    await ask(Prompt("Token:", secret=False))
    return Identity(login.username)


async def for_ever(_login: Login, ask: Ask) -> Identity:
    """Asks and asks."""
    while True:
        await ask(Prompt("?"))


async def broken(_login: Login, _ask: Ask) -> Identity:
    """Has a bug."""
    raise RuntimeError("a bug")


def thinking(until: asyncio.Event) -> Rounds:
    """Asks, then computes until it is told to stop."""

    async def rounds(login: Login, ask: Ask) -> Identity:
        await ask(Prompt("Password:"))
        await until.wait()
        return Identity(login.username)

    return rounds


def compose(*methods: dict[str, Backend]) -> Composition:
    """Each method by the names of its back ends; the first is the primary one."""
    manager = new_manager()
    composed = []
    for method in methods:
        plugins = tuple(Plugin("ocserv.auth", name, BackendSpec(name), backend) for name, backend in method.items())
        for plugin in plugins:
            manager.register(plugin.implementation)
        instances = tuple(Instance(plugin, manager) for plugin in plugins)
        composed.append(Method(method_name(list(method)), instances))
    return Composition(tuple(composed))


def login(username: str = "alice", *, group: str = "", remote_ip: str = "192.0.2.7") -> Login:
    """Who wants in."""
    return Login(username, group, "default", remote_ip, ClientInfo())
