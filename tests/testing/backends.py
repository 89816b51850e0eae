"""Back ends for the tests of the authors' kit: one that behaves, and those that break a promise each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from ocserv_core.plugin import (
    Ask,
    BackendContext,
    BlockingAsk,
    Denied,
    Identity,
    Login,
    OptionError,
    Prompt,
    Unavailable,
    hookimpl,
)

WORD, CODE = "swordfish", "123456"


class Good:
    """Asks for a word, then for a code."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        if options:
            raise OptionError(f"unknown option '{min(options)}'")

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        word = await ask(Prompt("Word:"))
        code = await ask(Prompt("Code:", secret=False))
        if (word, code) != (WORD, CODE):
            raise Denied("Login failed.")
        return Identity(login.username, "staff", ("staff",))


class GoodThread(Good):
    """The same, where it blocks."""

    @hookimpl
    def ocserv_authenticate(self, login: Login, ask: BlockingAsk) -> Identity:  # type: ignore[override]
        if (ask(Prompt("Word:")), ask(Prompt("Code:"))) != (WORD, CODE):
            raise Denied("Login failed.")
        return Identity(login.username)


class GoodChild(GoodThread):
    """The same, in a process of its own."""

    ocserv_process = "child"


class TakesAnyOption(Good):
    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        self.options = options


class Talks(Good):
    """Its log has the word."""

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        word = await ask(Prompt("Word:"))
        logging.getLogger("talks").debug("%s says %s", login.username, word)
        await ask(Prompt("Code:"))
        if word != WORD:
            raise Denied("Login failed.")
        return Identity(login.username)


class Remembers(Good):
    """Keeps the last word on itself."""

    last = ""

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        self.last = await ask(Prompt("Word:"))
        await asyncio.sleep(0)
        await ask(Prompt("Code:"))
        if self.last != WORD:
            raise Denied("Login failed.")
        return Identity(login.username)


class LetsEmptyIn(Good):
    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        if await ask(Prompt("Word:")) not in (WORD, ""):
            raise Denied("Login failed.")
        return Identity(login.username)


class StumblesOverNames(Good):
    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        await ask(Prompt("Word:"))
        raise KeyError(login.username)


class Silent(Good):
    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        raise Unavailable("nobody answers")
