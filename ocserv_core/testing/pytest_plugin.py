"""The fixtures that an author of back ends has wherever ocserv-core is installed. pytest imports this in every run of
such an environment, so nothing is imported here before a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .dialogue import Stage
    from .server import TestServer


@pytest.fixture
def backend_stage() -> Iterator[Callable[[str, type, Mapping[str, str]], Stage]]:
    """`backend_stage("ocserv.auth", VoucherAuth, {"file": …})`: the back end, loaded as the server does; closed after
    the test."""
    from .dialogue import Stage

    stages: list[Stage] = []

    def make(group: str, factory: type, options: Mapping[str, str]) -> Stage:
        stages.append(Stage(group, factory, options))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def ocserv_server() -> Iterator[Callable[..., TestServer]]:
    """`ocserv_server(auth='"voucher[file=…]"')`: a server with these lines of ocserv.conf, on loopback, ended after the
    test; its `log_in(user, *answers)` is a real login. Skipped where the machine has no root or no TUN."""
    from .server import TestServer, why_not

    if reason := why_not():
        pytest.skip(reason)
    servers: list[TestServer] = []

    def start(**options: str) -> TestServer:
        servers.append(TestServer(options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
