import pytest
from hypothesis import given
from hypothesis import strategies as st

from legible.money import LARGEST_MICROS, parse_yuan, yuan


@pytest.mark.parametrize(
    ("micros", "shown"),
    [(0, "0"), (1, "0.000001"), (95_500_000, "95.5"), (-1_000, "-0.001"), (10**9, "1000")],
)
def test_an_amount_is_shown_in_yuan(micros, shown):
    assert yuan(micros) == shown


@given(st.integers(1, LARGEST_MICROS))
def test_what_is_shown_is_read_back_without_loss(micros):
    assert parse_yuan(yuan(micros)) == micros


@pytest.mark.parametrize(
    ("text", "micros"), [("1", 1_000_000), (" 0.5 ", 500_000), ("1e3", 10**9), ("95.50", 95_500_000)]
)
def test_an_amount_may_be_written_as_people_do(text, micros):
    assert parse_yuan(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-3",
        "abc",
        "",
        "nan",
        "snan",
        "inf",
        "-inf",
        "1e-7",
        "1e400",
        "1e999999999",
        "1000000001",
        "1,5",
        "1_0",
        "0.1" + "0" * 30 + "1",
        "1e-999999999",
    ],
)
def test_what_is_no_amount_is_none(text):
    assert parse_yuan(text) is None
