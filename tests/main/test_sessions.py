"""What a tunnel that is handed over leaves behind in main's tables."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ocserv_core.config.server import ServerOptions
from ocserv_core.config.session import SessionConfig
from ocserv_core.ipc.messages import AuthCookieReply, Message
from ocserv_core.main.records import WorkerRecord
from ocserv_core.main.sessions import Sessions, _Opened, _tunnel
from ocserv_core.main.utmp import Utmp
from ocserv_core.model import Identity, Lease, SessionId
from ocserv_core.system.tun import Tun
from tests.loop import on_loop

from .test_workers import CLIENT, House


class DeafSecmod:
    """Is told, and says nothing."""

    def tell(self, _message: Message) -> None:
        pass


class Observer:
    """Whoever counts tunnels."""

    def on_tunnel_up(self, worker: WorkerRecord) -> None:
        assert worker.tunnel is not None


class Stage(House):
    """A tunnel that is handed over to a worker; what that is told."""

    def hand_over(self, config: SessionConfig) -> AuthCookieReply:
        """All but the handing over has gone before."""
        parts: tuple[Any, ...] = (lambda: None, DeafSecmod(), None, None, Observer(), self.associations, None)
        sessions = Sessions(*parts)
        sessions.workers = self.workers
        sessions.utmp = Utmp(lambda: ServerOptions(use_utmp=False))
        record, worker = self.spawn(pid=100)
        device = Tun(os.memfd_create("tun"), "vpns0", 5)
        opened = _Opened(SessionId("s"), Identity("alice"), 0.0, Lease(), config)
        sessions._hand_over(record, _tunnel(opened, Lease(), device), device)
        device.close()
        received = worker.main.receive(1)
        assert isinstance(received.message, AuthCookieReply)
        os.close(received.fds[0])
        assert record.tunnel is not None
        assert record.tunnel.dtls_id == received.message.dtls_id
        return received.message


@pytest.mark.parametrize("no_udp", [False, True])
def test_a_worker_is_known_by_its_dtls_id_where_its_user_may_have_udp(
    monkeypatch: pytest.MonkeyPatch, *, no_udp: bool
) -> None:
    stage = Stage(monkeypatch)

    async def dialogue() -> None:
        reply = stage.hand_over(SessionConfig(no_udp=no_udp))
        (number,) = stage.workers.records
        assert len(reply.dtls_id) == 32
        assert stage.associations.owner(reply.dtls_id, "192.0.2.7", 0.0) == (None if no_udp else number)
        assert stage.associations.begin_search(CLIENT.ip, 0.0) == (() if no_udp else (number,))
        stage.workers.on_exited(1, 100, 0)
        stage.fakes.pop().close()

    on_loop(dialogue())
