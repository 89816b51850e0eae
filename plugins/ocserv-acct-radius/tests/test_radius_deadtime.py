"""Which servers are asked, and in which order."""

from __future__ import annotations

from ocserv_acct_radius.deadtime import Order


def test_the_order_is_that_of_the_configuration() -> None:
    assert Order(["a", "b"], 60).at(0.0) == ("a", "b")


def test_a_silent_server_is_passed_over_for_its_dead_time() -> None:
    order = Order(["a", "b"], 60)
    order.silent("a", 100.0)
    assert order.at(159.9) == ("b",)
    assert order.at(160.0) == ("a", "b")


def test_without_a_dead_time_it_is_asked_first_again() -> None:
    order = Order(["a", "b"], 0)
    order.silent("a", 100.0)
    assert order.at(100.0) == ("a", "b")


def test_where_all_are_silent_all_are_asked() -> None:
    order = Order(["a", "b"], 60)
    order.silent("a", 100.0)
    order.silent("b", 100.0)
    assert order.at(101.0) == ("a", "b")


def test_one_that_answers_is_alive_and_that_is_news_once() -> None:
    order = Order(["a", "b"], 60)
    order.silent("a", 100.0)
    assert order.answered("a")
    assert not order.answered("a")
    assert order.at(101.0) == ("a", "b")
