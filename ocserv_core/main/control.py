"""occtl's requests, answered. Only root may ask; one request a connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ..errors import OcservError, PeerLost, PeerViolation, SystemFailure
from ..ipc.control import (
    BanEntry,
    BanTable,
    Control,
    DisconnectId,
    DisconnectUser,
    Done,
    PluginTable,
    Reload,
    RunPlugin,
    SessionEntry,
    SessionEvent,
    SessionTable,
    ShowBans,
    ShowEvents,
    ShowId,
    ShowPlugins,
    ShowSessions,
    ShowStatus,
    ShowUser,
    ShowUsers,
    Stop,
    TerminateSession,
    Unban,
    UserState,
    UserTable,
    build_frame,
    parse_request,
    receive_frame,
)
from ..ipc.messages import Revoke, Terminate
from ..log import NOTICE
from ..model import DisconnectReason, short
from ..system.sockets import peer_credentials
from .admission import Admission
from .events import Listener
from .plugins import MainPlugins
from .records import WorkerRecord
from .secmod import Secmod
from .status import Status
from .workers import Workers

_log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 10.0


class Lifecycle(Protocol):
    """What occtl may order of the whole (server.py)."""

    async def reload(self) -> tuple[str, ...]:
        """Read the configuration again; what of it waits for the next start, a sentence each. OcservError where it
        cannot be used."""

    def stop(self) -> None:
        """Begin the end."""


class ControlServer:
    """The control socket's answers."""

    def __init__(
        self,
        secmod: Secmod,
        workers: Workers,
        status: Status,
        lifecycle: Lifecycle,
        plugins: MainPlugins,
        admission: Admission,
    ) -> None:
        self._secmod = secmod
        self._workers = workers
        self._status = status
        self._lifecycle = lifecycle
        self._plugins = plugins
        self._admission = admission
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Answer on this listening socket."""
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._may_ask(writer):
                async with asyncio.timeout(REQUEST_TIMEOUT):
                    request = parse_request(await receive_frame(reader))
                # Who asks for events listens before the answer is made: nothing may happen in between.
                with self._listen(request) as listener:
                    writer.write(build_frame(await _HANDLERS[type(request)](self, request)))
                    await writer.drain()
                    if listener is not None:
                        await _tell_events(listener, reader, writer)
        except (PeerLost, PeerViolation, TimeoutError, ConnectionError) as error:
            _log.warning("control socket: %s", error or "no request in time")
        finally:
            writer.close()

    def _listen(self, request: Control) -> contextlib.AbstractContextManager[Listener | None]:
        return self._status.events.listen() if isinstance(request, ShowEvents) else contextlib.nullcontext()

    def _may_ask(self, writer: asyncio.StreamWriter) -> bool:
        try:
            asker = peer_credentials(writer.get_extra_info("socket"))
        except SystemFailure as failure:
            _log.warning("control socket: %s", failure)
            return False
        if asker.uid != 0:
            _log.warning("control socket: uid %d (pid %d) may not ask", asker.uid, asker.pid)
            return False
        return True

    async def answer_show_status(self, _request: ShowStatus) -> Control:
        """The figures."""
        return self._status.report()

    async def answer_show_users(self, _request: ShowUsers) -> Control:
        """All connections."""
        return UserTable(tuple(self._status.users()))

    async def answer_show_events(self, _request: ShowEvents) -> Control:
        """The connections of now; the events follow."""
        return UserTable(tuple(user for user in self._status.users() if user.username))

    async def answer_show_user(self, request: ShowUser) -> Control:
        """A user's connections."""
        return UserTable(tuple(user for user in self._status.users() if user.username == request.username))

    async def answer_show_id(self, request: ShowId) -> Control:
        """One connection."""
        return UserTable(tuple(user for user in self._status.users() if user.id == request.id))

    async def answer_show_sessions(self, _request: ShowSessions) -> Control:
        """Every session that secmod keeps."""
        rows = await self._secmod.list_sessions()
        return SessionTable(
            tuple(
                SessionEntry(
                    sid=row.sid,
                    state=UserState.AUTHENTICATED,
                    created=row.created,
                    expires=row.expires,
                    username=row.username,
                    group=row.group,
                    vhost=row.vhost,
                    user_agent=row.user_agent,
                    remote_ip=row.remote_ip,
                    is_open=row.opened,
                    certificate_ok=row.certificate,
                    in_use=row.in_use > 0,
                )
                for row in rows
            )
        )

    async def answer_show_bans(self, request: ShowBans) -> Control:
        """Who is banned, or who has points."""
        found = self._admission.known() if request.points else self._admission.banned()
        return BanTable(tuple(BanEntry(entry.ip, entry.score, entry.until) for entry in found))

    async def answer_unban(self, request: Unban) -> Control:
        """Forgive an address."""
        try:
            return Done(self._admission.unban(request.ip))
        except ValueError as error:
            return Done(False, str(error))

    async def answer_show_plugins(self, _request: ShowPlugins) -> Control:
        """What is loaded, in main and in secmod."""
        return PluginTable((*self._plugins.reports(), *await self._secmod.list_plugins()))

    async def answer_run_plugin(self, request: RunPlugin) -> Control:
        """A command that a plugin of main has."""
        return Done(*self._plugins.run(request.words))

    async def answer_disconnect_user(self, request: DisconnectUser) -> Control:
        """End all connections of a user; `terminate` revokes the sessions without one, too."""
        found = [
            record for record in self._workers.records.values() if record.sid and record.username == request.username
        ]
        ended = await self._end(found, terminate=request.terminate)
        if request.terminate:
            ended = await self._revoke_user(request.username) or ended
        _log_end(f"user '{request.username}'", request, ended=ended)
        return Done(ended)

    async def answer_disconnect_id(self, request: DisconnectId) -> Control:
        """End one connection."""
        found = [record for record in self._workers.records.values() if record.pid == request.id and record.pid]
        ended = await self._end(found, terminate=request.terminate)
        _log_end(f"id {request.id}", request, ended=ended)
        return Done(ended)

    async def answer_terminate_session(self, request: TerminateSession) -> Control:
        """Its cookie is worth nothing from now on, and secmod ends the connection that uses it."""
        found = any(row.sid == request.sid for row in await self._secmod.list_sessions())
        if found:
            self._secmod.tell(Revoke(request.sid))
        outcome = "done" if found else "not found"
        _log.log(NOTICE, "occtl: terminate session %s: %s", short(request.sid), outcome)
        return Done(found)

    async def answer_reload(self, _request: Reload) -> Control:
        """Both outcomes are told: the running configuration stays in force when the new one is wrong."""
        try:
            postponed = await self._lifecycle.reload()
        except OcservError as error:
            return Done(False, str(error))
        return Done(True, "\n".join(postponed))

    async def answer_stop(self, _request: Stop) -> Control:
        """Begin the end, after the answer."""
        _log.log(NOTICE, "occtl: stop")
        asyncio.get_running_loop().call_soon(self._lifecycle.stop)
        return Done(True)

    async def _end(self, found: list[WorkerRecord], *, terminate: bool) -> bool:
        if terminate:
            for record in found:
                if record.sid:
                    self._secmod.tell(Revoke(record.sid))
        message = Terminate(DisconnectReason.SERVER, "Disconnected by the administrator")
        await asyncio.gather(*(self._workers.end(record, message) for record in found))
        return bool(found)

    async def _revoke_user(self, username: str) -> bool:
        rows = [row for row in await self._secmod.list_sessions() if row.username == username]
        for row in rows:
            self._secmod.tell(Revoke(row.sid))
        return bool(rows)


