"""From probabilities a frame to the sum that they most likely show, and its value."""

import re

from legible.errors import RecognitionFailed
from legible.recognizers.arithmetic.expression import NotASum, NoWholeAnswer, Sum, begins, parse
from legible.recognizers.text.decode import SURE, Reading, beam_search, greedy, restrict
from legible.recognizers.text.looks import Further, no_further, until_sure
from legible.recognizers.text.model import Floats, Network
from legible.tasks import ArithmeticAnswer

LONGEST = 18  # characters of a sum
BEAM, LEAST = 16, 0.004
# Sites hardly ever ask what has no whole answer or numbers over 99, and seldom without an equals sign or a
# word that asks, which a question mark comes after: an unsure reading of that kind is more likely another
# one.
UNUSUAL, SELDOM = 0.1, 0.3
LARGE = re.compile(r"\d{3}")
# From this probability on a number over 99 is believed; else it is looked at again, as what has this one.
LARGE_SURE, DOUBTED = 0.75, 0.02
ENDINGS = frozenset("=等是几多")
# Where a sum is known to be asked, a stroke before a last number is often an equals sign.
LAST_STROKE, NUMBER = re.compile(r"\d[-一]\d+$"), re.compile(r"\d+")
CHARS = "0123456789+-*/÷x=?().·:加减乘除上去以等于几是多少零一二三四五六七八九十两请计算壹贰叁肆伍陆柒捌玖"


def decode(
    first: Floats, network: Network, threshold: float | None = None, further: Further = no_further
) -> ArithmeticAnswer:
    """The likeliest sum of (T, C) likelihoods of a view of the picture, and of `further` ones while it is not
    sure. Raises `RecognitionFailed` if there is none, or under the threshold."""
    limit = network.sums[0].threshold if threshold is None else threshold

    def read(probs: Floats) -> list[Reading]:
        return candidates(restrict(probs, network.charset, CHARS))

    asked, confidence = until_sure(first, further, read, likeliest, network.sums)
    if asked is None:
        raise RecognitionFailed(
            "no sum with a whole number as its answer was found in the picture", threshold=limit
        )
    if confidence < limit:
        raise RecognitionFailed(
            f"the sum was read with confidence {confidence:.4g}, under the threshold {limit:.4g}",
            confidence=confidence,
            threshold=limit,
        )
    return ArithmeticAnswer(str(asked.value), asked.expression, round(confidence, 4))


def candidates(probs: Floats) -> list[Reading]:
    """The likely readings of (T, len(CHARS) + 1): the best path where that is sure, else what can be sums."""
    best = greedy(probs, CHARS)
    if best.probability >= SURE:
        return [best]
    return beam_search(probs, CHARS, 1, LONGEST, BEAM, LEAST, begins=begins)


def likeliest(readings: list[Reading], looks: int) -> tuple[Sum, float] | None:
    """The sum that readings of so many looks most likely ask for, with its probability; None if none of them
    has a whole answer. "3+5=?" and "3+5=" ask the same, so their probabilities belong together."""
    likely: dict[Sum | None, float] = {}
    weighed: dict[Sum | None, float] = {}
    for reading in readings:
        try:
            asked = _undoubted(reading.text, parse(reading.text))
        except NoWholeAnswer:
            asked = None
        except NotASum:
            continue
        likely[asked] = likely.get(asked, 0.0) + reading.probability / looks
        weighed[asked] = weighed.get(asked, 0.0) + reading.probability * _usual(reading.text, asked)
    asked = max(weighed, key=lambda each: weighed[each], default=None)
    if asked is None:
        return None
    sure = min(1.0, likely[asked])
    return asked, min(sure, DOUBTED) if LARGE.search(asked.expression) and sure < LARGE_SURE else sure


def _undoubted(text: str, asked: Sum) -> Sum | None:
    return None if LAST_STROKE.search(text) and len(NUMBER.findall(asked.expression)) > 2 else asked


def _usual(text: str, asked: Sum | None) -> float:
    """How usual it is that a site asks so (0-1)."""
    if asked is None or LARGE.search(asked.expression):
        return UNUSUAL
    return 1.0 if ENDINGS.intersection(text) else SELDOM
