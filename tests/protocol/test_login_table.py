"""The table of a login is whole, and its picture in docs/ is the table's."""

from __future__ import annotations

from pathlib import Path

from ocserv_core.protocol.login import Login
from ocserv_core.protocol.login_table import TRANSITIONS, Input, State, build_diagram

DIAGRAM = Path(__file__).parents[2] / "docs" / "login-states.md"


def test_every_handler_exists() -> None:
    missing = [t.handler for t in TRANSITIONS.values() if not callable(getattr(Login, f"_{t.handler}", None))]
    assert missing == []


def test_every_state_can_be_reached() -> None:
    reached = {state for transition in TRANSITIONS.values() for state in transition.leads_to}
    assert reached == set(State)


def test_a_request_is_understood_in_every_state_that_reads_one() -> None:
    requests = {Input.FORM, Input.PAGE, Input.PROFILE, Input.UNKNOWN, Input.INIT, Input.REPLY, Input.LOGOUT}
    requests |= {Input.CONNECT, Input.VIOLATION}
    for state in (State.START, State.PROMPTED, State.GRANTED):
        assert {happened for s, happened in TRANSITIONS if s is state} >= requests


def test_the_picture_is_current() -> None:
    assert DIAGRAM.read_text() == build_diagram(), "write build_diagram() to docs/login-states.md"
