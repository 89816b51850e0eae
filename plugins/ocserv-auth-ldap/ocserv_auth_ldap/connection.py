"""One connection to a server, used by one thread at a time: ldap3, strictly set up.

No referral is followed, nothing is read of the server's schema, names are sent as they are. Of ldap3 any exception may
come (a peer that speaks no LDAP makes it raise KeyError): all of them become Silent, and the connection is done with.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ldap3
from ldap3.core.exceptions import LDAPException

from .results import SIZE_LIMIT, Result, result_of
from .wire import BoundedSocket, CheckingTls

T = TypeVar("T")

READ_SIZE = 64 * 1024


class Silent(Exception):
    """The server cannot be asked, or did not answer; the text says why."""


class Unwilling(Exception):
    """The server answered, and did not do what it must for any login: it, or the configuration, wants mending."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. `tls`: "ldaps", "starttls" or "" for none."""

    host: str
    port: int
    tls: str

    def __str__(self) -> str:
        scheme = "ldaps" if self.tls == "ldaps" else "ldap"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a search found. Values that are no UTF-8 are left out; attributes are in lower case."""

    dn: str
    attributes: Mapping[str, tuple[str, ...]]


class Deadline:
    """So many seconds from now, for all that one answer of the user makes necessary."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, most: float) -> float:
        """Seconds that the next step may take. Silent where none are left."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise Silent("the time of this login is over")
        return min(left, most)

    @property
    def over(self) -> bool:
        """Whether nothing may be begun any more."""
        return time.monotonic() >= self._at


class Connection:
    """Open after it is made. Raises Silent everywhere; then it is closed."""

    def __init__(self, address: Address, context: ssl.SSLContext, timeout: float, deadline: Deadline) -> None:
        self._timeout = timeout
        self._tls = CheckingTls(context)
        seconds = deadline.left(timeout)
        server = ldap3.Server(
            address.host,
            port=address.port,
            use_ssl=address.tls == "ldaps",
            tls=self._tls,
            get_info=ldap3.NONE,
            connect_timeout=seconds,
            # The default mode tries the first address of a name only.
            mode=ldap3.IP_V6_PREFERRED,
            allowed_referral_hosts=[],
        )
        self._ldap = ldap3.Connection(
            server,
            client_strategy=ldap3.SAFE_SYNC,
            auto_referrals=False,
            check_names=False,
            auto_escape=False,
            auto_encode=False,
            return_empty_attributes=False,
        )
        self._ldap.strategy.socket_size = READ_SIZE
        self._exchange(deadline, lambda: self._open(starttls=address.tls == "starttls", seconds=seconds))

    def _open(self, *, starttls: bool, seconds: float) -> None:
        self._ldap.open(read_server_info=False)
        bounded = BoundedSocket(self._ldap.socket)
        # A request is several writes; without this each waits for the peer's acknowledgement of the one before.
        bounded.connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bounded.allow(seconds)
        self._ldap.socket = bounded
        if starttls and not self._ldap.start_tls(read_server_info=False)[0]:
            raise ConnectionError("StartTLS was not possible")

    @property
    def is_stale(self) -> bool:
        """Whether the server has closed it, or said something that nobody asked for: both before its next use."""
        try:
            self._ldap.socket.connected.setblocking(False)
            self._ldap.socket.connected.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except (OSError, AttributeError):
            return True
        return True

    def bind(self, dn: str, password: str, deadline: Deadline) -> Result:
        """Log in; "" and "" for nobody."""
        if dn and not password:
            raise ValueError("a bind without a password asks for nothing, and succeeds")
        self._ldap.user = dn or None
        # As octets: ldap3 would prepare text (RFC 4013), which libldap and what stores passwords do not.
        self._ldap.password = password.encode() or None
        self._ldap.authentication = ldap3.SIMPLE if dn else ldap3.ANONYMOUS
        try:
            return self._exchange(deadline, lambda: self._result(self._ldap.bind(read_server_info=False)))
        finally:
            self._ldap.password = None

    def search(
        self,
        base: str,
        search_filter: str,
        attributes: Sequence[str],
        deadline: Deadline,
        *,
        one: bool = False,
        limit: int = 0,
    ) -> tuple[list[Entry], Result]:
        """The entries below `base` (one: that entry alone), `limit` at most where it is not 0, and how it ended.
        References to other servers are passed over."""

        def act() -> tuple[list[Entry], Result]:
            outcome = self._ldap.search(
                base,
                search_filter,
                ldap3.BASE if one else ldap3.SUBTREE,
                ldap3.DEREF_NEVER,
                list(attributes) or [ldap3.NO_ATTRIBUTES],
                size_limit=limit,
                time_limit=max(1, int(self._timeout)),
            )
            found = [_entry(item) for item in outcome[2] or () if item["type"] == "searchResEntry"]
            return [entry for entry in found if entry is not None], self._result(outcome)

        return self._exchange(deadline, act)

    @staticmethod
    def _result(outcome: tuple[Any, ...]) -> Result:
        result = outcome[1]
        return result_of(result["result"], result["description"], result["message"])

    def close(self) -> None:
        """At once; no unbind, which a dead peer would make wait."""
        with contextlib.suppress(Exception):
            self._ldap.strategy.close()

    def _exchange(self, deadline: Deadline, act: Callable[[], T]) -> T:
        try:
            if isinstance(self._ldap.socket, BoundedSocket):
                self._ldap.socket.allow(deadline.left(self._timeout))
            return act()
        except Silent:
            self.close()
            raise
        except Exception as error:  # of ldap3 anything may come
            said = self._explain(error)
            self.close()
            raise Silent(said) from error

    def _explain(self, error: Exception) -> str:
        failure = self._tls.failure or error
        match failure:
            case ssl.SSLCertVerificationError():
                return f"its certificate is refused: {failure.verify_message}"
            case ssl.SSLError():
                return f"no TLS with it: {failure.reason or failure}"
            case TimeoutError():
                return f"no answer within {self._timeout:g} s"
            case LDAPException() | OSError():
                said = str(self._ldap.last_error or failure)
                return "its name has no address" if said == "invalid server address" else said
        return f"what it says is no LDAP ({type(failure).__name__})"


def complete(result: Result) -> bool:
    """Whether a search's entries may be used; where they are not all, they are some."""
    return result.code in (0, SIZE_LIMIT)


def _entry(item: Mapping[str, Any]) -> Entry | None:
    """None where its DN is no UTF-8: ldap3 guesses other encodings, and a bind would be another's."""
    try:
        dn = item["raw_dn"].decode()
    except UnicodeDecodeError:
        return None
    return Entry(dn, {name.lower(): _values(values) for name, values in item["raw_attributes"].items()})


def _values(values: Sequence[bytes]) -> tuple[str, ...]:
    found = []
    for value in values or ():
        with contextlib.suppress(UnicodeDecodeError):
            found.append(value.decode())
    return tuple(found)
