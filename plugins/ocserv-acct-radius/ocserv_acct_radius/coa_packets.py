"""What the child checks of a request of RFC 5176, and what it makes of it. Bytes and a clock in, values out.

The order is the point: who sent it, whether that client has signed it, and only then what it says.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict

from pyrad import packet as wire
from pyrad.packet import CoAPacket, Packet

from .coa_words import Asked, ErrorCause
from .numbers import LIMITS, MESSAGE_AUTHENTICATOR, dictionary
from .replies import Dropped, Reply, decode

NAMES = ("Acct-Session-Id", "User-Name", "Framed-IP-Address", "Framed-IPv6-Address", "Calling-Station-Id")
"""By which of these a session may be meant; all that are there must fit."""

_HARMLESS = {
    *("NAS-IP-Address", "NAS-IPv6-Address", "NAS-Identifier", "NAS-Port", "NAS-Port-Type", "Event-Timestamp"),
    *("Message-Authenticator", "Proxy-State", "State", "Class", "Reply-Message", "Called-Station-Id"),
    "Acct-Terminate-Cause",
}
"""What else may stand in a request."""

REMEMBERED = 30.0
"""Seconds for which an answer is kept: who did not hear it asks again by the same packet (RFC 5176 2.3)."""

MAX_REMEMBERED = 4096


def verify(octets: bytes, secret: bytes) -> Packet:
    """The packet of a client that has this secret. Dropped."""
    length = int.from_bytes(octets[2:4], "big")
    if not 20 <= length <= min(len(octets), 4096):
        raise Dropped("it is no RADIUS packet")
    octets = octets[:length]
    digest = hashlib.md5(octets[:4] + bytes(16) + octets[20:] + secret).digest()  # noqa: S324 (RFC 5176 2.3)
    if not hmac.compare_digest(digest, octets[4:20]):
        raise Dropped("its authenticator is wrong: is the secret the same?")
    if octets[0] not in (wire.DisconnectRequest, wire.CoARequest):
        raise Dropped(f"it has the code {octets[0]}, which is no request of RFC 5176")
    # The octets were checked above; pyrad now only takes them apart.
    decode(octets, secret)
    packet = CoAPacket(secret=secret, dict=dictionary(), packet=octets)
    if dict.__contains__(packet, MESSAGE_AUTHENTICATOR) and not packet.verify_message_authenticator():
        raise Dropped("its Message-Authenticator is wrong")
    return packet


def check_age(packet: Packet, now: float, window: int, *, required: bool) -> None:
    """That it is no replay of an old one (RFC 5176 6.3). Dropped."""
    stamps = Reply(packet).numbers("Event-Timestamp")
    if not stamps:
        if required:
            raise Dropped("it has no Event-Timestamp, and coa-require-timestamp is set")
        return
    off = stamps[-1] - now
    if window and abs(off) > window:
        raise Dropped(f"its Event-Timestamp is {off:+.0f} s off, more than coa-window allows ({window} s)")


def ask(packet: Packet, number: int, client: str) -> Asked:
    """What it wants, for secmod."""
    read = Reply(packet)
    disconnect = packet.code == wire.DisconnectRequest
    names = {name: texts[-1] for name in NAMES if (texts := read.texts(name))}
    changes = {name: numbers[-1] for name in LIMITS if (numbers := read.numbers(name))}
    known = {*_HARMLESS, *NAMES, *(() if disconnect else LIMITS)}
    unsupported = next((str(key) for key in packet.keys() if key not in known), "")  # noqa: SIM118 (its names)
    malformed = next((name for name in (*NAMES, *LIMITS) if name in packet and name not in {**names, **changes}), "")
    identifier = (read.texts("NAS-Identifier") or [""])[-1]
    return Asked(number, disconnect, client, names, changes, identifier, unsupported or malformed)


def build_answer(packet: Packet, cause: ErrorCause) -> bytes:
    """ACK or NAK, signed, with the request's Proxy-State."""
    reply = packet.CreateReply()
    if cause:
        reply.code = wire.DisconnectNAK if packet.code == wire.DisconnectRequest else wire.CoANAK
        reply["Error-Cause"] = int(cause)
    reply.add_message_authenticator()
    return bytes(reply.ReplyPacket())


class Memory:
    """Requests that were heard a moment ago, and their answers: None while there is none yet."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, int, bytes], tuple[float, bytes | None]] = OrderedDict()

    def seen(self, key: tuple[str, int, bytes], now: float, window: int = 0) -> bool:
        """Whether it was heard before; it is remembered from now on, for as long as its Event-Timestamp can be within
        `window` seconds: from so long before the stamp until so long after it."""
        self._forget(now, max(REMEMBERED, 2.0 * window))
        if key in self._answers:
            return True
        self._answers[key] = (now, None)
        return False

    def answer(self, key: tuple[str, int, bytes]) -> bytes | None:
        """What was answered."""
        return self._answers.get(key, (0.0, None))[1]

    def note(self, key: tuple[str, int, bytes], octets: bytes) -> None:
        """It was answered."""
        if key in self._answers:
            self._answers[key] = (self._answers[key][0], octets)

    def _forget(self, now: float, kept_for: float) -> None:
        while self._answers:
            when, _ = next(iter(self._answers.values()))
            if now - when <= kept_for and len(self._answers) < MAX_REMEMBERED:
                return
            self._answers.popitem(last=False)
