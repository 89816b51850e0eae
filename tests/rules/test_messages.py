"""Each message has the one receiver that its section in messages.py names, and a handler called after it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

import pytest

from ocserv_core.ipc import messages
from ocserv_core.ipc.messages import Message
from ocserv_core.main.nursery import Nursery
from ocserv_core.main.requests import Requests
from ocserv_core.main.secmod import Secmod
from ocserv_core.secmod.child import Child
from ocserv_core.secmod.hosts import HostProcess
from ocserv_core.secmod.requests import PERMITS
from ocserv_core.secmod.service import PERMITS as FROM_MAIN
from ocserv_core.secmod.signer_process import SignerProcess

from .source import modules

SECTION = re.compile(r"^# ---- (\w+(?:, \w+)*) (→|↔) (\w+)(?:; (\w+(?:, \w+)*) → (\w+))? -+$")
CLASS = re.compile(r"^class (\w+)\(Message,.*\):$")
DIRECTION = re.compile(r'^    """(\w+) → (\w+): ')

UNIONS = {
    ("worker", "secmod"): messages.FromWorkerToSecmod,
    ("secmod", "worker"): messages.FromSecmodToWorker,
    ("worker", "main"): messages.FromWorkerToMain,
    ("main", "worker"): messages.FromMainToWorker,
    ("main", "secmod"): messages.FromMainToSecmod,
    ("secmod", "main"): messages.FromSecmodToMain,
    ("main", "nursery"): messages.FromMainToNursery,
    ("nursery", "main"): messages.FromNurseryToMain,
    ("secmod", "host"): messages.FromSecmodToHost,
    ("host", "secmod"): messages.FromHostToSecmod,
    ("secmod", "signer"): messages.FromSecmodToSigner,
    ("signer", "secmod"): messages.FromSignerToSecmod,
    ("secmod", "child"): messages.FromSecmodToChild,
    ("child", "secmod"): messages.FromChildToSecmod,
}


def sections() -> dict[str, set[tuple[str, str]]]:
    """Every message's name → its senders and their receiver, as the sections of the file say."""
    found: dict[str, set[tuple[str, str]]] = {}
    pairs, arrow, name = set[tuple[str, str]](), "", ""
    for line in modules()["ipc.messages"].read_text(encoding="utf-8").splitlines():
        if match := SECTION.match(line):
            directions = ((match[1], match[3]), (match[4] or "", match[5]))
            pairs = {(sender, to) for senders, to in directions for sender in senders.split(", ") if sender}
            arrow = match[2]
        elif match := CLASS.match(line):
            name = match[1]
            found[name] = pairs
        elif arrow == "↔" and (match := DIRECTION.match(line)):
            found[name] = {(match[1], match[2])}
    return found


def members(union: Any) -> set[type[Message]]:
    return set(get_args(union)) or {union}


def handlers() -> dict[tuple[str, str], Mapping[type[Message], Callable[..., None]]]:
    """The tables of receivers that answer by table."""
    table = Requests(None, None, None, None, None, None).new_gate()._table  # type: ignore[arg-type]  # only its table is looked at
    return {
        ("worker", "secmod"): {kind: permit.handler for kind, permit in PERMITS.items()},
        ("main", "secmod"): {kind: permit.handler for kind, permit in FROM_MAIN.items()},
        ("worker", "main"): {kind: permit.handler for kind, permit in table.items()},
        ("secmod", "main"): Secmod._HANDLERS,
        ("nursery", "main"): {kind: permit.handler for kind, permit in Nursery.PERMITS.items()},
        ("host", "secmod"): {kind: permit.handler for kind, permit in HostProcess.PERMITS.items()},
        ("signer", "secmod"): {kind: permit.handler for kind, permit in SignerProcess.PERMITS.items()},
        ("child", "secmod"): {kind: permit.handler for kind, permit in Child.PERMITS.items()},
    }


ANSWERED = ("worker", "secmod"), ("main", "secmod"), ("worker", "main")
HEARD = ("secmod", "main"), ("nursery", "main"), ("host", "secmod"), ("child", "secmod"), ("signer", "secmod")
SHARED = {
    "on_answer": {messages.SessionReply, messages.FinalStats},
    "on_outcome": {messages.Returned, messages.CallDenied, messages.CallUnavailable, messages.CallFault},
}
"""Handlers of several messages: what waits for an answer gets it."""


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_every_message_stands_in_a_section() -> None:
    assert set(sections()) == {kind.__name__ for kind in Message.__subclasses__()}


@pytest.mark.parametrize("pair", UNIONS)
def test_a_union_is_its_section(pair: tuple[str, str]) -> None:
    section = {name for name, pairs in sections().items() if pair in pairs}
    assert {kind.__name__ for kind in members(UNIONS[pair])} == section


@pytest.mark.parametrize("pair", [*ANSWERED, *HEARD])
def test_a_receiver_handles_what_is_sent_to_it_and_nothing_else(pair: tuple[str, str]) -> None:
    assert set(handlers()[pair]) == members(UNIONS[pair])


@pytest.mark.parametrize("pair", ANSWERED)
def test_asker_and_answerer_are_a_named_pair(pair: tuple[str, str]) -> None:
    for kind, handler in handlers()[pair].items():
        assert handler.__name__ == f"answer_{snake(kind.__name__)}"


@pytest.mark.parametrize("pair", HEARD)
def test_an_event_is_called_after_its_message(pair: tuple[str, str]) -> None:
    for kind, handler in handlers()[pair].items():
        name = handler.__name__.lstrip("_")
        words = set(snake(kind.__name__).split("_"))
        assert kind in SHARED.get(name, set()) or (name.startswith("on_") and set(name.split("_")[1:]) <= words)


@pytest.mark.parametrize("pair", [("main", "worker"), ("secmod", "worker")])
def test_the_worker_knows_each_answer(pair: tuple[str, str]) -> None:
    text = modules()["worker.link"].read_text(encoding="utf-8")
    assert {kind.__name__ for kind in members(UNIONS[pair]) if kind.__name__ not in text} == set()
