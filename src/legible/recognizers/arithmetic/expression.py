"""What a sum means: numbers in digits or Chinese numerals, the four operators, brackets, and how such a
question is asked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

HAN_DIGITS = "零一二三四五六七八九"
# Other ways to write them: two things that are counted, and the numerals of banks.
HAN_VARIANTS = str.maketrans("两壹贰叁肆伍陆柒捌玖", "二一二三四五六七八九")
OPERATORS = {
    "+": "+", "加": "+", "加上": "+",
    "-": "-", "减": "-", "减去": "-",
    "*": "*", "x": "*", "X": "*", "×": "*", "·": "*", "乘": "*", "乘以": "*", "乘上": "*",
    "/": "/", "÷": "/", ":": "/", "除": "/", "除以": "/",
}  # fmt: skip
MOST_NUMBERS = 6
WHOLE, FEWER = f"{{1,{MOST_NUMBERS - 1}}}", f"{{0,{MOST_NUMBERS - 2}}}"

_DIGITS, _SOME_DIGITS = r"\d{1,4}(?:\.\d{1,2})?", r"(?:\d{1,4}(?:\.\d{0,2})?)?"
_HAN, _SOME_HAN = f"[{HAN_DIGITS}十]{{1,3}}", f"[{HAN_DIGITS}十]{{0,3}}"
_OPERATOR = "|".join(re.escape(word) for word in sorted(OPERATORS, key=len, reverse=True))
_PREFIX, _SOME_PREFIX = r"(?:请?计算:?)?", r"(?:请|请?计|请?计算:?)?"
# A mark that asks, or what it is often taken for; words that ask.
_ENDING, _SOME_ENDING = (
    r"(?:(?:=|等于|是)?(?:几|多少)?=?\?{0,3})",
    r"(?:(?:=|等于?|是)?(?:几|多少?)?=?\?{0,3})",
)
_TOKEN = re.compile(rf"({_DIGITS}|{_HAN})|({_OPERATOR})|([()])")
# A minus sign and the numeral one are the same stroke: between two numbers in digits it is the sign.
_STROKE = re.compile(r"(?<=\d)一(?=\d)")
# A plus sign and the numeral ten too. One number alone is never asked.
_CROSS = re.compile(rf"({_PREFIX}(?:\?=)?[{HAN_DIGITS}])十([{HAN_DIGITS}](?=.){_ENDING})")
_HAN_NUMBER = re.compile(rf"(?:([{HAN_DIGITS[1:]}])?(十)([{HAN_DIGITS[1:]}])?)|([{HAN_DIGITS}])")


def _body(number: str, operator: str, steps: str) -> str:
    """A pattern of sums of such numbers, up to their ending, of so many `steps`, as "{1,5}"."""
    inner = rf"\((?:-?(?:{number})(?:(?:{operator})(?:{number})){{1,2}}|-(?:{number}))\)"
    term = f"(?:{number}|{inner})"
    return f"-?(?:{inner}|{term}(?:(?:{operator}){term}){steps})"


def _beginning(number: str, some: str, operator: str) -> str:
    """A pattern of all that such sums can begin with."""
    step = rf"(?:{operator})(?:{number})"
    inside = [f"-?{some}", f"-?(?:{number})(?:{step})?(?:{operator}){some}"]
    bracket = rf"\((?:{'|'.join(inside)}|(?:-?(?:{number})(?:{step}){{1,2}}|-(?:{number}))\)?)"
    started = f"(?:{some}|{bracket})"
    further = f"{_body(number, operator, FEWER)}(?:{operator}){started}"
    return f"(?:-?{started}|{further}|{_body(number, operator, WHOLE)}(?:{_SOME_ENDING}|=\\d{{0,4}}))"


_SUM = re.compile(
    rf"{_PREFIX}(?:\?=)?({_body(_DIGITS, _OPERATOR, WHOLE)}|{_body(_HAN, _OPERATOR, WHOLE)})"
    rf"(?:{_ENDING}|=(\d{{1,4}}))"
)
# One of the numbers is asked for.
_RIDDLE = re.compile(rf"{_PREFIX}(?:\?(?:{_OPERATOR}){_DIGITS}|{_DIGITS}(?:{_OPERATOR})\?)=\d{{1,4}}")
# Nobody writes one number in digits and the other in Chinese.
_BEGINNING = re.compile(
    "|".join(
        (
            _SOME_PREFIX,
            rf"{_PREFIX}(?:\?=)?{_beginning(_DIGITS, _SOME_DIGITS, f'{_OPERATOR}|一')}",
            rf"{_PREFIX}(?:\?=)?{_beginning(_HAN, _SOME_HAN, _OPERATOR)}",
            rf"{_PREFIX}(?:\?=)?[{HAN_DIGITS}]十[{HAN_DIGITS}]{_SOME_ENDING}",
            rf"{_PREFIX}\?(?:=|(?:{_OPERATOR})(?:{_SOME_DIGITS}|{_DIGITS}=\d{{0,4}}))?",
            rf"{_PREFIX}{_DIGITS}(?:{_OPERATOR})\?(?:=\d{{0,4}})?",
        )
    )
)


@lru_cache(maxsize=4096)
def begins(text: str) -> bool:
    """Whether a sum can begin like this."""
    return _BEGINNING.fullmatch(text.translate(HAN_VARIANTS)) is not None


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
    """The sum that the text asks for; raises `NotASum` for anything else, and `NoWholeAnswer` for a division
    that leaves a rest, a sum that asks for one of its numbers, and one that is worked out already."""
    text = text.replace(" ", "").translate(HAN_VARIANTS)
    if _RIDDLE.fullmatch(text):
        raise NoWholeAnswer(f"{text!r} asks for one of the numbers of a sum")
    crossed = _CROSS.fullmatch(text)
    text = _STROKE.sub("-", text) if crossed is None else f"{crossed[1]}+{crossed[2]}"
    match = _SUM.fullmatch(text)
    tokens = [] if match is None else list(_tokens(match[1]))
    numbers = sum(token[0].isdigit() for token in tokens)
    if match is None or not 2 <= numbers <= MOST_NUMBERS:
        raise NotASum(f"{text!r} is no sum of two to {MOST_NUMBERS} numbers")
    expression = "".join(tokens)
    value = _Reader(tokens).value()
    if value.denominator != 1:
        raise NoWholeAnswer(f"{expression} is no whole number")
    if match[2]:
        raise NoWholeAnswer(f"{text!r} is worked out already")
    return Sum(expression, int(value))


def _tokens(body: str) -> Iterator[str]:
    """Numbers in digits, operators and brackets, all in ASCII."""
    for number, operator, bracket in _TOKEN.findall(body):
        yield _number(number) if number else OPERATORS[operator] if operator else bracket


def _number(text: str) -> str:
    if text.isascii():
        whole, point, rest = text.partition(".")
        return f"{int(whole)}{point}{rest}"
    match = _HAN_NUMBER.fullmatch(text)
    if match is None:
        raise NotASum(f"{text!r} is no number up to 99")
    if match[4]:
        return str(HAN_DIGITS.index(match[4]))
    tens = HAN_DIGITS.index(match[1]) if match[1] else 1
    return str(10 * tens + (HAN_DIGITS.index(match[3]) if match[3] else 0))


class _Reader:
    """Works tokens out: brackets first, then products and quotients, then the rest, from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, "end"]

    def value(self) -> Fraction:
        total = self._product(-1 if self._takes("-") else 1)
        while self.tokens[0] in ("+", "-"):
            total += self._product(1 if self.tokens.pop(0) == "+" else -1)
        return total

    def _product(self, sign: int) -> Fraction:
        product = sign * self._term()
        while self.tokens[0] in ("*", "/"):
            times = self.tokens.pop(0) == "*"
            term = self._term()
            if times:
                product *= term
                continue
            if term == 0:
                raise NoWholeAnswer("a division by nought")
            product /= term
            if product.denominator != 1:
                raise NoWholeAnswer("a division that leaves a rest")
        return product

    def _term(self) -> Fraction:
        if self._takes("("):
            inside = self.value()
            self.tokens.pop(0)
            return inside
        return Fraction(self.tokens.pop(0))

    def _takes(self, token: str) -> bool:
        found = self.tokens[0] == token
        if found:
            self.tokens.pop(0)
        return found
