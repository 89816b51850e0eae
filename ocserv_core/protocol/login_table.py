"""The table of a login: in which state what may happen, who handles it, and where it may lead.

login.py obeys it and docs/login-states.md is drawn from it. What stands in no row is a violation. An answer that
ends the connection leads to CLOSED from everywhere, so that `Connection: close` needs no rows of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass


class State(enum.Enum):
    """Where a login stands."""

    START = "nothing asked yet"
    PROMPTED = "the back end's question is with the client"
    INIT_SENT = "waiting for secmod: a new conversation"
    CONT_SENT = "waiting for secmod: an answer"
    GRANTED = "logged in"
    NEGOTIATING = "a mechanism's token is with the client"
    CHECKING = "waiting for secmod: the profile"
    FORWARDING = "waiting for secmod: a key server"
    CONNECTING = "waiting for main: the tunnel"
    CLOSED = "over"


class Input(enum.Enum):
    """What can happen."""

    FORM = "GET the form"
    PAGE = "GET a fixed page"
    PROFILE = "GET the profile"
    UNKNOWN = "any other request"
    STRANGER = "a request without the secret"
    KNOCK = "a request with a cookie instead of the secret"
    PHONE = "GET or POST of an IP phone"
    PHONE_REPLY = "POST of an IP phone's user"
    INIT = "POST init"
    REPLY = "POST auth-reply"
    LOGOUT = "logout"
    CONNECT = "CONNECT"
    OFFER = "a request that may be answered with Negotiate"
    NEGOTIATION = "a request with a mechanism's token"
    KDC = "POST a Kerberos message"
    PROMPT = "secmod asks"
    GRANT = "secmod grants"
    DENIAL = "secmod denies"
    PROFILE_REPLY = "secmod has looked at the cookie"
    KNOCK_REPLY = "secmod has looked at the cookie that knocked"
    KDC_REPLY = "secmod has asked the key server"
    SECMOD_LOST = "secmod is lost"
    REFUSAL = "main refuses"
    VIOLATION = "not a request"


@dataclass(frozen=True, slots=True)
class Transition:
    """The method of Login that handles an input in a state, and the states that it may lead to."""

    handler: str
    leads_to: frozenset[State]


START, PROMPTED, INIT_SENT, CONT_SENT, GRANTED, NEGOTIATING, CHECKING, FORWARDING, CONNECTING, CLOSED = State
_RESTING = (START, PROMPTED, NEGOTIATING, GRANTED)
_WAITING = (INIT_SENT, CONT_SENT)
_SAME: tuple[State, ...] = ()

# (states, input, handler, leads to)
_ROWS: tuple[tuple[tuple[State, ...], Input, str, tuple[State, ...]], ...] = (
    (_RESTING, Input.FORM, "on_form", (START,)),
    (_RESTING, Input.PAGE, "on_page", _SAME),
    (_RESTING, Input.PROFILE, "on_profile", (CHECKING, CLOSED)),
    (_RESTING, Input.UNKNOWN, "on_unknown", (CLOSED,)),
    ((START,), Input.STRANGER, "on_stranger", (CLOSED,)),
    ((START,), Input.KNOCK, "on_knock", (CHECKING,)),
    (_RESTING, Input.PHONE, "on_phone", (START, INIT_SENT)),
    (_RESTING, Input.PHONE_REPLY, "on_phone_reply", (INIT_SENT,)),
    (_RESTING, Input.VIOLATION, "on_bad_request", (CLOSED,)),
    (_RESTING, Input.INIT, "on_init", (START, INIT_SENT)),
    ((START, NEGOTIATING, GRANTED), Input.REPLY, "on_reply", (START, INIT_SENT, CONT_SENT, CLOSED)),
    ((PROMPTED,), Input.REPLY, "on_answer", (PROMPTED, CONT_SENT, INIT_SENT, CLOSED)),
    (_RESTING, Input.LOGOUT, "on_logout", _SAME),
    (_RESTING, Input.CONNECT, "on_connect", (CONNECTING, CLOSED)),
    (_RESTING, Input.OFFER, "on_offer", (START,)),
    ((START, PROMPTED, GRANTED), Input.NEGOTIATION, "on_first_token", (INIT_SENT,)),
    ((NEGOTIATING,), Input.NEGOTIATION, "on_next_token", (CONT_SENT,)),
    (_RESTING, Input.KDC, "on_kdc", (FORWARDING,)),
    ((INIT_SENT,), Input.PROMPT, "on_first_prompt", (PROMPTED, CONT_SENT, CLOSED)),
    ((CONT_SENT,), Input.PROMPT, "on_next_prompt", (PROMPTED, NEGOTIATING, CLOSED)),
    (_WAITING, Input.GRANT, "on_grant", (GRANTED,)),
    (_WAITING, Input.DENIAL, "on_denial", (START, CLOSED)),
    (_WAITING, Input.SECMOD_LOST, "on_lost_while_asking", (START,)),
    ((PROMPTED, NEGOTIATING), Input.SECMOD_LOST, "on_lost_while_prompted", (START,)),
    ((START, GRANTED, CONNECTING, CLOSED), Input.SECMOD_LOST, "on_lost_while_idle", _SAME),
    ((CHECKING,), Input.PROFILE_REPLY, "on_profile_reply", (*_RESTING, CLOSED)),
    ((CHECKING,), Input.KNOCK_REPLY, "on_knock_reply", (START, CLOSED)),
    ((CHECKING,), Input.SECMOD_LOST, "on_lost_while_checking", (CLOSED,)),
    ((FORWARDING,), Input.KDC_REPLY, "on_kdc_reply", (*_RESTING, CLOSED)),
    ((FORWARDING,), Input.SECMOD_LOST, "on_lost_while_checking", (CLOSED,)),
    ((CONNECTING,), Input.REFUSAL, "on_refusal", (CLOSED,)),
)


def _transitions() -> Iterator[tuple[tuple[State, Input], Transition]]:
    for states, happened, handler, leads_to in _ROWS:
        for state in states:
            yield (state, happened), Transition(handler, frozenset(leads_to or (state,)))


TRANSITIONS = dict(_transitions())
"""(state, input) → transition."""


def build_diagram() -> str:
    """The table as a page of Markdown with a Mermaid diagram."""
    lines = [f"    {state.name}: {state.name}<br/>{state.value}" for state in State]
    lines += [f"    [*] --> {START.name}", f"    {CLOSED.name} --> [*]"]
    edges: dict[tuple[str, str], list[str]] = {}
    for (state, happened), transition in TRANSITIONS.items():
        for target in sorted(transition.leads_to, key=list(State).index):
            edges.setdefault((state.name, target.name), []).append(happened.value)
    lines += [f"    {a} --> {b}: {', '.join(inputs)}" for (a, b), inputs in edges.items()]
    return _PAGE.format("\n".join(lines))


_PAGE = """# The states of a login

Drawn from `ocserv_core/protocol/login_table.py`; a test keeps it current. Every answer that ends the connection
leads to CLOSED, whatever the row says. From CONNECTING the way goes on into the tunnel, which is no login any more.

```mermaid
stateDiagram-v2
{}
```
"""
