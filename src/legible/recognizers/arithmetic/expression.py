"""What a sum means: two to four numbers in digits or Chinese numerals, the four operators, and how such a
question ends."""

import re
from dataclasses import dataclass
from functools import lru_cache

HAN_DIGITS = "零一二三四五六七八九"
OPERATORS = {
    "+": "+", "加": "+", "加上": "+",
    "-": "-", "减": "-", "减去": "-",
    "*": "*", "x": "*", "X": "*", "×": "*", "乘": "*", "乘以": "*", "乘上": "*",
    "/": "/", "÷": "/", "除": "/", "除以": "/",
}  # fmt: skip

_NUMBER = rf"\d{{1,4}}|[{HAN_DIGITS}十]{{1,3}}"
_OPERATOR = "|".join(re.escape(word) for word in sorted(OPERATORS, key=len, reverse=True))
_ENDING = r"(?:=|等于|是)?(?:几|多少)?=?\??"
_STEP = re.compile(rf"({_OPERATOR})({_NUMBER})")
_SUM = re.compile(rf"(-?\d{{1,4}}|{_NUMBER})((?:(?:{_OPERATOR})(?:{_NUMBER})){{1,3}}){_ENDING}")
# One of the numbers is asked for.
_RIDDLE = re.compile(rf"(?:\?(?:{_OPERATOR})\d{{1,4}}|\d{{1,4}}(?:{_OPERATOR})\?)=\d{{1,4}}")
# A minus sign and the numeral one are the same stroke: between two numbers in digits it is the sign.
_STROKE = re.compile(r"(?<=\d)一(?=\d)")
_HAN_NUMBER = re.compile(rf"(?:([{HAN_DIGITS[1:]}])?(十)([{HAN_DIGITS[1:]}])?)|([{HAN_DIGITS}])")


def _beginning(number: str, operator: str) -> str:
    """A pattern of all texts that a sum of such numbers can begin with."""
    ending = r"(?:=|等于?|是)?(?:几|多少?)?=?\??"
    later = f"(?:{number}){ending}"
    for _ in range(2):
        later = f"(?:{number})(?:{operator}(?:{later})?|{ending})"
    return f"(?:(?:{number})(?:{operator}(?:{later})?)?)?"


# Nobody writes one number in digits and the other in Chinese.
_BEGINNING = re.compile(
    "|".join(
        (
            "-?" + _beginning(r"\d{1,4}", f"(?:{_OPERATOR}|一)"),
            rf"\?(?:(?:{_OPERATOR})(?:\d{{1,4}}(?:=\d{{0,4}})?)?)?",
            rf"\d{{1,4}}(?:{_OPERATOR})\?(?:=\d{{0,4}})?",
            _beginning(rf"[{HAN_DIGITS}十]{{1,3}}", f"(?:{_OPERATOR})"),
        )
    )
)


@lru_cache(maxsize=4096)
def begins(text: str) -> bool:
    """Whether a sum can begin like this."""
    return _BEGINNING.fullmatch(text) is not None


class NotASum(ValueError):  # noqa: N818 - it says what the text is not
    """The text asks nothing that has an answer."""


class NoWholeAnswer(NotASum):
    """A sum that was understood and has no answer in whole numbers."""


@dataclass(frozen=True, slots=True)
class Sum:
    """`expression` in ASCII, as in "3+5", and its value."""

    expression: str
    value: int


def parse(text: str) -> Sum:
    """The sum that the text asks for; raises `NotASum` for anything else, a division that leaves a rest
    or a sum that asks for one of its numbers included."""
    text = text.replace(" ", "")
    if _RIDDLE.fullmatch(text):
        raise NoWholeAnswer(f"{text!r} asks for one of the numbers of a sum")
    match = _SUM.fullmatch(_STROKE.sub("-", text))
    if match is None:
        raise NotASum(f"{text!r} is no sum of two to four numbers")
    steps = _STEP.findall(match[2])
    numbers = [_number(number) for number in (match[1], *(number for _, number in steps))]
    signs = [OPERATORS[operator] for operator, _ in steps]
    expression = str(numbers[0]) + "".join(
        f"{sign}{number}" for sign, number in zip(signs, numbers[1:], strict=True)
    )
    return Sum(expression, _value(numbers, signs))


def _number(text: str) -> int:
    if text.isascii():
        return int(text)
    match = _HAN_NUMBER.fullmatch(text)
    if match is None:
        raise NotASum(f"{text!r} is no number up to 99")
    if match[4]:
        return HAN_DIGITS.index(match[4])
    tens = HAN_DIGITS.index(match[1]) if match[1] else 1
    return 10 * tens + (HAN_DIGITS.index(match[3]) if match[3] else 0)


def _value(numbers: list[int], signs: list[str]) -> int:
    """Products and quotients first, from left to right."""
    terms = [numbers[0]]
    for sign, number in zip(signs, numbers[1:], strict=True):
        if sign == "*":
            terms[-1] *= number
        elif sign == "/":
            if number == 0 or terms[-1] % number:
                raise NoWholeAnswer(f"{terms[-1]}/{number} is no whole number")
            terms[-1] //= number
        else:
            terms.append(number if sign == "+" else -number)
    return sum(terms)
