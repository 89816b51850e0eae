"""Text of strangers."""

from __future__ import annotations

from ocserv_acct_radius.words import LONGEST, flat, message


def test_a_message_keeps_its_lines_and_loses_its_controls() -> None:
    assert message(["Enter\x07 your code\r\n\r\n", "now\x1b[31m"]) == "Enter your code\nnow[31m"


def test_a_message_ends() -> None:
    assert len(message(["x" * 5000])) == len(flat("x" * 5000)) == LONGEST


def test_a_line_of_the_log_is_one_line() -> None:
    assert flat("no\nentry\x00 here") == "no entry here"
