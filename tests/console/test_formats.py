"""Amounts, durations and times as people see them."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legible.console.formats import (
    milliseconds,
    money,
    number,
    parse_money,
    parse_whole,
    percent,
    zone,
    zone_names,
)
from legible.money import yuan


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (0, "¥0.00"),
        (1_000, "¥0.001"),
        (-1, "−¥0.000001"),
        (1_234_500_000, "¥1,234.50"),
        (-10_000_000, "−¥10.00"),
        (None, "–"),
    ],
)
def test_amounts_have_separators_and_as_many_decimals_as_they_need(micros, shown) -> None:
    assert money(micros) == shown


@given(st.integers(0, 10**15))
def test_what_is_shown_can_be_typed_in_again(micros) -> None:
    assert parse_money(money(micros)) == micros
    assert parse_money(yuan(micros)) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ten",
        "-1",
        "NaN",
        "sNaN",
        "Infinity",
        "1e400",
        "1e999999999",
        "1_0",
        "1e3",
        "0,5",
        "1,23",
        "12,34.5",
        "--1",
        "0.0000001",
        "¥",
    ],
)
def test_what_is_no_amount_is_refused(text) -> None:
    assert parse_money(text) is None


@pytest.mark.parametrize("text", ["1234.5", "１２３４.5", "¥1,234.50", "￥1234.5", " ￥ 1,234.5 "])
def test_an_amount_may_have_the_sign_of_either_keyboard(text) -> None:
    assert parse_money(text) == 1_234_500_000


def test_a_number_has_separators_and_no_exponent() -> None:
    assert [number(value) for value in (0, 0.5, 100, 1_234_567, 2e6)] == [
        "0", "0.5", "100", "1,234,567", "2,000,000"
    ]  # fmt: skip


def test_durations_and_shares() -> None:
    assert [milliseconds(value) for value in (None, 12, 1530)] == ["–", "12 ms", "1.53 s"]
    assert [percent(3, 4), percent(0, 0)] == ["75.0%", "–"]
    # What is not whole is never said to be.
    assert [percent(9_999, 10_000), percent(0.99996, 1), percent(7, 7)] == ["99.9%", "99.9%", "100.0%"]


def test_an_unknown_zone_is_utc() -> None:
    assert "UTC" in zone_names()
    assert all(zone(name) is UTC for name in ("No/Where", "../etc/passwd", None))


@pytest.mark.parametrize(
    ("typed", "number"),
    [("0", 0), (" 1,000,000 ", 1_000_000), ("５", 5), ("１，０００", 1000), ("007", 7)]
    + [(text, None) for text in ("", "0,5", "1,5", "1,,,", "12,34", "²", "1²", "-1", "1.5", "abc", "9" * 19)],
)
def test_a_whole_number_may_have_separators_and_no_decimal_mark(typed: str, number: int | None) -> None:
    assert parse_whole(typed) == number
