"""The client offers, the server picks one or none."""

from __future__ import annotations

import pytest

from ocserv_core.config.values import AlgorithmPriority
from ocserv_core.protocol.compression import choose_compression

LZS_FIRST = (AlgorithmPriority("lzs", 100),)


@pytest.mark.parametrize("offered", [("oc-lz4", "lzs"), ("lzs", "oc-lz4"), ("deflate", "lzs", "oc-lz4")])
def test_the_server_has_the_choice(offered: tuple[str, ...]) -> None:
    assert choose_compression(offered) == "oc-lz4"


@pytest.mark.parametrize("offered", [("oc-lz4", "lzs"), ("lzs", "oc-lz4")])
def test_the_ranks_are_the_administrators(offered: tuple[str, ...]) -> None:
    assert choose_compression(offered, LZS_FIRST) == "lzs"


def test_the_last_line_for_an_algorithm_wins() -> None:
    assert choose_compression(("oc-lz4", "lzs"), (*LZS_FIRST, AlgorithmPriority("lzs", 1))) == "oc-lz4"


def test_only_what_was_offered_is_chosen() -> None:
    assert choose_compression(("lzs",)) == "lzs"


@pytest.mark.parametrize("offered", [(), ("deflate",), ("OC-LZ4 ", "lz4")])
def test_what_is_not_served_is_not_chosen(offered: tuple[str, ...]) -> None:
    assert choose_compression(offered) == ""


def test_a_rank_makes_no_algorithm() -> None:
    assert choose_compression(("deflate",), (AlgorithmPriority("deflate", 99),)) == ""
