"""native/compress.c and lzs.c against their models, and with what strangers may send."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocserv_core.bridge._native import ffi, lib

from .. import lz4_model, lzs_model

LZ4, LZS = lib.OC_COMPRESS_LZ4, lib.OC_COMPRESS_LZS
BOTH = pytest.mark.parametrize("algorithm", [LZ4, LZS], ids=["lz4", "lzs"])

MTU = 1400
ROOM = 16384
GUARD = 64
UNTOUCHED = b"\xa5"


def guarded(function: int, algorithm: int, data: bytes, room: int) -> bytes | int:
    """What is written, or the code where nothing is. The bytes around the room must stay as they are."""
    source = ffi.new("uint8_t[]", data) if data else ffi.NULL
    memory = ffi.new("uint8_t[]", UNTOUCHED * (room + 2 * GUARD))
    call = (lib.oc_compress, lib.oc_decompress)[function]
    n = call(algorithm, source, len(data), memory + GUARD, room)
    after = bytes(ffi.buffer(memory, room + 2 * GUARD))
    assert after[:GUARD] == after[-GUARD:] == UNTOUCHED * GUARD
    assert n <= room
    return after[GUARD : GUARD + n] if n > 0 else n


def compress(algorithm: int, plain: bytes, room: int = ROOM + 400) -> bytes | int:
    return guarded(0, algorithm, plain, room)


def decompress(algorithm: int, packed: bytes, room: int = ROOM) -> bytes | int:
    return guarded(1, algorithm, packed, room)


def refused(result: bytes | int) -> bool:
    return isinstance(result, int) and result < 0


# Few kinds of bytes: many copies. Pieces that come again: long ones, and offsets of both kinds.
NARROW = st.binary(max_size=180).map(lambda data: bytes(byte & 3 for byte in data))
REPEATED = st.lists(st.tuples(st.binary(max_size=9), st.integers(1, 40)), max_size=8).map(
    lambda pieces: b"".join(piece * times for piece, times in pieces)
)
PACKETS = st.one_of(st.binary(max_size=300), NARROW, REPEATED)


# ---- both -----------------------------------------------------------------------------------------------------


@BOTH
@given(plain=PACKETS.filter(bool))
def test_what_was_compressed_comes_back(algorithm: int, plain: bytes) -> None:
    packed = compress(algorithm, plain)
    assert isinstance(packed, bytes)
    assert decompress(algorithm, packed, room=len(plain)) == plain


@BOTH
@given(plain=PACKETS.filter(bool), room=st.integers(0, 400))
def test_the_room_decides_whether_and_never_what(algorithm: int, plain: bytes, room: int) -> None:
    whole = compress(algorithm, plain)
    assert isinstance(whole, bytes)
    tight = compress(algorithm, plain, room)
    assert tight == 0 or (isinstance(tight, bytes) and decompress(algorithm, tight) == plain)
    if algorithm == LZS:
        assert tight == (whole if len(whole) <= room else 0)


@BOTH
def test_a_packet_that_gets_no_shorter_is_not_written(algorithm: int) -> None:
    plain = random.Random(1).randbytes(MTU)
    assert compress(algorithm, plain, room=MTU - 1) == 0


@BOTH
@settings(max_examples=400)
@given(packed=st.binary(max_size=200), room=st.integers(0, 400))
def test_whatever_comes_is_read_or_refused(algorithm: int, packed: bytes, room: int) -> None:
    result = decompress(algorithm, packed, room)
    assert refused(result) or isinstance(result, bytes)


@BOTH
@given(plain=PACKETS.filter(bool), data=st.data())
def test_a_changed_packet_is_read_or_refused(algorithm: int, plain: bytes, data: st.DataObject) -> None:
    packed = compress(algorithm, plain)
    assert isinstance(packed, bytes)
    changed = bytearray(packed)
    changed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    result = decompress(algorithm, bytes(changed), len(plain))
    assert refused(result) or isinstance(result, bytes)


@BOTH
@given(plain=PACKETS.filter(bool), data=st.data())
def test_a_packet_longer_than_the_room_is_refused(algorithm: int, plain: bytes, data: st.DataObject) -> None:
    packed = compress(algorithm, plain)
    assert isinstance(packed, bytes)
    assert refused(decompress(algorithm, packed, data.draw(st.integers(0, len(plain) - 1))))


@BOTH
def test_a_bomb_is_refused(algorithm: int) -> None:
    packed = compress(algorithm, bytes(ROOM + 1))
    assert isinstance(packed, bytes)
    assert len(packed) < 600
    assert refused(decompress(algorithm, packed))


@BOTH
def test_nothing_is_no_packet(algorithm: int) -> None:
    assert refused(decompress(algorithm, b""))


@BOTH
def test_an_empty_packet_is_refused(algorithm: int) -> None:
    packed = compress(algorithm, b"")
    assert isinstance(packed, bytes)
    assert refused(decompress(algorithm, packed))


@BOTH
def test_the_longest_goes_through_and_one_byte_more_does_not(algorithm: int) -> None:
    longest = bytes(range(256)) * 256
    packed = compress(algorithm, longest[:-1])
    assert isinstance(packed, bytes)
    assert decompress(algorithm, packed, lib.OC_COMPRESS_MAX) == longest[:-1]
    assert compress(algorithm, longest) == 0


def test_without_an_algorithm_nothing_is_done() -> None:
    assert compress(lib.OC_COMPRESS_NONE, bytes(100)) == 0
    assert refused(decompress(lib.OC_COMPRESS_NONE, b"\xc0\0"))


# ---- lz4 ------------------------------------------------------------------------------------------------------


@given(PACKETS.filter(bool))
def test_an_lz4_block_is_read_by_its_model(plain: bytes) -> None:
    packed = compress(LZ4, plain)
    assert isinstance(packed, bytes)
    assert lz4_model.decompress(packed) == plain


@pytest.mark.parametrize(
    "packed",
    ["f0", "50414243", "10410500", "1041000000"],
    ids=["no length", "literals cut off", "ends with a copy", "before the beginning"],
)
def test_a_malformed_lz4_block_is_refused(packed: str) -> None:
    assert refused(decompress(LZ4, bytes.fromhex(packed)))


# ---- lzs ------------------------------------------------------------------------------------------------------

FAR = (
    "000040403020140c0704024140b060341c0f0804424130a0542c170c064341b0e0743c1f100844423120944c27140a4542b160b45c2f180c"
    "464331a0d46c371c0e4743b1e0f47c3f201048443221148c4724124944b261349c4f28144a4532a154ac572c164b45b2e174bc5f30184c46"
    "332194cc67341a4d46b361b4dc6f381c4e4733a1d4ec773c1e4f47b3e1f4fc7f402050483422150c8744225148b462351c8f4824524934a2"
    "552c974c265349b4e2753c9f5028544a3522954ca7542a554ab562b55caf582c564b35a2d56cb75c2e574bb5e2f57cbf6030584c3623158c"
    "c78647ffe600"
)
VECTORS = [
    (b"", "c000"),
    (b"A", "20e000"),
    (b"AAAAA", "20e06c00"),
    (b"ABAAAAAACABABABA", "209088381c21e25c1580"),
    (b"abababa", "3098b05980"),
    (b"hello hello hello hello", "34194d86c378830df380"),
    (b"x" * 9, "3c607c3000"),
    (b"x" * 23, "3c607fb000"),
    (b"x" * 24, "3c607fc300"),
    (bytes(256), "00607ffffffffffffffffdf000"),
    (bytes(range(200)) + bytes(range(50)), FAR),
]
CAPTURED = "2280002485c8fc000020004d6db630ccc801c2232c70b147048699908381ffffffffffffffffffff6c00"
"""What the C server's encoder made of an ICMP echo with 300 x `A`."""


