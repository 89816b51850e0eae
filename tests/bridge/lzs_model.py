"""LZS in plain Python, from RFC 1974 §2.3: the oracle of native/lzs.c. Bits are text here."""

from __future__ import annotations

WINDOW = 2047
END = "110000000"
LENGTHS = {"00": 2, "01": 3, "10": 4, "1100": 5, "1101": 6, "1110": 7}
CODES = {length: code for code, length in LENGTHS.items()}


class Malformed(Exception):
    """No LZS stream."""


def compress(plain: bytes) -> bytes:
    """At each place the longest copy, of these the nearest."""
    bits, at = "", 0
    while at < len(plain):
        length, offset = longest_copy(plain, at)
        bits += copy_code(offset, length) if length >= 2 else f"0{plain[at]:08b}"
        at += max(length, 1)
    bits += END
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def longest_copy(plain: bytes, at: int) -> tuple[int, int]:
    """Its length (0: none) and offset."""
    length = offset = 0
    # Where even one byte more than the best is found further back, that is a longer one.
    while at + length < len(plain):
        found = plain.rfind(plain[at : at + length + 1], max(0, at - WINDOW), at + length)
        if found < 0:
            break
        length, offset = length + 1, at - found
    return length, offset


def copy_code(offset: int, length: int) -> str:
    """The bits of one copy."""
    code = f"11{offset:07b}" if offset <= 127 else f"10{offset:011b}"
    if length in CODES:
        return code + CODES[length]
    more, rest = divmod(length - 8, 15)
    return code + "1111" * (more + 1) + f"{rest:04b}"


def decompress(packed: bytes) -> bytes:
    """Raises Malformed."""
    bits = "".join(f"{byte:08b}" for byte in packed)
    plain = bytearray()

    def take(n: int) -> str:
        nonlocal bits
        if len(bits) < n:
            raise Malformed("cut off")
        taken, bits = bits[:n], bits[n:]
        return taken

    while True:
        if take(1) == "0":
            plain.append(int(take(8), 2))
            continue
        is_short = take(1) == "1"
        offset = int(take(7 if is_short else 11), 2)
        if offset == 0 and is_short:
            return bytes(plain)
        if not 0 < offset <= len(plain):
            raise Malformed("an offset to where nothing is")
        code = take(2)
        if code == "11":
            code += take(2)
        length = LENGTHS.get(code, 8)
        while code == "1111":
            nibble = take(4)
            length += int(nibble, 2)
            code = nibble
        for _ in range(length):
            plain.append(plain[-offset])
