"""One-time passwords (RFC 4226, RFC 6238) and the lines of an OATH users file; pure, otpfile.py reads and writes it.

A line is `TYPE USER PIN SECRET [COUNTER LAST-CODE LAST-TIME]`, with blanks or tabs between. TYPE is HOTP or HOTP/E (by
a counter), HOTP/T30, HOTP/T60 … (by the time, in steps of so many seconds), and /6, /7 or /8 after it for the digits.
The PIN is not asked for, as the C server has it. COUNTER is that of LAST-CODE where there is one, else the next; with
the time it says how many steps ahead the user's clock was.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

WINDOW = 20
"""So many codes after the last one count, and so many steps around now, as the C server has it."""

MAX_COUNTER = 2**63 - 1

_TYPE = re.compile(rb"HOTP(?:/(?:E|T([1-9][0-9]{0,4})))?(?:/([678]))?")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){1,256}")


@dataclass(frozen=True, slots=True)
class Token:
    """What a user has his codes from. `step` is 0 for one that counts; `head` is the line up to the secret."""

    username: str
    step: int
    digits: int
    secret: bytes = field(repr=False)
    counter: int = 0
    last_code: str = field(default="", repr=False)
    last_time: str = ""
    head: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A code is right; `counter` is what the file must remember with it."""

    counter: int


def hotp(secret: bytes, counter: int, digits: int) -> str:
    """The code of a counter (RFC 4226 §5.3)."""
    digest = hmac.digest(secret, counter.to_bytes(8), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}}"


def parse_token(line: bytes) -> Token | None:
    """The token of a line; None for blanks and comments. ValueError says what is wrong, without the secret."""
    words = line.split()
    if not words or words[0].startswith(b"#"):
        return None
    kind = _TYPE.fullmatch(words[0])
    if kind is None:
        raise ValueError(f"the type '{words[0].decode(errors='replace')}' is not HOTP, HOTP/T30 or the like")
    if len(words) not in (4, 5, 7):
        raise ValueError("it is not TYPE USER PIN SECRET, or that with COUNTER, or that with LAST-CODE LAST-TIME")
    if not _HEX.fullmatch(words[3]):
        raise ValueError("the secret is not hexadecimal")
    return Token(
        username=words[1].decode(errors="replace"),
        step=int(kind[1] or 0),
        digits=int(kind[2] or 6),
        secret=bytes.fromhex(words[3].decode()),
        counter=_parse_counter(words[4]) if len(words) > 4 else 0,
        last_code=words[5].decode(errors="replace") if len(words) > 5 else "",
        last_time=words[6].decode(errors="replace") if len(words) > 5 else "",
        head=b"\t".join(words[:4]),
    )


def _parse_counter(word: bytes) -> int:
    if not re.fullmatch(rb"-?[0-9]{1,18}", word):
        raise ValueError("the counter is not a number")
    return int(word)


def build_line(token: Token, code: str, counter: int, at: str) -> bytes:
    """The line, without its end, after that code was used at that time."""
    return b"%s\t%d\t%s\t%s" % (token.head, counter, code.encode(), at.encode())


def check(token: Token, code: str, now: float, last_used: Iterable[float] = ()) -> Accepted | None:
    """Whether `code` is right and was not used. `now` is time.time(); `last_used` is when LAST-CODE was, or when it may
    have been. Takes the same time whether the code is right or not."""
    if token.step:
        return _check_time(token, code, now, last_used)
    first = max(0, token.counter + (1 if token.last_code else 0))
    last = min(token.counter + WINDOW, MAX_COUNTER)
    right = [counter for counter in range(first, last + 1) if _is_code(token, counter, code)]
    return Accepted(right[0]) if right else None


def _check_time(token: Token, code: str, now: float, last_used: Iterable[float]) -> Accepted | None:
    present = int(now) // token.step
    around = set(_window(present))
    used = around.union(*(_window(int(time) // token.step) for time in last_used))
    # Whatever was used is found around the time of its use, and around now where that time is not to be trusted. Where
    # a code is that of several steps, the last of them counts: it is the same code.
    last = max((step for step in used if token.last_code and _is_code(token, step, token.last_code)), default=-1)
    right = [step for step in around if _is_code(token, step, code)]
    newest = max(right, default=-1)
    return Accepted(newest - present) if newest > last else None


def _window(step: int) -> range:
    return range(max(0, step - WINDOW), min(step + WINDOW, MAX_COUNTER) + 1)


def _is_code(token: Token, counter: int, code: str) -> bool:
    return hmac.compare_digest(hotp(token.secret, counter, token.digits).encode(), code.encode())
