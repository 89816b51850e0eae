"""Every example keeps the contract of its kind, and the first one is as short as it is said to be."""

from __future__ import annotations

import ast
import importlib.util
import json
import sqlite3
import textwrap
import threading
import tomllib
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ocserv_core.plugin import DisconnectReason, Traffic
from ocserv_core.testing.contract import AcctContract, AuthContract, ConfigContract
from ocserv_core.testing.dialogue import Stage, a_session

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(distribution: str) -> Any:
    """Its module."""
    name = distribution.replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / distribution / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def from_the_page(language: str) -> str:
    """The first piece of this language in docs/writing-a-backend.md."""
    page = (EXAMPLES.parent / "docs" / "writing-a-backend.md").read_text()
    return textwrap.dedent(page.partition(f"   ```{language}\n")[2].partition("   ```\n")[0])


def test_the_files_of_the_page_belong_together() -> None:
    project = tomllib.loads(from_the_page("toml"))["project"]
    assert project["entry-points"]["ocserv.auth"] == {"voucher": "ocserv_auth_voucher:VoucherAuth"}
    assert "class VoucherAuth:" in from_the_page("python")
    assert (project["name"], project["dependencies"]) == ("ocserv-auth-voucher", ["ocserv-core>=0.1,<1"])


def first_of_the_page() -> Any:
    words: dict[str, Any] = {}
    exec(from_the_page("python"), words)
    return words["VoucherAuth"]


class TestFirstOfThePage(AuthContract):
    factory = first_of_the_page()
    right, wrong = ("winter-2027",), ("spring-1999",)

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, str]:
        (tmp_path / "vouchers").write_text("summer-2026\nwinter-2027\n")
        return {"file": str(tmp_path / "vouchers")}


class TestVoucher(AuthContract):
    factory = example("ocserv-auth-voucher").VoucherAuth
    right, wrong = ("winter-2027",), ("spring-1999",)

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, str]:
        (tmp_path / "vouchers").write_text("summer-2026\nwinter-2027\n")
        return {"file": str(tmp_path / "vouchers")}

    def test_it_has_25_lines_at_most(self) -> None:
        source = (EXAMPLES / "ocserv-auth-voucher" / "ocserv_auth_voucher.py").read_text()
        assert len([line for line in source.splitlines() if line.strip()]) <= 25
        assert ast.get_docstring(ast.parse(source))


class Accounts(BaseHTTPRequestHandler):
    """The service of one's own: alice with her password, and one name that it cannot answer for."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["username"] == "nobody-knows":
            self.send_error(500)
        elif (asked["username"], asked["password"]) == ("alice", "swordfish"):
            self._answer(json.dumps({"groups": ["staff", "guests"]}).encode())
        else:
            self.send_error(403)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        pass


class TestWebhook(AuthContract):
    factory = example("ocserv-auth-webhook").WebhookAuth
    right, wrong = ("swordfish",), ("haddock",)

    @pytest.fixture
    def options(self) -> Iterator[Mapping[str, str]]:
        with HTTPServer(("127.0.0.1", 0), Accounts) as service:
            threading.Thread(target=service.serve_forever, daemon=True).start()
            yield {"url": f"http://127.0.0.1:{service.server_port}/login"}
            service.shutdown()

    def test_groups_come_from_the_service(self, stage: Stage) -> None:
        identity = stage.log_in("alice").answer("swordfish").identity
        assert (identity.group, identity.groups) == ("staff", ("staff", "guests"))

    def test_a_service_that_fails_is_no_denial(self, stage: Stage) -> None:
        assert "answers 500" in stage.log_in("nobody-knows").answer("any").unavailable

    def test_a_service_that_is_not_there_is_no_denial(self) -> None:
        with Stage(self.group, self.factory, {"url": "http://127.0.0.1:9/"}) as stage:
            assert "refused" in stage.log_in().answer("any").unavailable

    def test_it_speaks_in_the_clear_with_nobody(self) -> None:
        with pytest.raises(Exception, match="say url=https"):
            Stage(self.group, self.factory, {"url": "http://accounts.example/"})


class TestSqlite(AcctContract):
    factory = example("ocserv-acct-sqlite").SqliteAccounting

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, str]:
        return {"file": str(tmp_path / "accounts")}

    def test_it_writes_a_row_for_each_session(self, stage: Stage, options: Mapping[str, str]) -> None:
        session = a_session("zoe")
        stage.open(session)
        stage.report(session, Traffic(10, 20, 1, 2))
        stage.end(session, Traffic(30, 40, 3, 4), DisconnectReason.IDLE_TIMEOUT, at=1120.0)
        with sqlite3.connect(options["file"]) as database:
            (row,) = database.execute("SELECT username, started, rx_bytes, tx_bytes, ended, reason FROM sessions")
        assert row == ("zoe", 1001.0, 30, 40, 1120.0, "idle timeout")


class TestRoutes(ConfigContract):
    factory = example("ocserv-config-routes").GroupRoutes

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, str]:
        (tmp_path / "routes").write_text("staff 192.0.2.0/24 203.0.113.0/24\n\nguests 203.0.113.0/24\n")
        return {"file": str(tmp_path / "routes")}

    def test_each_group_has_its_own(self, stage: Stage) -> None:
        assert stage.configure(a_session(group="staff")).routes == ("192.0.2.0/24", "203.0.113.0/24")
        assert stage.configure(a_session(group="others")).routes == ()
