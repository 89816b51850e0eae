"""What crosses to a back end in a process of its own: what the spec says, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from ocserv_core.model import CertificateFacts, ClientInfo, DisconnectReason, Identity, Lease, SessionId, Traffic
from ocserv_core.plugin import Login, Session
from ocserv_core.plugin.calls import decode_arguments, decode_result, encode_arguments, encode_result

LOGIN = Login("jürgen", "staff", "default", "2001:db8::7", ClientInfo("agent"), CertificateFacts("j", ("a",)), 12.5)
SESSION = Session(
    SessionId("s" * 28), "default", "alice", "", ("a", "b"), {"Class": ["00"], "n": 1, "t": "x"}, "pam", ClientInfo(),
    "192.0.2.7", lease=Lease(), created=1.0,
)  # fmt: skip

CALLS: list[tuple[str, dict[str, object]]] = [
    ("ocserv_authenticate", {"login": LOGIN}),
    ("ocserv_groups", {}),
    ("ocserv_session_config", {"session": SESSION}),
    ("ocserv_session_open", {"session": SESSION}),
    ("ocserv_session_stats", {"session": SESSION, "traffic": Traffic(1, 2, 3, 4), "at": 1.5}),
    (
        "ocserv_session_close",
        {"session": SESSION, "traffic": Traffic(), "reason": DisconnectReason.IDLE_TIMEOUT, "at": 1.5},
    ),
]


@pytest.mark.parametrize(("hook", "arguments"), CALLS)
def test_arguments_arrive_as_they_were(hook: str, arguments: dict[str, object]) -> None:
    assert decode_arguments(hook, encode_arguments(hook, arguments)) == arguments


@pytest.mark.parametrize(
    ("hook", "value"),
    [
        ("ocserv_authenticate", Identity("alice", "staff", ("staff",), {"Class": ["00"]})),
        ("ocserv_session_open", None),
        ("ocserv_session_config", {"route": ["192.0.2.0/24"], "idle-timeout": "600"}),
    ],
)
def test_a_result_arrives_as_it_was(hook: str, value: object) -> None:
    assert decode_result(hook, encode_result(hook, value)) == value


@pytest.mark.parametrize(
    ("hook", "value"),
    [
        ("ocserv_authenticate", None),
        ("ocserv_authenticate", {"username": "alice"}),
        ("ocserv_session_open", Identity("alice")),
        ("ocserv_session_config", {"idle-timeout": 600}),
        ("ocserv_session_config", None),
    ],
)
def test_what_the_spec_does_not_promise_is_an_error(hook: str, value: object) -> None:
    with pytest.raises((TypeError, msgspec.ValidationError)):
        encode_result(hook, value)


def test_a_child_s_nonsense_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_result("ocserv_authenticate", msgspec.msgpack.encode({"username": 7}))


def test_an_argument_that_the_spec_does_not_have() -> None:
    with pytest.raises(TypeError):
        encode_arguments("ocserv_authenticate", {"login": LOGIN, "password": "x"})


def test_a_hook_that_nobody_knows() -> None:
    with pytest.raises(LookupError, match="there is no hook ocserv_nothing"):
        encode_arguments("ocserv_nothing", {})
