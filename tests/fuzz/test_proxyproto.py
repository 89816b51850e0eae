"""The reader of PROXY headers, which is Python's: its corpus is replayed, then spoilt for FUZZ_SECONDS."""

from __future__ import annotations

import random
import time

from ocserv_core.protocol.proxyproto import MAX_HEADER, HeaderReader, ProxyHeaderError

from .seeds import CORPUS
from .test_fuzz import SECONDS

SEEDS = [path.read_bytes() for path in sorted((CORPUS / "proxyproto").iterdir())]


def outcome(data: bytes, pieces: random.Random | None = None) -> object:
    """What comes of it, in pieces or whole; nothing but a refusal is raised, and nothing is taken that is not there."""
    reader, at = HeaderReader(), 0
    try:
        while reader.header is None and at < len(data):
            end = at + (pieces.randint(1, 40) if pieces else len(data))
            taken = reader.take(data[at:end])
            assert 0 < taken <= len(data) - at
            at += taken
    except ProxyHeaderError as error:
        return str(error)
    assert at <= MAX_HEADER
    return reader.header, at


def spoilt(chance: random.Random) -> bytes:
    """A seed with some bytes changed, put in, taken out, or of another."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        change = chance.randrange(4)
        if change == 0:
            data[at : at + 1] = chance.randbytes(1)
        elif change == 1:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        elif change == 2:
            del data[at : at + chance.randint(1, 8)]
        else:
            data[at:] = chance.choice(SEEDS)[at:]
    return bytes(data)


def test_the_corpus_is_read_in_pieces_as_whole() -> None:
    for seed in SEEDS:
        assert outcome(seed, random.Random(seed)) == outcome(seed)


def test_what_is_spoilt_is_read_in_pieces_as_whole() -> None:
    chance, end = random.Random(time.time_ns()), time.monotonic() + SECONDS
    while time.monotonic() < end:
        data = spoilt(chance)
        assert outcome(data, chance) == outcome(data), data.hex()
