"""What a sum means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legible.recognizers.arithmetic.expression import HAN_DIGITS, NotASum, NoWholeAnswer, begins, parse


@pytest.mark.parametrize(
    ("text", "expression", "value"),
    [
        ("3+5=?", "3+5", 8),
        ("57-76=?", "57-76", -19),
        ("12x3=", "12*3", 36),
        ("69*75=", "69*75", 5175),
        ("8÷2", "8/2", 4),
        ("9/3=?", "9/3", 3),
        ("8-1x5=?", "8-1*5", 3),
        ("10÷5+3", "10/5+3", 5),
        ("2 + 3 = ?", "2+3", 5),
        ("八加四=?", "8+4", 12),
        ("二十三减十五等于几", "23-15", 8),
        ("七乘以六等于多少?", "7*6", 42),
        ("二十除以十=", "20/10", 2),
        ("40减3=?", "40-3", 37),
        ("零加一等于?", "0+1", 1),
        ("4一3=?", "4-3", 1),
        ("2+6+6+4=?", "2+6+6+4", 18),
        ("20-3x4/2=", "20-3*4/2", 14),
        ("九加八减七加六等于几", "9+8-7+6", 16),
        ("-3+5=?", "-3+5", 2),
        ("-三加五=", "-3+5", 2),
        ("1+2+3+4+5=?", "1+2+3+4+5", 15),
        ("(3+4)x2=?", "(3+4)*2", 14),
        ("20-2x(3+4)", "20-2*(3+4)", 6),
        ("(3+4)=?", "(3+4)", 7),
        ("3.5+6.5=?", "3.5+6.5", 10),
        ("?=7+4", "7+4", 11),
        ("3·8=?", "3*8", 24),
        ("8:2=?", "8/2", 4),
        ("请计算:两加六等于几", "2+6", 8),
        ("计算3+5=", "3+5", 8),
        ("壹加贰等于", "1+2", 3),
        ("-8/2", "-8/2", -4),
        ("3+5=??", "3+5", 8),
        ("3+(-5)=?", "3+(-5)", -2),
        ("(-5)x3=?", "(-5)*3", -15),
        ("二十三=?", "2+3", 5),
        ("计算:四十八等于", "4+8", 12),
        ("二十三加一=?", "23+1", 24),
    ],
)
def test_a_sum_is_worked_out(text: str, expression: str, value: int) -> None:
    assert (parse(text).expression, parse(text).value) == (expression, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3+=?",
        "+3=?",
        "=?",
        "hello",
        "3",
        "(3)",
        "(-3)=?",
        "二十三",
        "二十=?",
        "3==4",
        "1+2+3+4+5+6+7",
        "1+2+3+",
        "二二加三",
        "--3+5",
        "(3+4",
        "3+(4",
    ],
)
def test_what_is_no_sum_is_refused(text: str) -> None:
    with pytest.raises(NotASum):
        parse(text)


@pytest.mark.parametrize("text", ["7/2=?", "5÷0", "八除以三等于几", "6/4*2", "1.5+1=?"])
def test_a_division_that_leaves_a_rest_is_refused(text: str) -> None:
    with pytest.raises(NoWholeAnswer):
        parse(text)


@pytest.mark.parametrize("text", ["3+?=8", "?-4=12", "?x5=10"])
def test_a_sum_that_asks_for_one_of_its_numbers_is_refused(text: str) -> None:
    with pytest.raises(NoWholeAnswer, match="one of the numbers"):
        parse(text)


@pytest.mark.parametrize("text", ["7+8=15", "2+6=8", "12-3=10", "7+8=7"])
def test_a_sum_that_is_worked_out_asks_nothing(text: str) -> None:
    with pytest.raises(NoWholeAnswer, match="already"):
        parse(text)


@given(
    st.integers(0, 99), st.sampled_from("+-*"), st.integers(0, 99), st.sampled_from(["=?", "=", "", "等于几"])
)
def test_every_sum_of_two_numbers_has_the_value_python_gives_it(
    left: int, sign: str, right: int, ending: str
) -> None:
    expected = {"+": left + right, "-": left - right, "*": left * right}[sign]
    assert parse(f"{left}{sign}{right}{ending}").value == expected


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
def test_chinese_numerals_up_to_99_are_read(tens: int, ones: int, other: int) -> None:
    numeral = ("" if tens == 1 else HAN_DIGITS[tens]) + "十" + (HAN_DIGITS[ones] if ones else "")
    assert parse(f"{numeral}加{HAN_DIGITS[other]}等于几").value == 10 * tens + ones + other


@pytest.mark.parametrize(
    "text",
    [
        "3+5=?",
        "8-1x5=?",
        "10÷5+3",
        "二十三减十五等于几",
        "七乘以六等于多少?",
        "4一3=?",
        "12+3-4x5=?",
        "-3+5=?",
        "3+?=8",
        "?-4=12",
        "(3+4)x2=?",
        "2x(3+4)=",
        "3.5+6.5=?",
        "?=7+4",
        "7+8=15",
        "请计算:两加六等于几",
        "1+2+3+4+5=",
        "3+(-5)=??",
        "(-5)+3=",
        "二十三等于几",
    ],
)
def test_every_beginning_of_a_sum_can_be_one(text: str) -> None:
    assert all(begins(text[:length]) for length in range(len(text) + 1))


@pytest.mark.parametrize(
    "text",
    ["+", "3=", "3?", "12345", "3++", "6乘九", "六乘9", "1+2+3+4+5+6+", "(3)", "3+5=?8", "--", "??", "?+?"],
)
def test_what_no_sum_begins_with_is_not_followed(text: str) -> None:
    assert not begins(text)
