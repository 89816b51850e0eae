"""One-time passwords: the vectors of the RFCs, windows, replays, the lines of a users file."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.builtin.otp import WINDOW, Accepted, Token, build_line, check, hotp, parse_token

SECRET = b"12345678901234567890"
HEX = SECRET.hex()
NOW = 1_800_000_015.0


def token(line: str) -> Token:
    found = parse_token(line.encode())
    assert found is not None
    return found


def code(steps: int = 0, *, step: int = 30, digits: int = 6, now: float = NOW) -> str:
    """That of so many steps from now."""
    return hotp(SECRET, int(now) // step + steps, digits)


# ---- RFC 4226, RFC 6238 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "expected"),
    list(
        enumerate(["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"])
    ),
)
def test_codes_by_a_counter_are_those_of_rfc_4226(counter: int, expected: str) -> None:
    assert hotp(SECRET, counter, 6) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_by_the_time_are_those_of_rfc_6238(at: int, expected: str) -> None:
    assert check(token(f"HOTP/T30/8 alice - {HEX}"), expected, at) == Accepted(0)


@pytest.mark.skipif(shutil.which("oathtool") is None, reason="needs oathtool")
@pytest.mark.parametrize("secret", ["00", "3132333435363738393031323334353637383930", "ff" * 64])
@pytest.mark.parametrize("digits", ["6", "7", "8"])
def test_codes_are_those_of_oathtool(secret: str, digits: str) -> None:
    argv = ["oathtool", "--counter=7", "--window=9", f"--digits={digits}", secret]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout.split()
    assert [hotp(bytes.fromhex(secret), counter, int(digits)) for counter in range(7, 17)] == said


# ---- by a counter -------------------------------------------------------------------------------------------------


def test_a_counter_without_a_last_code_is_the_next_one() -> None:
    counting = token(f"HOTP alice - {HEX} 5")
    assert check(counting, hotp(SECRET, 5, 6), NOW) == Accepted(5)
    assert check(counting, hotp(SECRET, 4, 6), NOW) is None


def test_with_a_last_code_it_is_that_one_s() -> None:
    counting = token(f"HOTP alice - {HEX} 5 {hotp(SECRET, 5, 6)} 2026-11-24T21:09:36L")
    assert check(counting, hotp(SECRET, 5, 6), NOW) is None
    assert check(counting, hotp(SECRET, 6, 6), NOW) == Accepted(6)


@pytest.mark.parametrize(("ahead", "accepted"), [(WINDOW, True), (WINDOW + 1, False)])
def test_a_counter_may_be_ahead_by_the_window(ahead: int, accepted: bool) -> None:
    counting = token(f"HOTP alice - {HEX} 5")
    assert (check(counting, hotp(SECRET, 5 + ahead, 6), NOW) is not None) == accepted


def test_a_counter_may_be_as_large_as_it_gets() -> None:
    assert check(token(f"HOTP alice - {HEX} {10**18 - 1}"), hotp(SECRET, 10**18, 6), NOW) == Accepted(10**18)


# ---- by the time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "accepted"), [(-21, False), (-20, True), (0, True), (20, True), (21, False)])
@pytest.mark.parametrize("step", [30, 60])
def test_a_clock_may_be_off_by_the_window(steps: int, accepted: bool, step: int) -> None:
    timed = token(f"HOTP/T{step} alice - {HEX}")
    assert check(timed, code(steps, step=step), NOW) == (Accepted(steps) if accepted else None)


@pytest.mark.parametrize(("steps", "accepted"), [(-1, False), (0, False), (1, True)])
def test_only_what_is_newer_than_the_last_code_counts(steps: int, accepted: bool) -> None:
    used = token(f"HOTP/T30 alice - {HEX} 0 {code(0)} never")
    assert (check(used, code(steps), NOW) is not None) == accepted


def test_a_code_of_the_future_stays_used_when_its_time_comes() -> None:
    used = token(f"HOTP/T30 alice - {HEX} 20 {code(20)} never")
    later = NOW + 20 * 30
    assert check(used, code(20), later, [NOW]) is None
    assert check(used, code(19), later, [NOW]) is None
    assert check(used, code(21), later, [NOW]) == Accepted(1)


def test_when_the_clock_goes_back_used_codes_stay_used() -> None:
    used = token(f"HOTP/T30 alice - {HEX} 0 {code(0)} then")
    earlier = NOW - 3600
    assert check(used, code(-120), earlier, [NOW]) is None
    assert check(used, code(0), earlier, [NOW]) is None


def test_a_last_code_that_is_none_holds_nobody_up() -> None:
    assert check(token(f"HOTP/T30 alice - {HEX} 0 000000 never"), code(0), NOW) == Accepted(0)


def test_a_clock_at_its_begin_is_a_clock() -> None:
    assert check(token(f"HOTP/T30 alice - {HEX}"), hotp(SECRET, 0, 6), 0.0) == Accepted(0)


@given(st.text())
def test_any_other_text_is_no_code(text: str) -> None:
    if text not in {code(steps) for steps in range(-WINDOW, WINDOW + 1)}:
        assert check(token(f"HOTP/T30 alice - {HEX}"), text, NOW) is None


# ---- lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "step", "digits"),
    [
        ("HOTP", 0, 6),
        ("HOTP/E", 0, 6),
        ("HOTP/E/8", 0, 8),
        ("HOTP/7", 0, 7),
        ("HOTP/T30", 30, 6),
        ("HOTP/T60/7", 60, 7),
        ("HOTP/T300/8", 300, 8),
    ],
)
def test_a_type_says_what_codes_are_made_of(kind: str, step: int, digits: int) -> None:
    found = token(f"{kind}\talice  -\t{HEX}")
    assert (found.username, found.step, found.digits, found.secret) == ("alice", step, digits, SECRET)


@pytest.mark.parametrize("line", ["", "   ", "\t\r", "# HOTP alice - 00", "#"])
def test_what_is_no_line_is_passed_over(line: str) -> None:
    assert parse_token(line.encode()) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"MOTP alice - {HEX}", "the type 'MOTP' is not HOTP, HOTP/T30 or the like"),
        (f"HOTP/T0 alice - {HEX}", "the type 'HOTP/T0' is not"),
        (f"HOTP/E/9 alice - {HEX}", "the type 'HOTP/E/9' is not"),
        ("HOTP alice -", "it is not TYPE USER PIN SECRET"),
        (f"HOTP alice - {HEX} 0 755224", "it is not TYPE USER PIN SECRET"),
        ("HOTP alice - 123", "the secret is not hexadecimal"),
        ("HOTP alice - xyz0", "the secret is not hexadecimal"),
        (f"HOTP alice - {HEX} first", "the counter is not a number"),
        (f"HOTP alice - {HEX} {10**30}", "the counter is not a number"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        parse_token(line.encode())


@given(st.binary(max_size=200))
def test_any_line_is_a_token_or_nothing_or_an_error(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_token(line)


def test_a_line_is_written_with_what_was_used() -> None:
    line = build_line(token(f"HOTP/T30  alice 1234   {HEX} 0 000000 x"), "755224", -3, "2026-11-24T21:09:36L")
    assert line.decode() == f"HOTP/T30\talice\t1234\t{HEX}\t-3\t755224\t2026-11-24T21:09:36L"


def test_no_repr_has_the_secret_or_a_code() -> None:
    said = repr(token(f"HOTP alice 1234 {HEX} 0 755224 x"))
    assert not any(word in said for word in (HEX, str(SECRET), "755224", "1234"))
