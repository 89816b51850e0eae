"""native/record.c against its model: what one seals the other opens, and nothing else is opened."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocserv_core.bridge._native import lib

from ..native_half import NativeHalf
from ..record_model import AES256_GCM, APPLICATION, HANDSHAKE, SUITES, Half, Suite

KINDS = st.sampled_from([21, 22, 23])
CONTENT = st.binary(max_size=2000)
SEQUENCES = st.integers(0, 2**48)


def secret_size(suite: Suite) -> int:
    return 48 if suite.name == "AES_256_GCM" else 32


@st.composite
def halves(draw: st.DrawFn) -> Half:
    suite, seq = draw(st.sampled_from(SUITES)), draw(SEQUENCES)
    if draw(st.booleans()):
        size = secret_size(suite)
        return Half.of_secret(suite, draw(st.binary(min_size=size, max_size=size)), seq)
    key = draw(st.binary(min_size=suite.key_size, max_size=suite.key_size))
    iv_size = 4 if suite.explicit else 12
    return Half(suite, False, key, draw(st.binary(min_size=iv_size, max_size=iv_size)), seq)


def tls12(suite: Suite = AES256_GCM) -> Half:
    return Half(suite, False, bytes(range(suite.key_size)), b"salt" if suite.explicit else b"twelve bytes")


def tls13(suite: Suite = AES256_GCM) -> Half:
    return Half.of_secret(suite, bytes(range(secret_size(suite))))


BOTH = pytest.mark.parametrize("half", [tls12(), tls13()], ids=["tls12", "tls13"])


@given(halves(), KINDS, st.lists(CONTENT, min_size=1, max_size=4))
def test_the_model_opens_what_c_sealed(half: Half, kind: int, contents: list[bytes]) -> None:
    with NativeHalf(half) as native:
        for content in contents:
            record = native.seal(kind, content)
            assert isinstance(record, bytes)
            assert half.open(record) == (kind, content)


@given(halves(), KINDS, st.lists(CONTENT, min_size=1, max_size=4), st.integers(0, 200))
def test_c_opens_what_the_model_sealed(half: Half, kind: int, contents: list[bytes], padding: int) -> None:
    with NativeHalf(half) as native:
        for content in contents:
            assert native.open(half.seal(kind, content, padding)) == (kind, content)


@given(halves(), CONTENT)
def test_c_and_the_model_seal_alike(half: Half, content: bytes) -> None:
    with NativeHalf(half) as native:
        assert native.seal(APPLICATION, content) == half.seal(APPLICATION, content)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_key_updates_follow_the_model(suite: Suite) -> None:
    half = tls13(suite)
    with NativeHalf(half) as native:
        for generation in range(5):
            half = half.updated()
            assert native.update() == 0
            assert native.seal(HANDSHAKE, b"%d" % generation) == half.seal(HANDSHAKE, b"%d" % generation)


def test_keys_that_were_updated_before_the_takeover_are_found() -> None:
    told = tls13()
    now = told.updated().updated()
    with NativeHalf(Half(AES256_GCM, True, now.key, now.iv, 7, told.secret)) as native:
        native.update()
        assert native.seal(APPLICATION, b"x") == now.updated().seal(APPLICATION, b"x")


def test_a_secret_of_other_keys_is_refused() -> None:
    half = tls13()
    half.secret = bytes(48)
    assert NativeHalf(half).code < 0


def test_tls12_has_no_key_update() -> None:
    with NativeHalf(tls12()) as native:
        assert native.update() < 0


@pytest.mark.parametrize(
    "half",
    [
        Half(Suite("AES_256_GCM", 16, 16, 8), False, bytes(16), bytes(4)),
        Half(AES256_GCM, False, bytes(32), bytes(12)),
        Half(AES256_GCM, True, bytes(32), bytes(12)),
    ],
    ids=["key too short", "iv too long", "no secret"],
)
def test_keys_of_a_wrong_shape_are_refused(half: Half) -> None:
    assert NativeHalf(half).code < 0


@settings(max_examples=300)
@given(halves(), st.binary(min_size=1, max_size=40), st.data())
def test_a_flipped_bit_is_never_opened(half: Half, content: bytes, data: st.DataObject) -> None:
    with NativeHalf(half) as native:
        record = bytearray(half.copy().seal(APPLICATION, content))
        at = data.draw(st.integers(0, len(record) - 1))
        record[at] ^= 1 << data.draw(st.integers(0, 7))
        assert isinstance(native.open(bytes(record)), int)


@given(halves(), st.binary(max_size=120))
def test_garbage_is_never_opened(half: Half, record: bytes) -> None:
    with NativeHalf(half) as native:
        assert isinstance(native.open(record), int)


@given(halves(), st.data())
def test_a_cut_record_is_never_opened(half: Half, data: st.DataObject) -> None:
    with NativeHalf(half) as native:
        record = half.seal(APPLICATION, b"payload")
        cut = record[: data.draw(st.integers(0, len(record) - 1))]
        assert isinstance(native.open(cut), int)
        if len(cut) >= 5:
            fixed = cut[:3] + (len(cut) - 5).to_bytes(2, "big") + cut[5:]
            assert isinstance(native.open(fixed), int)


@BOTH
def test_a_replayed_record_is_not_opened(half: Half) -> None:
    with NativeHalf(half) as native:
        record = half.copy().seal(APPLICATION, b"once")
        native.open(record)
        assert native.open(record) == lib.OC_FAULT_MAC


@BOTH
def test_the_longest_content_goes_through(half: Half) -> None:
    content = bytes(16384)
    with NativeHalf(half) as native:
        record = native.seal(APPLICATION, content)
        assert isinstance(record, bytes)
        with NativeHalf(half) as reader:
            assert reader.open(record) == (APPLICATION, content)


@BOTH
def test_longer_content_is_refused_both_ways(half: Half) -> None:
    with NativeHalf(half) as native:
        assert native.seal(APPLICATION, bytes(16385)) == lib.OC_FAULT_LENGTH
        assert native.open(half.copy().seal(APPLICATION, bytes(16385))) == lib.OC_FAULT_LENGTH


@BOTH
def test_nothing_is_written_past_the_room(half: Half) -> None:
    with NativeHalf(half) as native:
        assert native.seal(APPLICATION, bytes(100), room=120) == lib.OC_FAULT_LENGTH
        assert native.open(half.copy().seal(APPLICATION, bytes(100)), room=99) == lib.OC_FAULT_LENGTH


def test_a_tls13_record_of_padding_alone_is_refused() -> None:
    half = tls13()
    with NativeHalf(half) as native:
        assert native.open(half.seal(0, b"", padding=9)) == lib.OC_FAULT_EMPTY