async def _tell_events(listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the asker goes (who says nothing more), or falls behind."""
    gone = asyncio.ensure_future(reader.read(1))
    try:
        while event := await _next_event(listener, gone):
            writer.write(build_frame(event))
            await writer.drain()
    finally:
        gone.cancel()


async def _next_event(listener: Listener, gone: asyncio.Future[bytes]) -> SessionEvent | None:
    coming = asyncio.ensure_future(listener.next())
    await asyncio.wait((gone, coming), return_when=asyncio.FIRST_COMPLETED)
    if coming.done():
        return coming.result()
    coming.cancel()
    return None


def _log_end(whom: str, request: DisconnectUser | DisconnectId, *, ended: bool) -> None:
    verb = "terminate" if request.terminate else "disconnect"
    _log.log(NOTICE, "occtl: %s %s: %s", verb, whom, "done" if ended else "not found")


_HANDLERS: Mapping[type[Control], Callable[[ControlServer, Any], Awaitable[Control]]] = {
    ShowBans: ControlServer.answer_show_bans,
    Unban: ControlServer.answer_unban,
    ShowStatus: ControlServer.answer_show_status,
    ShowUsers: ControlServer.answer_show_users,
    ShowUser: ControlServer.answer_show_user,
    ShowEvents: ControlServer.answer_show_events,
    ShowId: ControlServer.answer_show_id,
    ShowSessions: ControlServer.answer_show_sessions,
    ShowPlugins: ControlServer.answer_show_plugins,
    DisconnectUser: ControlServer.answer_disconnect_user,
    DisconnectId: ControlServer.answer_disconnect_id,
    TerminateSession: ControlServer.answer_terminate_session,
    Reload: ControlServer.answer_reload,
    RunPlugin: ControlServer.answer_run_plugin,
    Stop: ControlServer.answer_stop,
}