@pytest.mark.parametrize(("plain", "packed"), VECTORS, ids=lambda value: f"{len(value)}")
def test_lzs_vectors(plain: bytes, packed: str) -> None:
    assert lzs_model.compress(plain).hex() == packed
    assert compress(LZS, plain) == bytes.fromhex(packed)
    if plain:
        assert decompress(LZS, bytes.fromhex(packed)) == plain


def test_a_packet_of_the_c_server_is_reproduced() -> None:
    plain = decompress(LZS, bytes.fromhex(CAPTURED))
    assert isinstance(plain, bytes)
    assert plain.hex() == "45000148b93f000040016bdbc6336401c63364320000b18e12340001" + "41" * 300
    assert compress(LZS, plain) == bytes.fromhex(CAPTURED)


@settings(max_examples=400)
@given(PACKETS)
def test_lzs_is_the_models_to_the_bit(plain: bytes) -> None:
    assert compress(LZS, plain) == lzs_model.compress(plain)


@pytest.mark.parametrize("gap", [0, 125, 126, 127, 128, 2042, 2043, 2044, 2045, 2046, 2047, 2048, 4100])
def test_lzs_finds_what_lies_in_its_window(gap: int) -> None:
    words = random.Random(gap)
    plain = b"\xffab\xff" + bytes(words.randrange(200) for _ in range(gap)) + b"\xffab\xff"
    packed = compress(LZS, plain, 2 * len(plain))
    assert packed == lzs_model.compress(plain)


@pytest.mark.parametrize("length", [*range(2, 25), 37, 38, 39, 1400, 16383])
def test_lzs_lengths(length: int) -> None:
    plain = b"-" * (length + 1)
    packed = compress(LZS, plain)
    assert packed == lzs_model.compress(plain)
    assert decompress(LZS, bytes(packed)) == plain


@given(st.binary(max_size=120))
def test_lzs_reads_what_its_model_reads(packed: bytes) -> None:
    try:
        plain = lzs_model.decompress(packed)
    except lzs_model.Malformed:
        plain = b""
    result = decompress(LZS, packed)
    assert result == plain if plain else refused(result)


@pytest.mark.parametrize("packed", ["", "c0", "e0", "8000", "20e0"])
def test_a_malformed_lzs_packet_is_refused(packed: str) -> None:
    assert refused(decompress(LZS, bytes.fromhex(packed)))


def test_a_long_offset_of_a_short_distance_is_read() -> None:
    bits = "0" + f"{ord('a'):08b}" + "10" + f"{1:011b}" + "00" + lzs_model.END
    assert decompress(LZS, int(bits.ljust(40, "0"), 2).to_bytes(5, "big")) == b"aaa"


@given(PACKETS.filter(bool))
def test_a_zero_byte_behind_the_end_is_not_looked_at(plain: bytes) -> None:
    assert decompress(LZS, lzs_model.compress(plain) + b"\0") == plain


def test_a_packet_that_was_made_to_cost_time_is_given_up() -> None:
    words = random.Random(1)
    plain = bytes(words.choice(b"ab") for _ in range(ROOM))
    assert compress(LZS, plain) == 0
