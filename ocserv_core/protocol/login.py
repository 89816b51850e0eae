"""The login of one connection, from its first request to CONNECT, as one table of transitions.

Only `_step` changes the state, and only as TRANSITIONS says: an input that stands in no row of its state is
somebody's violation. A handler gives the next state and the commands; whoever gives Close ends in CLOSED,
whatever its row says, so that `Connection: close` needs no rows of its own. The worker feeds it (worker/login.py)
and carries out the commands in order; docs/login-states.md is drawn from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..config.values import Group
from ..errors import HttpViolation, PeerViolation
from ..model import ClientInfo, Cookie
from .answers import START_AGAIN, Answers
from .authxml import AuthBody
from .clients import ClientClass, classify, parse_client
from .connect import TUNNEL_TARGETS, parse_connect
from .cookie import Cookies, parse_cookies
from .groups import GroupList, is_group_name
from .http1 import MAX_HEAD, Request, Response, build_response
from .kkdcp import KdcMessage
from .login_input import (
    Method,
    choose_method,
    choose_negotiated,
    method_name,
    understand,
    understand_negotiation,
)
from .login_table import TRANSITIONS, Input, State
from .login_words import (
    AskCont,
    AskInit,
    AskKdc,
    AskProfile,
    Close,
    Command,
    ConnectionFacts,
    Denied,
    Granted,
    KdcReply,
    LoginSettings,
    LogOut,
    OpenTunnel,
    Prompt,
    Send,
    Warn,
)
from .negotiate import MAX_NEGOTIATE_HEAD
from .pages import LOGOUT, NOT_FOUND, PAGES, Page, build_refusal, is_service

Outcome = tuple[State, list[Command]]


class Login:
    """One connection's login. Each `on_…` returns the commands to carry out, in order.

    Raises PeerViolation where secmod or main answers what was not asked.
    """

    def __init__(self, settings: LoginSettings, facts: ConnectionFacts) -> None:
        self.state = State.START
        self._settings = settings
        self._facts = facts
        self._gate = settings.new_gate()
        self._answers = Answers(settings, facts, self._gate.form_query)
        has_certificate = facts.certificate is not None
        self._method = choose_method(settings.methods, certificate=has_certificate)
        self._negotiated = choose_negotiated(settings.methods, certificate=has_certificate)
        self._negotiates = False
        self._client = ClientInfo()
        self._v3 = False
        self._closing = False
        self._cookies = Cookies()
        self._group = ""
        self._url_group = ""
        self._username = ""
        self._pending: str | bytes | None = None
        self._prompt: Prompt | None = None
        self._handle = ""
        self._lost_handle = ""
        self._cookie = Cookie("")
        self._rested = State.START
        self._knocking: Request | None = None
        self._phone = False

    @property
    def max_head(self) -> int:
        """Bytes of a request's head that the client may send."""
        return MAX_HEAD if self._negotiated is None else MAX_NEGOTIATE_HEAD

    # ---- inputs -------------------------------------------------------------------------------------------------

    def on_request(self, request: Request) -> list[Command]:
        """A request of the client."""
        self._client = parse_client(request.headers)
        self._v3 = classify(self._client.user_agent) is ClientClass.OPENCONNECT_V3
        self._closing = request.wants_close
        self._cookies = parse_cookies(request.headers.get_all("Cookie"))
        self._gate.try_query(request.query)
        try:
            happened, argument = self._pass_gate(request)
        except HttpViolation as violation:
            return self.on_violation(violation)
        if happened is not Input.KDC:
            self._note_group_url(request)
        return self._step(happened, argument)

    def _pass_gate(self, request: Request) -> tuple[Input, Any]:
        if self._gate.is_open or request.method == "CONNECT":
            return self._understand(request)
        # Cisco's agent fetches its profile and manifests with its cookie alone (by another connection).
        return (Input.KNOCK, request) if self._cookies.webvpn else (Input.STRANGER, None)

    def _understand(self, request: Request) -> tuple[Input, Any]:
        happened, argument = understand(request, self._settings.pages, self._settings.kdc_paths)
        if self._negotiated is None:
            return happened, argument
        return understand_negotiation(request, happened, argument, only=self._method is None)

    def on_violation(self, violation: HttpViolation) -> list[Command]:
        """What the client sent is no request (RequestReader), or its body is nothing that can be read."""
        return self._step(Input.VIOLATION, violation)

    def on_prompt(self, reply: Prompt) -> list[Command]:
        """secmod's AuthPrompt."""
        return self._step(Input.PROMPT, reply)

    def on_granted(self, reply: Granted) -> list[Command]:
        """secmod's AuthGranted."""
        return self._step(Input.GRANT, reply)

    def on_denied(self, reply: Denied) -> list[Command]:
        """secmod's AuthDenied."""
        return self._step(Input.DENIAL, reply)

    def on_profile_reply(self, granted: bool) -> list[Command]:
        """secmod's ProfileReply."""
        request, self._knocking = self._knocking, None
        if request is None:
            return self._step(Input.PROFILE_REPLY, granted)
        return self._step(Input.KNOCK_REPLY, granted) or self.on_request(request)

    def on_kdc_reply(self, reply: KdcReply) -> list[Command]:
        """secmod's KdcReply."""
        return self._step(Input.KDC_REPLY, reply)

    def on_secmod_lost(self) -> list[Command]:
        """secmod was restarted and has forgotten every conversation: the login starts again at the form."""
        return self._step(Input.SECMOD_LOST, None)

    def on_connect_refused(self, status: int, text: str) -> list[Command]:
        """main refuses the tunnel (AuthCookieRefused): 401 log in again, 503 try later."""
        return self._step(Input.REFUSAL, (status, text))

    def _step(self, happened: Input, argument: Any) -> list[Command]:
        transition = TRANSITIONS.get((self.state, happened))
        if transition is None:
            raise PeerViolation(f"{happened.value}, while {self.state.value}")
        handler: Callable[[Any], Outcome] = getattr(self, f"_{transition.handler}")
        state, commands = handler(argument)
        if any(isinstance(command, Close) for command in commands):
            state = State.CLOSED
        assert state in transition.leads_to or state is State.CLOSED
        self.state = state
        return commands

    def _note_group_url(self, request: Request) -> None:
        """A POST to https://server/NAME chooses the group NAME, and hides the others."""
        name = request.path[1:]
        known = is_service(request.path) or "/" in name
        if request.method == "POST" and self._settings.select_group_by_url and not known and is_group_name(name):
            self._url_group = self._group = name

    # ---- pages --------------------------------------------------------------------------------------------------

    def _on_form(self, _: None) -> Outcome:
        return self._show_form()

    def _on_page(self, page: Page) -> Outcome:
        return self.state, self._send(self._answers.page(page))

    def _on_stranger(self, _: None) -> Outcome:
        return State.CLOSED, self._send(self._gate.refuse())

    def _on_knock(self, request: Request) -> Outcome:
        """A cookie alone proves nothing: anybody can write one."""
        self._knocking = request
        assert self._cookies.webvpn
        return State.CHECKING, [AskProfile(self._cookies.webvpn)]

    def _on_knock_reply(self, granted: bool) -> Outcome:
        if not granted:
            return State.CLOSED, self._send(self._gate.refuse())
        self._gate.open()
        return State.START, []

    def _on_profile(self, _: None) -> Outcome:
        response = self._answers.profile()
        if response is None:
            return State.CLOSED, self._send(NOT_FOUND)
        cookie = self._cookies.webvpn or self._cookie
        if not cookie:
            return State.CLOSED, self._send(build_refusal(401))
        self._rested = self.state
        return State.CHECKING, [AskProfile(cookie)]

    def _on_profile_reply(self, granted: bool) -> Outcome:
        response = self._answers.profile() if granted else None
        if response is None:
            return State.CLOSED, self._send(build_refusal(401))
        return self._rested, self._send(response)

    def _on_lost_while_checking(self, _: None) -> Outcome:
        return State.CLOSED, self._send(build_refusal(503))

    def _on_unknown(self, _: None) -> Outcome:
        return State.CLOSED, self._send(NOT_FOUND)

    def _on_bad_request(self, violation: HttpViolation) -> Outcome:
        refusal = self._send(build_refusal(violation.status))
        return State.CLOSED, [refusal[0], Close(f"bad request: {violation}", violation=True)]

    def _on_logout(self, body: AuthBody | None) -> Outcome:
        """A POST of XML that may name the cookie too, or a GET."""
        cookie = self._cookies.webvpn or (body.token if body is not None else "")
        response = self._answers.logged_out() if body is not None else self._answers.page(PAGES[LOGOUT])
        said: list[Command] = [LogOut(Cookie(cookie))] if cookie else []
        return self.state, [*said, *self._send(response)]

    # ---- the client's posts -------------------------------------------------------------------------------------

    def _on_init(self, body: AuthBody) -> Outcome:
        self._note_group(body)
        if self._method is None:
            return State.START, self._send(self._answers.certificate_missing())
        return self._begin_by_certificate() if self._method == ("certificate",) else self._show_form()

    def _note_group(self, body: AuthBody | None) -> None:
        if body is not None and body.group is not None:
            # A group that is no more (a client's stale choice) must not be an error here.
            self._group = self._group_list().resolve(body.group) or self._url_group

    def _on_reply(self, body: AuthBody) -> Outcome:
        if self._method is None:
            return self._on_init(body)
        group = self._group_list().resolve_typed(body.group) if body.group is not None else self._group
        if group is None:
            return self._deny("")
        self._group = group
        if self._method == ("certificate",):
            return self._begin_by_certificate()
        if body.username is not None:
            return self._ask_init(self._method, body.username, body.password)
        handle = self._cookies.context or body.handle
        if body.password is not None and handle and handle != self._lost_handle:
            return self._ask_cont(handle, body.password)
        return self._show_form()

    def _on_answer(self, body: AuthBody) -> Outcome:
        """A reply while a question is open: its answer, unless it names another user."""
        assert self._prompt is not None
        if body.username not in (None, self._username):
            return self._on_reply(body)
        if body.password is None:
            return self._show_prompt(self._prompt)
        return self._ask_cont(self._prompt.handle, body.password)

    def _begin_by_certificate(self) -> Outcome:
        certificate = self._facts.certificate
        assert certificate is not None
        if not self._group and certificate.groups:
            eligible = self._eligible(certificate.groups)
            if len(eligible) != 1:
                groups = self._group_list().arranged("")
                return self._forget(), self._send(self._answers.group_form(groups, v3=self._v3))
            self._group = eligible[0]
        return self._ask_init(("certificate",), certificate.user, None)

    def _eligible(self, groups: Iterable[str]) -> tuple[str, ...]:
        listed = {group.name for group in self._settings.groups}
        return tuple(dict.fromkeys(group for group in groups if not listed or group in listed))

    def _ask_init(self, method: Method, username: str, answer: str | bytes | None) -> Outcome:
        self._forget()
        self._username = username
        self._pending = answer
        ask = AskInit(
            vhost=self._settings.vhost,
            username=username,
            group=self._group,
            client=self._client,
            method=method_name(self._settings.methods, method),
            certificate=self._facts.certificate,
        )
        return State.INIT_SENT, [ask]

    def _ask_cont(self, handle: str, answer: str | bytes) -> Outcome:
        self._handle = handle
        if isinstance(answer, bytes):
            return State.CONT_SENT, [AskCont(handle, "", answer)]
        return State.CONT_SENT, [AskCont(handle, answer)]

    # ---- Cisco's IP phones --------------------------------------------------------------------------------------

    def _on_phone(self, posted: bool) -> Outcome:
        """It asks what to do, or posts nothing: its certificate says who it is."""
        if posted and self._method == ("certificate",) and self._facts.certificate is not None:
            return self._ask_by_phone(self._facts.certificate.user, None)
        return self._forget(), self._send(self._answers.phone(Cookie("")))

    def _on_phone_reply(self, body: AuthBody) -> Outcome:
        if self._method is None:
            return self._deny("")
        return self._ask_by_phone(body.username or "", body.password)

    def _ask_by_phone(self, username: str, password: str | None) -> Outcome:
        assert self._method is not None
        state, commands = self._ask_init(self._method, username, password)
        self._phone = True
        return state, commands if self._settings.phones else [Warn(_PHONE_UNEXPECTED), *commands]

    # ---- the client's mechanism (GSSAPI) ------------------------------------------------------------------------

    def _on_offer(self, body: AuthBody | None) -> Outcome:
        self._note_group(body)
        return self._offer()

    def _offer(self) -> Outcome:
        return self._forget(), self._send(self._answers.negotiate("", fallback=self._method is not None))

    def _on_first_token(self, said: tuple[bytes, AuthBody | None]) -> Outcome:
        """Who it is, the token says: the name comes with the grant. Only a certificate has one before."""
        token, body = said
        self._note_group(body)
        assert self._negotiated is not None
        certificate = self._facts.certificate if "certificate" in self._negotiated else None
        outcome = self._ask_init(self._negotiated, certificate.user if certificate else "", token)
        self._negotiates = True
        return outcome

    def _on_next_token(self, said: tuple[bytes, AuthBody | None]) -> Outcome:
        assert self._prompt is not None
        return self._ask_cont(self._prompt.handle, said[0])

    def _deny_negotiation(self, denied: Denied) -> Outcome:
        """The next method's form, where there is one: for the rest of this connection."""
        if self._method is None:
            return State.CLOSED, self._send(self._answers.denied_by_mechanism(denied.token))
        self._negotiated = None
        return self._show_form(token=denied.token)

    # ---- Kerberos messages --------------------------------------------------------------------------------------

    def _on_kdc(self, posted: tuple[str, KdcMessage]) -> Outcome:
        path, message = posted
        self._rested = self.state
        return State.FORWARDING, [AskKdc(self._settings.vhost, path, message.realm, message.message)]

    def _on_kdc_reply(self, reply: KdcReply) -> Outcome:
        if reply.failure:
            return State.CLOSED, self._send(build_refusal(502, x_reason=reply.failure))
        return self._rested, self._send(self._answers.kdc_reply(reply.message))

    # ---- secmod's replies ---------------------------------------------------------------------------------------

    def _on_first_prompt(self, prompt: Prompt) -> Outcome:
        """Clients of today send user name and password at once: the password answers the first question."""
        pending, self._pending = self._pending, None
        if pending is None:  # a certificate said who it is, and more is asked
            return self._deny("") if self._phone else self._show_prompt(prompt)
        self._prompt = prompt
        return self._ask_cont(prompt.handle, pending)

    def _on_next_prompt(self, prompt: Prompt) -> Outcome:
        if self._phone:  # it has no way to show a question
            return self._deny("")
        if not self._negotiates:
            return self._show_prompt(prompt)
        self._prompt = prompt
        response = self._answers.negotiate(prompt.token, fallback=self._method is not None)
        return State.NEGOTIATING, self._send(response)

    def _show_prompt(self, prompt: Prompt) -> Outcome:
        self._prompt = prompt
        self._handle = prompt.handle
        return State.PROMPTED, self._send(self._answers.prompt(prompt, v3=self._v3))

    def _on_grant(self, granted: Granted) -> Outcome:
        self._username = granted.username
        self._cookie = granted.cookie
        if self._phone:
            return State.GRANTED, self._send(self._answers.phone(granted.cookie))
        response = self._answers.success(
            granted.cookie, self._handle, v3=self._v3, keep_alive=not self._closing, token=granted.token
        )
        return State.GRANTED, self._send(response)

    def _on_denial(self, denied: Denied) -> Outcome:
        if self._negotiates:
            return self._deny_negotiation(denied)
        return self._deny(denied.text)

    def _on_lost_while_asking(self, _: None) -> Outcome:
        self._lost_handle = self._handle
        if self._phone:
            return self._forget(), self._send(self._answers.phone(Cookie("")))
        return self._offer() if self._method is None else self._show_form(START_AGAIN)

    def _on_lost_while_prompted(self, _: None) -> Outcome:
        self._lost_handle = self._handle
        return self._forget(), []

    def _on_lost_while_idle(self, _: None) -> Outcome:
        return self.state, []

    # ---- the tunnel ---------------------------------------------------------------------------------------------

    def _on_connect(self, request: Request) -> Outcome:
        cookie = self._cookies.webvpn
        if not cookie and not self._gate.is_open:
            return State.CLOSED, self._send(self._gate.refuse_connect())
        if cookie is None:
            return State.CLOSED, self._send(build_refusal(503))
        if not cookie:
            return State.CLOSED, self._send(_COOKIE_REFUSED)
        if request.target not in TUNNEL_TARGETS:
            return State.CLOSED, self._send(NOT_FOUND)
        return State.CONNECTING, [OpenTunnel(parse_connect(request, cookie))]

    def _on_refusal(self, refusal: tuple[int, str]) -> Outcome:
        status, text = refusal
        response = _COOKIE_REFUSED if status == 401 else build_refusal(status, x_reason=text)
        if not self._gate.is_open:
            response = self._gate.refuse_connect()
        return State.CLOSED, self._send(response)

    # ---- what handlers share ------------------------------------------------------------------------------------

    def _send(self, response: Response) -> list[Command]:
        send = Send(build_response(response, close=self._closing))
        if response.close or self._closing:
            return [send, Close(f"{response.status} {response.reason}")]
        return [send]

    def _show_form(self, error: str = "", token: str = "") -> Outcome:
        groups = self._group_list().arranged(self._group)
        form = self._answers.login_form(groups, self._group, error=error, v3=self._v3, token=token)
        return self._forget(), self._send(form)

    def _forget(self) -> State:
        """Drop the conversation, if any; secmod's own time limit ends its side."""
        self._prompt = self._pending = None
        self._username = self._handle = ""
        self._negotiates = self._phone = False
        self._cookie = Cookie("")
        return State.START

    def _deny(self, text: str) -> Outcome:
        return State.CLOSED, self._send(self._answers.denied(text))

    def _group_list(self) -> GroupList:
        if self._url_group:
            return GroupList((Group(self._url_group, self._url_group),), open=True)
        settings, certificate = self._settings, self._facts.certificate
        found = certificate.groups if certificate is not None else ()
        listed = {group.name for group in settings.groups}
        added = tuple(Group(name, name) for name in found if name not in listed)
        # A certificate's user is in the certificate's groups or in none: nothing is left to the server.
        default = "" if found else settings.default_group
        return GroupList((*settings.groups, *added), default, open=settings.select_group_by_url)


_PHONE_UNEXPECTED = "an IP phone logs in by /svc, and cisco-svc-client-compat is off"
_COOKIE_REFUSED = build_refusal(401, "Cookie is not acceptable")
