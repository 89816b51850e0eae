"""Reads LZ4 blocks in plain Python, as the format's description has them: the oracle of what liblz4 wrote."""

from __future__ import annotations

from collections.abc import Iterator

SHORTEST_COPY = 4


def decompress(block: bytes) -> bytes:
    """A valid block; IndexError or StopIteration for others."""
    source, plain = iter(block), bytearray()
    for token in source:
        plain += bytes(next(source) for _ in range(_length(token >> 4, source)))
        low = next(source, None)
        if low is None:
            break
        offset = low | next(source) << 8
        for _ in range(SHORTEST_COPY + _length(token & 15, source)):
            plain.append(plain[-offset])
    return bytes(plain)


def _length(nibble: int, source: Iterator[int]) -> int:
    """15 says that bytes follow which add up, 255 that one more does."""
    length, more = nibble, 255 if nibble == 15 else 0
    while more == 255:
        more = next(source)
        length += more
    return length
