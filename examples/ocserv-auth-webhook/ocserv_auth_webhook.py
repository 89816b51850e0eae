"""`auth = "webhook[url=https://accounts.example/login]"`: a service of one's own says who gets in.

It is sent {"username", "password", "group", "address"} by POST, and answers 200 with {"groups": […]}, or 403.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from ocserv_core.plugin import (
    BackendContext,
    BlockingAsk,
    Denied,
    Identity,
    Limits,
    Login,
    OptionError,
    Prompt,
    Unavailable,
    hookimpl,
)  # fmt: skip

PATIENCE = 5.0
LONGEST_ANSWER = 65536


class WebhookAuth:
    ocserv_api = (1, 0)
    ocserv_limits = Limits(deadline=2 * PATIENCE)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        if set(options) != {"url"} or not options["url"].startswith(("https://", "http://127.0.0.1")):
            raise OptionError("say url=https://…, where logins are asked for (http only on 127.0.0.1)")
        self._url = options["url"]

    @hookimpl
    def ocserv_authenticate(self, login: Login, ask: BlockingAsk) -> Identity:
        asked = {"username": login.username, "group": login.group, "address": login.remote_ip}
        answer = self._post({**asked, "password": ask(Prompt("Please enter your password."))})
        groups = tuple(map(str, answer.get("groups", ())))
        return Identity(login.username, next(iter(groups), ""), groups)

    def _post(self, body: Mapping[str, str]) -> Mapping[str, list[str]]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)  # noqa: S310 (checked above)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                said: Mapping[str, list[str]] = json.loads(answer.read(LONGEST_ANSWER))
                return said
        except urllib.error.HTTPError as refusal:
            if refusal.code == 403:
                raise Denied("Login failed.") from None
            raise Unavailable(f"{self._url} answers {refusal.code}") from None
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self._url}: {error}") from None
