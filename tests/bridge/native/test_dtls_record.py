"""native/dtls_record.c against its model, and against records that were captured."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from ocserv_core.bridge._native import ffi, lib

from .. import captured
from ..dtls_model import EPOCH, DtlsHalf, Record, Window, records
from ..record_model import APPLICATION, HANDSHAKE, SUITES, Half, Suite

ROOM = 20000
WINDOW = lib.OC_WINDOW_BITS - 64


class Native:
    """One direction in C, with the keys of a model and a window of its own."""

    def __init__(self, like: Half) -> None:
        self._half, self._window = ffi.new("struct oc_half *"), ffi.new("struct oc_window *")
        cipher = getattr(lib, f"GNUTLS_CIPHER_{like.suite.name}")
        code = lib.oc_half_open(
            self._half, 0, cipher, like.key, len(like.key), like.iv, len(like.iv), like.seq, ffi.NULL, 0
        )
        assert code == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        lib.oc_half_close(self._half)

    def seal(self, content: bytes, kind: int = APPLICATION, room: int = ROOM) -> bytes | int:
        """The record, or a fault."""
        record = ffi.new("uint8_t[]", room)
        n = lib.oc_dtls_seal(self._half, kind, content, len(content), record, room)
        return bytes(ffi.buffer(record, n)) if n >= 0 else -n

    def open(self, record: bytes, room: int = ROOM, note: bool = True) -> bytes | int:
        """Its content, or a fault; -1 where it is no record."""
        data, header = ffi.new("uint8_t[]", record) if record else ffi.NULL, ffi.new("struct oc_dtls_header *")
        if lib.oc_dtls_parse(data, len(record), header) < 0:
            return -1
        plain = ffi.new("uint8_t[]", room)
        n = lib.oc_dtls_unseal(self._half, self._window, header, data, plain, room)
        if n < 0:
            return -n
        if note:
            lib.oc_window_note(self._window, header.number)
        return bytes(ffi.buffer(plain, n))


@st.composite
def halves(draw: st.DrawFn) -> Half:
    suite = draw(st.sampled_from(SUITES))
    key = draw(st.binary(min_size=suite.key_size, max_size=suite.key_size))
    iv_size = 4 if suite.explicit else 12
    iv = draw(st.binary(min_size=iv_size, max_size=iv_size))
    return Half(suite, False, key, iv, draw(st.integers(1, 3)) * EPOCH + draw(st.integers(0, 2**40)))


def fixed(suite: Suite = SUITES[1]) -> Half:
    return Half(suite, False, bytes(suite.key_size), b"salt" if suite.explicit else bytes(12), EPOCH + 1)


CONTENTS = st.lists(st.binary(max_size=1500), min_size=1, max_size=4)


# ---- records ----------------------------------------------------------------------------------------------------


@given(halves(), st.sampled_from([21, 22, 23]), CONTENTS)
def test_c_and_the_model_seal_alike(half: Half, kind: int, contents: list[bytes]) -> None:
    with Native(half) as native:
        model = DtlsHalf(half)
        for content in contents:
            assert native.seal(content, kind) == model.seal(content, kind)


@given(halves(), CONTENTS)
def test_c_opens_what_the_model_sealed(half: Half, contents: list[bytes]) -> None:
    with Native(half.copy()) as native:
        model = DtlsHalf(half)
        assert [native.open(model.seal(content)) for content in contents] == contents


@given(halves(), CONTENTS)
def test_the_model_opens_what_c_sealed(half: Half, contents: list[bytes]) -> None:
    with Native(half) as native:
        sealed = [native.seal(content) for content in contents]
        model = DtlsHalf(half)
        assert [model.open(records(one)[0]) for one in sealed if isinstance(one, bytes)] == contents


@pytest.mark.parametrize("one", captured.ALL.values(), ids=captured.ALL)
def test_captured_records_open(one: captured.Captured) -> None:
    with Native(one.half) as native:
        assert native.open(one.record) == one.plain
    assert DtlsHalf(one.half).open(records(one.record)[0]) == one.plain


@settings(max_examples=300)
@given(halves(), st.binary(min_size=1, max_size=40), st.data())
def test_a_flipped_bit_is_never_opened(half: Half, content: bytes, data: st.DataObject) -> None:
    with Native(half.copy()) as native:
        record = bytearray(DtlsHalf(half).seal(content))
        at = data.draw(st.integers(0, len(record) - 1))
        record[at] ^= 1 << data.draw(st.integers(0, 7))
        assert isinstance(native.open(bytes(record)), int)


@given(halves(), st.binary(max_size=120))
def test_garbage_is_never_opened(half: Half, record: bytes) -> None:
    with Native(half) as native:
        assert isinstance(native.open(record), int)


@given(halves(), st.data())
def test_a_cut_record_is_never_opened(half: Half, data: st.DataObject) -> None:
    with Native(half.copy()) as native:
        record = DtlsHalf(half).seal(b"payload")
        cut = record[: data.draw(st.integers(0, len(record) - 1))]
        assert native.open(cut) == -1
        if len(cut) >= 13:
            assert isinstance(native.open(cut[:11] + (len(cut) - 13).to_bytes(2, "big") + cut[13:]), int)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_longest_content_goes_through_and_no_longer(suite: Suite) -> None:
    with Native(fixed(suite)) as native:
        record = native.seal(bytes(16384))
        assert isinstance(record, bytes)
        assert native.open(record) == bytes(16384)
        assert native.seal(bytes(16385)) == lib.OC_FAULT_LENGTH
        assert native.open(DtlsHalf(fixed(suite)).seal(bytes(16385))) == lib.OC_FAULT_LENGTH


def test_nothing_is_written_past_the_room() -> None:
    with Native(fixed()) as native:
        assert native.seal(bytes(100), room=100 + 36) == lib.OC_FAULT_LENGTH
        assert isinstance(native.seal(bytes(100), room=100 + 37), bytes)
        assert native.open(DtlsHalf(fixed()).seal(bytes(100)), room=99) == lib.OC_FAULT_LENGTH


def test_other_versions_are_not_opened() -> None:
    with Native(fixed()) as native:
        record = DtlsHalf(fixed()).seal(b"x")
        assert native.open(b"\x17\xfe\xff" + record[3:]) == lib.OC_FAULT_HEADER


def test_the_last_number_of_an_epoch_is_never_used() -> None:
    half = fixed()
    half.seq = 2 * EPOCH - 2
    with Native(half) as native:
        assert isinstance(native.seal(b"last"), bytes)
        assert native.seal(b"one more") == lib.OC_FAULT_LENGTH


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_overhead_is_what_a_record_is_longer(suite: Suite) -> None:
    with Native(fixed(suite)) as native:
        record = native.seal(b"x" * 10)
        assert isinstance(record, bytes)
        assert lib.oc_dtls_overhead(native._half) == len(record) - 10


def test_the_model_refuses_what_was_changed() -> None:
    record = records(DtlsHalf(fixed()).seal(b"x"))[0]
    with pytest.raises(InvalidTag):
        DtlsHalf(fixed()).open(Record(HANDSHAKE, record.number, record.body))


# ---- replay -----------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 2**47),
    st.lists(st.one_of(st.integers(0, 70), st.integers(-1200, 1200), st.integers(-5000, 5000)), max_size=300),
)
def test_the_window_is_the_model_s(start: int, steps: list[int]) -> None:
    native, model, at = ffi.new("struct oc_window *"), Window(WINDOW), start
    for step in steps:
        at = max(at + step, 0)
        admitted = bool(lib.oc_window_admits(native, at))
        assert admitted == model.admits(at)
        if admitted:
            lib.oc_window_note(native, at)
            model.note(at)
        assert native.next == model.next


def test_a_replayed_record_is_refused_and_asking_does_not_note() -> None:
    with Native(fixed()) as native:
        record = DtlsHalf(fixed()).seal(b"once")
        assert native.open(record, note=False) == b"once"
        assert native.open(record) == b"once"
        assert native.open(record) == lib.OC_FAULT_REPLAY


def test_records_that_are_reordered_by_less_than_the_window_open_once() -> None:
    model = DtlsHalf(fixed())
    sealed = [model.seal(i.to_bytes(4, "big")) for i in range(2000)]
    with Native(fixed()) as native:
        for i in range(900, 2000):
            assert native.open(sealed[i]) == i.to_bytes(4, "big")
            assert native.open(sealed[i - 900]) == (i - 900).to_bytes(4, "big") if i < 1800 else lib.OC_FAULT_REPLAY
