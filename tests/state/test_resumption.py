"""TLS 1.2 session data is given back to the client that it was kept for, and to nobody else."""

from __future__ import annotations

import msgspec
import pytest

from ocserv_core.state.resumption import ResumptionCache, ResumptionEntry, capacity_for

NOW = 50.0
WHOSE = {"vhost": "default", "address": "192.0.2.7"}


@pytest.fixture
def cache() -> ResumptionCache:
    """One session is kept."""
    cache = ResumptionCache(capacity=3, lifetime=300)
    cache.store(b"id", b"data", **WHOSE, now=NOW)
    return cache


def test_it_is_given_back(cache: ResumptionCache) -> None:
    assert cache.fetch(b"id", **WHOSE, now=NOW + 299) == b"data"


def test_not_after_its_lifetime(cache: ResumptionCache) -> None:
    assert cache.fetch(b"id", **WHOSE, now=NOW + 300) is None


@pytest.mark.parametrize("other", [{"vhost": "other"}, {"address": "198.51.100.7"}])
def test_not_elsewhere(cache: ResumptionCache, other: dict[str, str]) -> None:
    assert cache.fetch(b"id", **{**WHOSE, **other}, now=NOW) is None


def test_not_once_it_was_deleted(cache: ResumptionCache) -> None:
    cache.delete(b"id", **WHOSE)
    assert cache.fetch(b"id", **WHOSE, now=NOW) is None


def test_another_client_does_not_delete_it(cache: ResumptionCache) -> None:
    cache.delete(b"id", vhost="default", address="198.51.100.7")
    assert cache.fetch(b"id", **WHOSE, now=NOW) == b"data"


def test_another_client_does_not_overwrite_it(cache: ResumptionCache) -> None:
    assert not cache.store(b"id", b"forged", vhost="default", address="198.51.100.7", now=NOW)
    assert cache.fetch(b"id", **WHOSE, now=NOW) == b"data"


def test_its_client_does(cache: ResumptionCache) -> None:
    cache.store(b"id", b"newer", **WHOSE, now=NOW)
    assert cache.fetch(b"id", **WHOSE, now=NOW) == b"newer"


@pytest.mark.parametrize(
    ("session_id", "data"), [(b"", b"data"), (b"x" * 33, b"data"), (b"new", b""), (b"new", b"x" * 4097)]
)
def test_what_is_too_large_or_empty_is_not_kept(cache: ResumptionCache, session_id: bytes, data: bytes) -> None:
    assert not cache.store(session_id, data, **WHOSE, now=NOW)
    assert len(cache) == 1


def test_the_largest_is_kept(cache: ResumptionCache) -> None:
    assert cache.store(b"x" * 32, b"x" * 4096, **WHOSE, now=NOW)


def test_when_it_is_full_the_oldest_makes_room(cache: ResumptionCache) -> None:
    for name in (b"2", b"3", b"4"):
        cache.store(name, b"data", **WHOSE, now=NOW)
    assert [entry.session_id for entry in cache.entries()] == [b"2", b"3", b"4"]


def test_what_has_expired_makes_room_first(cache: ResumptionCache) -> None:
    cache.store(b"2", b"data", **WHOSE, now=NOW + 200)
    cache.store(b"3", b"data", **WHOSE, now=NOW + 200)
    cache.store(b"4", b"data", **WHOSE, now=NOW + 300)
    assert [entry.session_id for entry in cache.entries()] == [b"2", b"3", b"4"]


def test_it_comes_back_as_it_was(cache: ResumptionCache) -> None:
    encoded = msgspec.msgpack.encode(cache.entries())
    again = ResumptionCache(3, 300, msgspec.msgpack.decode(encoded, type=list[ResumptionEntry]))
    assert again.fetch(b"id", **WHOSE, now=NOW) == b"data"


@pytest.mark.parametrize(("max_clients", "capacity"), [(0, 1024), (1, 64), (32, 64), (1000, 2000)])
def test_the_capacity_follows_max_clients(max_clients: int, capacity: int) -> None:
    assert capacity_for(max_clients) == capacity
