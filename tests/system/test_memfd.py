"""Sealed memfds cannot be changed; the shared page cannot change its size."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.errors import PeerViolation
from ocserv_core.model import Traffic
from ocserv_core.system.memfd import (
    COUNTERS,
    MAX_COUNTER,
    PAGE_SIZE,
    map_page,
    read_sealed,
    read_traffic,
    sealed_memfd,
    shared_page,
)


@given(st.binary(max_size=9000))
def test_what_was_sealed_is_read(data: bytes) -> None:
    fd = sealed_memfd("test", data)
    try:
        assert read_sealed(fd, 9000) == data
    finally:
        os.close(fd)


class TestSealed:
    def test_can_be_read_twice(self) -> None:
        fd = sealed_memfd("test", b"configuration")
        assert [read_sealed(fd, 100), read_sealed(fd, 100)] == [b"configuration"] * 2
        os.close(fd)

    @pytest.mark.parametrize("size", [0, 5, 50])
    def test_cannot_change_its_size(self, size: int) -> None:
        fd = sealed_memfd("test", b"configuration")
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
        os.close(fd)

    def test_cannot_be_written(self) -> None:
        fd = sealed_memfd("test", b"configuration")
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        os.close(fd)

    def test_larger_than_the_limit_is_refused(self) -> None:
        fd = sealed_memfd("test", b"x" * 11)
        with pytest.raises(PeerViolation, match="11 bytes, 10 are allowed"):
            read_sealed(fd, 10)
        os.close(fd)

    def test_a_memfd_that_is_not_sealed_is_refused(self) -> None:
        fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
        with pytest.raises(PeerViolation, match="not sealed"):
            read_sealed(fd, 10)
        os.close(fd)

    def test_a_file_is_refused(self) -> None:
        fd = os.open("/dev/null", os.O_RDONLY)
        with pytest.raises(PeerViolation, match="none"):
            read_sealed(fd, 10)
        os.close(fd)


class TestPage:
    def test_begins_with_zeros(self) -> None:
        fd = shared_page()
        with map_page(fd, writable=False) as page:
            assert read_traffic(page) == Traffic()
        os.close(fd)

    def test_what_one_side_counts_the_other_reads(self) -> None:
        fd = shared_page()
        with map_page(fd, writable=True) as worker, map_page(fd, writable=False) as main:
            COUNTERS.pack_into(worker, 0, 1, 2, 3, MAX_COUNTER)
            assert read_traffic(main) == Traffic(1, 2, 3, MAX_COUNTER)
        os.close(fd)

    def test_what_no_client_can_have_sent_is_not_believed(self) -> None:
        fd = shared_page()
        with map_page(fd, writable=True) as page:
            page[:] = b"\xff" * PAGE_SIZE
            assert read_traffic(page) == Traffic(*[MAX_COUNTER] * 4)
        os.close(fd)

    def test_main_maps_it_for_reading_only(self) -> None:
        fd = shared_page()
        with map_page(fd, writable=False) as page, pytest.raises(TypeError):
            page[0] = 1
        os.close(fd)

    @pytest.mark.parametrize("size", [0, PAGE_SIZE * 2])
    def test_a_worker_cannot_pull_it_away(self, size: int) -> None:
        fd = shared_page()
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
        os.close(fd)
