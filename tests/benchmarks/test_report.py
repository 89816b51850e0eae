"""From rounds to rows: each round is compared with itself, so that a busy moment counts for both servers."""

from __future__ import annotations

from benchmarks.report import Round, summarize, table


def rounds(*pairs: tuple[float, float], key: str = "connect.cpu") -> list[Round]:
    """One figure of both servers, round by round."""
    return [{"ours": {key: mine}, "theirs": {key: other}} for mine, other in pairs]


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    (row,) = summarize(rounds((10, 10), (30, 10), (100, 50)), "ours", "theirs")
    assert (row.ratio, row.ratio_spread) == (2.0, (1.0, 3.0))


def test_values_are_medians_of_their_own() -> None:
    (row,) = summarize(rounds((1, 9), (2, 8), (7, 7)), "ours", "theirs")
    assert (row.ours, row.theirs, row.ours_spread) == (2, 8, (1, 7))


def test_a_ratio_is_judged() -> None:
    (row,) = summarize(rounds((13, 10)), "ours", "theirs")
    assert (row.goal, row.reached) == ("ratio ≤ 1.2", False)


def test_a_rate_must_be_high() -> None:
    (row,) = summarize(rounds((95, 100), key="connect.rate"), "ours", "theirs")
    assert row.reached is True


def test_a_value_is_judged_without_the_other_server() -> None:
    (row,) = summarize(rounds((2.9, 1.1), key="idle.pss"), "ours", "theirs")
    assert row.reached is True


def test_what_the_other_server_has_not_has_no_ratio() -> None:
    (row,) = summarize(rounds((4.7, 0), key="idle.nursery"), "ours", "theirs")
    assert (row.ratio, row.ratio_spread) == (None, None)


def test_what_was_not_measured_has_no_row() -> None:
    assert [row.key for row in summarize(rounds((1, 1)), "ours", "theirs")] == ["connect.cpu"]


def test_what_one_server_cannot_has_neither_ratio_nor_verdict() -> None:
    (row,) = summarize([{"ours": {}, "theirs": {"connect.cpu": 9}}], "ours", "theirs")
    assert (row.ours, row.theirs, row.ratio, row.reached) == (None, 9, None, None)


def test_a_round_that_lacks_a_figure_is_left_out() -> None:
    (row,) = summarize([*rounds((1, 10)), {"ours": {}, "theirs": {"connect.cpu": 10}}], "ours", "theirs")
    assert (row.ours, row.ratio) == (1, 0.1)


def test_the_table_lines_up() -> None:
    lines = table(summarize(rounds((13, 10)), "ours", "theirs")).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split(" | ")[-1].strip(" |") == "NOT reached"
