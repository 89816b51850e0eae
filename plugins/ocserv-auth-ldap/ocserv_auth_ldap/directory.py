"""The servers of a directory. They are asked in the order of the configuration; one that does not answer is asked last
for a while (dead time). Each keeps a few connections that are bound as who reads the directory."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .connection import Address, Connection, Deadline, Silent, Unwilling
from .options import Settings
from .results import ELSEWHERE, Result

_log = logging.getLogger(__name__)

T = TypeVar("T")

IDLE = 120.0
"""Seconds that a connection may wait for its next use; firewalls forget silent ones soon after."""


class Directory:
    """All servers. Used by many threads at once."""

    def __init__(
        self, settings: Settings, context: ssl.SSLContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._servers = [_Server(address, settings, context, clock) for address in settings.servers]
        self._dead_time = settings.dead_time
        self._clock = clock

    def ask(self, act: Callable[[Connection], T], deadline: Deadline) -> T:
        """`act` with a connection that is bound as who reads the directory. It may be called again with another one
        after Silent. Silent, Unwilling."""
        return self._fail_over(lambda server: server.ask(act, deadline), deadline)

    def bind(
        self, dn: str, password: str, act: Callable[[Connection], T], deadline: Deadline
    ) -> tuple[Result, T | None]:
        """Log a user in, on a connection of his own; where that succeeds, `act` with it. Silent, Unwilling."""
        return self._fail_over(lambda server: server.bind(dn, password, act, deadline), deadline)

    def probe(self, deadline: Deadline) -> None:
        """Ask each server for a connection, so that the log tells early which do not answer."""
        for server in self._servers:
            try:
                server.ask(lambda _connection: None, deadline)
            except (Silent, Unwilling) as error:
                _log.warning(
                    "ldap: %s cannot be used: %s; until it can, its users cannot log in by it", server.address, error
                )
                self._leave_alone(server)

    def _fail_over(self, act: Callable[[_Server], T], deadline: Deadline) -> T:
        said: list[str] = []
        for server in sorted(self._servers, key=lambda server: max(server.dead_until, self._clock())):
            try:
                return act(server)
            except (Silent, Unwilling) as error:
                said.append(f"{server.address}: {error}")
                if deadline.over:
                    break
                self._leave_alone(server)
                if len(self._servers) > 1:
                    _log.warning("ldap: %s: %s; it is asked last for %g s", server.address, error, self._dead_time)
        raise Silent("; ".join(said))

    def _leave_alone(self, server: _Server) -> None:
        server.dead_until = self._clock() + self._dead_time
        server.drop_idle()


class _Server:
    def __init__(
        self, address: Address, settings: Settings, context: ssl.SSLContext, clock: Callable[[], float]
    ) -> None:
        self.address = address
        self.dead_until = 0.0
        self._settings = settings
        self._context = context
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Connection]] = []

    def ask(self, act: Callable[[Connection], T], deadline: Deadline) -> T:
        pooled = self._take()
        if pooled is not None:
            try:
                return self._with(pooled, act)
            except Silent as error:
                # It may have died while it waited, which says nothing of the server.
                _log.debug("ldap: %s: a connection has ended: %s", self.address, error)
        return self._with(self._open_bound(deadline), act)

    def bind(
        self, dn: str, password: str, act: Callable[[Connection], T], deadline: Deadline
    ) -> tuple[Result, T | None]:
        connection = self._open(deadline)
        try:
            result = connection.bind(dn, password, deadline)
            if result.ok:
                return result, act(connection)
            if not result.is_the_users:
                raise _refusal(result)
            return result, None
        finally:
            connection.close()

    def drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for _since, connection in idle:
            connection.close()

    def _with(self, connection: Connection, act: Callable[[Connection], T]) -> T:
        try:
            outcome = act(connection)
        except BaseException:
            # What is still on its way would be taken for the answer of another login.
            connection.close()
            raise
        self._give_back(connection)
        return outcome

    def _take(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, connection = self._idle.pop()
            if self._clock() - since < IDLE and not connection.is_stale:
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < self._settings.pool_size:
                self._idle.append((self._clock(), connection))
                return
        connection.close()

    def _open_bound(self, deadline: Deadline) -> Connection:
        connection = self._open(deadline)
        try:
            result = connection.bind(self._settings.bind_dn, self._settings.bind_password, deadline)
        except BaseException:
            connection.close()
            raise
        if not result.ok:
            connection.close()
            who = f"'{self._settings.bind_dn}'" if self._settings.bind_dn else "nobody (there is no bind-dn)"
            raise Unwilling(f"the bind as {who} failed: {result.explain()}")
        return connection

    def _open(self, deadline: Deadline) -> Connection:
        return Connection(self.address, self._context, self._settings.timeout, deadline)


def _refusal(result: Result) -> Silent | Unwilling:
    if result.code in ELSEWHERE:
        return Silent(result.explain())
    return Unwilling(f"a user's bind failed: {result.explain()}")
