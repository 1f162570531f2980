"""From probabilities a frame to the sum that they most likely show, and its value."""

import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.recognizers.arithmetic.expression import NotASum, NoWholeAnswer, Sum, begins, parse
from legible.recognizers.text.decode import SURE, beam_search, greedy, restrict
from legible.recognizers.text.model import Network
from legible.tasks import ArithmeticAnswer

Floats = NDArray[np.float32]

LONGEST = 16  # characters of a sum
BEAM, LEAST = 16, 0.004
# Sites hardly ever ask what has no whole answer: an unsure reading of that kind is more likely another one.
UNUSUAL = 0.1
CHARS = "0123456789+-*/÷x=?加减乘除上去以等于几是多少零一二三四五六七八九十"


def decode(probs: Floats, network: Network, threshold: float | None = None) -> ArithmeticAnswer:
    """The likeliest sum of (T, C) probabilities; raises `RecognitionFailed` if there is none, or under
    the threshold."""
    limit = network.arithmetic.threshold if threshold is None else threshold
    found = find_sum(restrict(probs, network.charset, CHARS))
    if found is None:
        raise RecognitionFailed(
            "no sum with a whole number as its answer was found in the picture", threshold=limit
        )
    asked, probability = found
    confidence = network.arithmetic(probability)
    if confidence < limit:
        raise RecognitionFailed(
            f"the sum was read with confidence {confidence:.2f}, under the threshold {limit:.2f}",
            confidence=confidence,
            threshold=limit,
        )
    return ArithmeticAnswer(str(asked.value), asked.expression, round(confidence, 4))


def find_sum(probs: Floats) -> tuple[Sum, float] | None:
    """The likeliest sum: the best path where that is sure, else what the likely readings add up to."""
    best = greedy(probs, CHARS)
    readings = (
        [best]
        if best.probability >= SURE
        else beam_search(probs, CHARS, 1, LONGEST, BEAM, LEAST, begins=begins)
    )
    # "3+5=?" and "3+5=" ask the same: their probabilities belong together.
    likely: dict[Sum | None, float] = {}
    for reading in readings:
        try:
            asked = parse(reading.text)
        except NoWholeAnswer:
            asked = None
        except NotASum:
            continue
        share = UNUSUAL if asked is None else 1.0
        likely[asked] = likely.get(asked, 0.0) + share * reading.probability
    if not likely:
        return None
    asked, probability = max(likely.items(), key=lambda item: item[1])
    return None if asked is None else (asked, min(1.0, probability))
